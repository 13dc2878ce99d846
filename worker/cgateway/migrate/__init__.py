# SPDX-License-Identifier: Apache-2.0
"""mod_wsgi-to-cgateway: reads a configuration of httpd that uses mod_wsgi, and prints
the same for mod_cgateway, with a comment for each thing that differs or is no longer
needed. Nothing is changed on disk. docs/migrating-from-mod_wsgi.md is its guide."""

import argparse
import os
import sys

from cgateway.migrate.converter import Converter
from cgateway.migrate.model import Configuration
from cgateway.migrate.reading import Malformed, Reader


def main(words):
    parser = argparse.ArgumentParser(
        prog="mod_wsgi-to-cgateway",
        description="Prints a mod_wsgi configuration as one for mod_cgateway. "
        "Exit code 1: something has to be converted by hand; it is listed.")
    parser.add_argument("file", help="httpd.conf, or the file of one site")
    parser.add_argument("--server-root", help="where relative paths begin; default: "
                        "ServerRoot, or else the directory of the file")
    parser.add_argument("-D", "--define", action="append", default=[], metavar="NAME",
                        help="a name for <IfDefine>, as httpd -D; may be repeated")
    parser.add_argument("--module", help="the path of mod_cgateway.so for LoadModule")
    options = parser.parse_args(words)
    root = options.server_root or os.path.dirname(os.path.abspath(options.file))
    reader = Reader(root, options.define)
    try:
        nodes = reader.file(options.file)
    except OSError as error:
        print(f"mod_wsgi-to-cgateway: {options.file}: {error.strerror}", file=sys.stderr)
        return 2
    except Malformed as error:
        print(f"mod_wsgi-to-cgateway: {error}", file=sys.stderr)
        return 2
    converter = Converter(Configuration(reader, nodes), options.module)
    sys.stdout.reconfigure(encoding="utf-8", errors="surrogateescape")
    for text in converter.output():
        print(text)
    for where, text in converter.undone:
        print(f"{where}: not converted: {text}", file=sys.stderr)
    return 1 if converter.undone else 0
