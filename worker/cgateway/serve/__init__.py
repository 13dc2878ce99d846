# SPDX-License-Identifier: Apache-2.0
"""cgateway-serve: serves a WSGI application by a private httpd with mod_cgateway, in
the foreground, without root and without a configuration file. Ends on Ctrl-C and
leaves nothing. Its manual is cgateway-serve(1); `manage.py runcgateway` is the same
for a Django project."""

import argparse
import os
import signal
import sys

from cgateway.serve.httpd import NotFound
from cgateway.serve.private import Failed, PrivateHttpd
from cgateway.serve.reload import Watcher
from cgateway.serve.site import (Site, Static, application_of, production,
                                 virtual_environment)


class Interrupted(BaseException):
    """Ctrl-C, or a signal that asks to end."""


def say(text=""):
    print(text, flush=True)


# ---- command line --------------------------------------------------------------------

def add_common(parser):
    """The options that runcgateway has, too."""
    parser.add_argument("--processes", default="", help="worker processes")
    parser.add_argument("--threads", default="", help="request threads of each")
    parser.add_argument("--python", default="", metavar="PATH",
                        help="a virtual environment or an interpreter; default: the "
                        "active one, .venv or venv, or else the system's")
    parser.add_argument("--path", action="append", default=[], metavar="DIR",
                        help="where Python imports from first")
    parser.add_argument("--name", default="localhost", help="ServerName")
    parser.add_argument("--env", action="append", default=[], metavar="NAME=VALUE",
                        help="a variable for the application")
    parser.add_argument("--env-file", action="append", default=[], metavar="FILE",
                        help="a file of NAME=value lines")
    parser.add_argument("--clean-env", action="store_true",
                        help="do not pass on the environment of the terminal")
    parser.add_argument("--https-self-signed", action="store_true",
                        help="serve https with a certificate made for it")
    parser.add_argument("--no-access-log", action="store_true",
                        help="do not print a line for each request")
    parser.add_argument("--log-level", default="warn",
                        choices=["error", "warn", "info", "debug"],
                        help="of mod_cgateway's own messages")
    parser.add_argument("--print-config", action="store_true",
                        help="print a configuration for production, and end")
    parser.add_argument("--user", default="",
                        help="httpd's account, where root starts it")
    parser.add_argument("--httpd", default="", metavar="FILE", help="the httpd to run")
    parser.add_argument("--module", default="", metavar="FILE",
                        help="the path of mod_cgateway.so")


def parser():
    top = argparse.ArgumentParser(
        prog="cgateway-serve", description="Serves a WSGI application by a private httpd "
        "with mod_cgateway. Ctrl-C ends it and leaves nothing.")
    top.add_argument("application", help="module, module:callable or a .wsgi file")
    top.add_argument("--settings", default="", help="DJANGO_SETTINGS_MODULE")
    top.add_argument("--host", default="127.0.0.1", help="address to listen on")
    top.add_argument("--port", default="8000", type=port)
    top.add_argument("--directory", default="", metavar="DIR",
                     help="where to begin; default: the current directory")
    top.add_argument("--mount", default="", metavar="/PREFIX", help="where it answers")
    top.add_argument("--static", action="append", default=[], metavar="/URL=DIR",
                     help="a directory that httpd serves itself")
    top.add_argument("--reload", action="store_true",
                     help="reload when a file of the application changes")
    add_common(top)
    return top


def port(text):
    number = int(text)
    if not 0 < number < 65536:
        raise argparse.ArgumentTypeError("a port is a number from 1 to 65535")
    return number


def pair(option, text):
    name, equals, value = text.partition("=")
    if not name or not equals:
        raise Failed(f"{option} {text}: write it with an equals sign")
    return name, value


def site_of(options):
    directory = os.path.abspath(options.directory or os.curdir)
    application = application_of(options.application, directory)
    path = [os.path.abspath(os.path.join(directory, entry)) for entry in options.path]
    if not path:
        path = [os.path.dirname(application.partition(":")[0])
                if application.startswith("/") else directory]
    static = []
    for text in options.static:
        url, target = pair("--static", text)
        target = os.path.abspath(os.path.join(directory, target))
        if not os.path.isdir(target):
            raise Failed(f"--static {text}: {target} is not a directory")
        static.append(Static("/" + url.strip("/"), target))
    return Site(
        application, name=options.name, path=path, static=static, directory=directory,
        settings=options.settings, mount=options.mount.rstrip("/"),
        python=options.python or virtual_environment(directory),
        environment=dict(pair("--env", text) for text in options.env),
        environment_files=[os.path.abspath(file) for file in options.env_file],
        processes=options.processes, threads=options.threads)


# ---- running ---------------------------------------------------------------------------

def interrupt(*_):
    """Only the first signal counts: make and a terminal may each send one, and the
    second must not break off the removal."""
    on_signals(signal.SIG_IGN)
    raise Interrupted


def on_signals(action):
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, action)


def serve(site, options, prepare=None):
    """Serves until a signal comes. Returns an exit code. prepare(root, site) may add
    to the site, once there is a directory for it."""
    on_signals(interrupt)
    httpd = None
    try:
        with PrivateHttpd(site, options) as httpd:
            try:
                if prepare:
                    prepare(httpd.root, site)
                run(httpd)
            finally:
                on_signals(signal.SIG_IGN)
    except Interrupted:
        say("\nEnded.")
    except (Failed, NotFound) as error:
        print(f"cgateway-serve: {error}", file=sys.stderr)
        return 1
    finally:
        on_signals(signal.SIG_DFL)
    return 0


def run(httpd):
    site, options = httpd.site, httpd.options
    httpd.start()
    if options.reload:
        Watcher([*site.path, site.directory] if site.directory else site.path,
                httpd.trigger, say).start()
    say(f"Serving {site.application} at {httpd.url}"
        f"{' (reloads on change)' if options.reload else ''}")
    say(f"  python {site.python or '/usr/bin/python3'}, "
        f"settings {site.settings or '-'}, path {':'.join(site.path) or '-'}")
    say("Ctrl-C ends it.")
    httpd.process.wait()
    raise Failed("httpd has ended")


def main(words):
    options = parser().parse_args(words)
    try:
        site = site_of(options)
    except Failed as error:
        print(f"cgateway-serve: {error}", file=sys.stderr)
        return 2
    if options.print_config:
        print(production(site), end="")
        return 0
    return serve(site, options)


def entry():
    """For the executable of an installed package."""
    sys.exit(main(sys.argv[1:]))
