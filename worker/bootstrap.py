# SPDX-License-Identifier: Apache-2.0
"""First code of a process of a group (include/cgw_control.h has its command
line): finds the extension beside itself and becomes a template or a worker.

Any Python must be able to parse this file, so that one that is too old is
refused with a message instead of a syntax error.
"""

import os
import struct
import sys

OLDEST = (3, 9)
CONTROL_FD = 3
MAGIC, VERSION, FAILED, START_INTERPRETER = 0x31574743, 11, 17, 3


def refuse(reason):
    """The interpreter cannot be used: say so on stderr and to the supervisor."""
    sys.stderr.write("CGW0410: this interpreter (%s, Python %s) cannot serve "
                     "the group: %s\n"
                     % (sys.executable, sys.version.split()[0], reason))
    sys.stderr.flush()
    message = struct.pack("=IHHQ", MAGIC, VERSION, FAILED, START_INTERPRETER)
    try:
        os.write(CONTROL_FD, message)
    finally:
        os._exit(1)


def load_extension(library):
    """Load _cgateway by its path, the build for exactly this version first."""
    from importlib.machinery import EXTENSION_SUFFIXES, ExtensionFileLoader
    from importlib.util import module_from_spec, spec_from_file_location

    for suffix in EXTENSION_SUFFIXES:
        path = os.path.join(library, "_cgateway" + suffix)
        if os.path.exists(path):
            loader = ExtensionFileLoader("_cgateway", path)
            spec = spec_from_file_location("_cgateway", path, loader=loader)
            module = module_from_spec(spec)
            sys.modules["_cgateway"] = module
            spec.loader.exec_module(module)
            return module
    raise ImportError("no _cgateway extension for it in %s" % library)


def load_package(library):
    """Make `import cgateway` work without the library on sys.path."""
    from importlib.util import module_from_spec, spec_from_file_location

    directory = os.path.join(library, "cgateway")
    spec = spec_from_file_location(
        "cgateway", os.path.join(directory, "__init__.py"),
        submodule_search_locations=[directory])
    module = module_from_spec(spec)
    sys.modules["cgateway"] = module
    spec.loader.exec_module(module)
    return module


def main():
    library = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [entry for entry in sys.path
                   if os.path.abspath(entry or os.curdir) != library]
    if sys.version_info < OLDEST:
        refuse("it is older than %d.%d; name a newer one with CGatewayPython"
               % OLDEST)
    if sys.implementation.name != "cpython":
        refuse("it is not CPython; name a CPython with CGatewayPython")
    if "t" in getattr(sys, "abiflags", ""):
        refuse("it is a free-threaded build, which cannot load an extension "
               "that serves all versions; name one with the interpreter lock in "
               "CGatewayPython")
    try:
        load_extension(library)
        load_package(library)
    except ImportError as error:
        refuse("%s; reinstall mod_cgateway, or name another interpreter with "
               "CGatewayPython" % error)
    from cgateway import _process
    _process.main(sys.argv[1:])


if __name__ == "__main__":
    main()
