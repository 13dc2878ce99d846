# SPDX-License-Identifier: Apache-2.0
"""What is served, and the directives that say so: the same for a private httpd and
for production."""

import dataclasses
import os
import re
import sys


@dataclasses.dataclass
class Static:
    """A directory that httpd serves itself."""
    url: str
    directory: str
    uploads: bool = False       # what visitors uploaded


@dataclasses.dataclass
class Site:
    application: str
    name: str = "localhost"
    settings: str = ""
    python: str = ""
    path: list = dataclasses.field(default_factory=list)
    directory: str = ""
    environment: dict = dataclasses.field(default_factory=dict)
    environment_files: list = dataclasses.field(default_factory=list)
    processes: str = ""
    threads: str = ""
    mount: str = ""
    static: list = dataclasses.field(default_factory=list)


def quoted(word):
    word = str(word)
    if word and not re.search(r"[\s\"'#\\<>]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def directive(name, *words):
    return " ".join([name.ljust(len("CGatewayApplication")),
                     *(quoted(word) for word in words)]).rstrip()


def static_lines(static):
    lines = [f"Alias {quoted(static.url)} {quoted(static.directory)}",
             f"<Directory {quoted(static.directory)}>"]
    if static.uploads:
        lines += ["    # What people upload must not run in the site's name.",
                  "    <IfModule mod_headers.c>",
                  "        Header set Content-Security-Policy sandbox",
                  "        Header set X-Content-Type-Options nosniff",
                  "    </IfModule>"]
    return lines + ["    Options FollowSymLinks", "    Require all granted",
                    "</Directory>"]


def site_lines(site):
    """The directives of a virtual host for the site."""
    lines = [directive("CGatewayApplication", site.application)]
    if site.settings:
        lines.append(directive("CGatewaySettings", site.settings))
    if site.path:
        lines.append(directive("CGatewayPath", *site.path))
    if site.python:
        lines.append(directive("CGatewayPython", site.python))
    if site.directory:
        lines.append(directive("CGatewayWorkingDirectory", site.directory))
    lines += [directive("CGatewayEnvFile", file) for file in site.environment_files]
    lines += [directive("CGatewayEnv", *item) for item in site.environment.items()]
    if site.processes:
        lines.append(directive("CGatewayProcesses", site.processes))
    if site.threads:
        lines.append(directive("CGatewayThreads", site.threads))
    if site.mount:
        lines.append(directive("CGatewayMount", site.mount))
    for static in site.static:
        lines += static_lines(static)
    return lines


def production(site):
    """A virtual host for the httpd of a machine."""
    lines = "\n".join("    " + line for line in site_lines(site))
    return f"""\
# For the httpd of this machine. Debian: save it as
# /etc/apache2/sites-available/{site.name}.conf, then
#     a2enmod cgateway alias headers
#     a2ensite {site.name}
#     apachectl configtest && systemctl reload apache2
# Change ServerName. As root, give the site a user of its own by CGatewayUser.
# Workers have a clean environment: CGatewayEnv and CGatewayEnvFile add to it.
<VirtualHost *:80>
    ServerName {site.name}
{lines}
</VirtualHost>
"""


# ---- what is not said is found -------------------------------------------------------

def virtual_environment(directory):
    """The one that is active, or lies in the directory; "" for none."""
    names = [os.environ.get("VIRTUAL_ENV", ""), os.path.join(directory, ".venv"),
             os.path.join(directory, "venv")]
    if sys.prefix != sys.base_prefix:
        names.insert(0, sys.prefix)
    return next((name for name in names
                 if name and os.path.exists(os.path.join(name, "bin", "python3"))), "")


def application_of(word, directory):
    """What CGatewayApplication says for a word of the command line: a file is named
    with its whole path. shop.wsgi is a module, unless it is a file that is there."""
    target, colon, name = word.partition(":")
    path = os.path.join(directory, target)
    if "/" in target or (os.path.isfile(path) and target.endswith((".wsgi", ".py"))):
        return os.path.abspath(path) + colon + name
    return word
