# SPDX-License-Identifier: Apache-2.0
"""manage.py runcgateway: httpd with mod_cgateway serves the project in the foreground."""

import os
import sys

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from cgateway import serve
from cgateway.django import project
from cgateway.serve.site import Site, production


class Command(BaseCommand):
    help = ("Serves the project by a private httpd with mod_cgateway: with its static "
            "files and media, in processes as in production. Ctrl-C ends it and leaves "
            "nothing.")

    def add_arguments(self, parser):
        parser.add_argument("address", nargs="?", default="8000",
                            help="port, or address:port")
        serve.add_common(parser)
        parser.add_argument("--noreload", action="store_false", dest="reload",
                            default=None, help="do not reload when a file changes")
        parser.add_argument("--reload", action="store_true", dest="reload",
                            help="reload when a file changes; the default with DEBUG")

    def handle(self, *args, **values):
        options = Options(values)
        if options.reload is None:
            options.reload = settings.DEBUG
        options.host, options.port = self.address(options.address)
        try:
            site = self.site(options)
        except serve.Failed as error:
            raise CommandError(str(error)) from error
        if options.print_config:
            site.static = project.static() + project.media()
            self.stdout.write(production(site), ending="")
            if not project.collected():
                self.stderr.write("Static files are not collected: manage.py "
                                  "collectstatic, then this command again.")
            return
        code = serve.serve(site, options, self.add_static)
        if code:
            sys.exit(code)

    @staticmethod
    def address(text):
        host, _, port = text.rpartition(":")
        try:
            return host.strip("[]") or "127.0.0.1", serve.port(port)
        except Exception as error:
            raise CommandError(f"{text} is neither a port nor address:port") from error

    @staticmethod
    def site(options):
        return Site(
            project.application(), name=options.name,
            settings=os.environ.get("DJANGO_SETTINGS_MODULE", ""),
            path=[os.path.abspath(entry) for entry in options.path]
            or project.import_path(), directory=os.getcwd(),
            python=options.python or project.python(),
            environment=dict(serve.pair("--env", text) for text in options.env),
            environment_files=[os.path.abspath(f) for f in options.env_file],
            processes=options.processes, threads=options.threads)

    @staticmethod
    def add_static(root, site):
        """Links in development; where DEBUG is off, what is collected is what counts."""
        site.static = [] if settings.DEBUG else project.static()
        if not site.static:
            directory = root / "static"
            directory.mkdir(mode=0o755)
            site.static = project.linked_static(str(directory))
        site.static += project.media()


class Options:
    """Django's dictionary of options, as cgateway.serve has them."""

    def __init__(self, values):
        vars(self).update(values)
