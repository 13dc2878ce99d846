# SPDX-License-Identifier: Apache-2.0
"""Finding the application callable that CGatewayApplication names."""

import importlib
import importlib.machinery
import importlib.util
import os
import re
import sys

from cgateway import _path, _watch

START_IMPORT, START_CALLABLE = 1, 2
DEFAULT_CALLABLE = "application"
_VARARGS, _COROUTINE, _ASYNC_GENERATOR = 0x04, 0x80, 0x200  # inspect.CO_*
_NAMES = re.compile(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)*\Z", re.ASCII)


class StartFailure(Exception):
    """The application cannot be loaded. `remedy` names a directive; the
    exception that caused it, if any, is __cause__."""

    def __init__(self, kind, remedy):
        super().__init__(remedy)
        self.kind = kind
        self.remedy = remedy


class _ScriptLoader(importlib.machinery.SourceFileLoader):
    """Runs a file as it is: site.wsgi and site.py beside each other would
    share one cached .pyc file."""

    def get_code(self, fullname):
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _is_path(name):
    return name.startswith("/")


def split(application):
    """CGatewayApplication's value -> (module or path, name of the callable)."""
    target, colon, name = application.rpartition(":")
    if not colon or _is_path(application) and not _NAMES.match(name):
        return application, DEFAULT_CALLABLE
    return target, name or DEFAULT_CALLABLE


def files(application, entries):
    """The paths whose change is one of the application."""
    target = split(application)[0]
    if _is_path(target):
        return [target]
    try:
        return _watch.module_files(target, entries)
    except Exception:
        return []   # a finder of the application's own; importing shows why


def script_module_name(path):
    """The name under which a .wsgi file is registered in sys.modules."""
    return "cgateway_script" + re.sub(r"\W", "_", path)


def _import_script(path):
    name = script_module_name(path)
    path = _path.staying(path)
    loader = _ScriptLoader(name, path)
    spec = importlib.util.spec_from_file_location(name, path, loader=loader)
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    return module


def _covers(missing, wanted):
    """Is the missing module the wanted one, or a package around it?"""
    return bool(missing) and (wanted + ".").startswith(missing + ".")


def _made_by():
    """The version of the Python that made this virtual environment, as (3, 11), as
    venv (version), virtualenv and uv (version_info) note it; None where there is none."""
    if sys.prefix == sys.base_prefix:
        return None
    try:
        with open(os.path.join(sys.prefix, "pyvenv.cfg"), encoding="utf-8") as file:
            found = re.search(r"(?m)^version(?:_info)?\s*=\s*(\d+)\.(\d+)", file.read())
    except (OSError, ValueError):
        return None
    return found and (int(found[1]), int(found[2]))


def _single_file(name):
    """The file that Python finds under the name of a module that is no package."""
    try:
        spec = importlib.util.find_spec(name)
    except Exception:
        return None     # a finder of the application's own
    is_single = spec is not None and spec.submodule_search_locations is None
    return spec.origin if is_single else None


def _remedy_not_installed(name):
    package = name.partition(".")[0]
    hidden_by = _single_file(package) if package != name else None
    if hidden_by:
        return ("module %r is %s, which is no package, so that %r is not found; "
                "rename that file where it hides a package"
                % (package, hidden_by, name))
    made_by = _made_by()
    if made_by and made_by != sys.version_info[:2]:
        return ("the application needs module %r; the virtual environment %s was "
                "made by Python %d.%d and is run by Python %d.%d, which does not look "
                "at what is installed there: make it anew"
                % (name, sys.prefix, *made_by, *sys.version_info[:2]))
    return ("the application needs module %r, which %s does not have; install "
            "it there, name the right environment with CGatewayPython, or add "
            "its directory to CGatewayPath" % (name, sys.executable))


def _remedy_not_found(error, target):
    settings = os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if _covers(error.name, target):
        is_like_a_file = target.endswith((".py", ".wsgi"))
        return ("module %r was not found; add the directory that holds it to "
                "CGatewayPath, or correct CGatewayApplication%s (sys.path: %s)"
                % (error.name, ", where a file is written with its path, as in "
                   "/srv/" + target if is_like_a_file else "", ", ".join(sys.path)))
    if _covers(error.name, settings):
        return ("module %r of the settings %r was not found; correct "
                "CGatewaySettings, or add the directory that holds it to "
                "CGatewayPath" % (error.name, settings))
    return _remedy_not_installed(str(error.name))


def _remedy_script(error, path):
    if isinstance(error, PermissionError):
        return ("%s cannot be read by uid %d; give it read permission, or "
                "change CGatewayUser" % (path, os.geteuid()))
    return "%s does not exist; correct CGatewayApplication" % path


def _remedy(error, target):
    """What to do about an exception that importing raised."""
    if isinstance(error, ModuleNotFoundError):
        return _remedy_not_found(error, target)
    if isinstance(error, OSError) and error.filename == target:
        return _remedy_script(error, target)
    if type(error).__name__ == "ImproperlyConfigured":
        return ("Django is not configured; see the line above, and look at "
                "CGatewaySettings")
    if isinstance(error, (SystemExit, KeyboardInterrupt)):
        return ("the application ended its process while it was imported "
                "(%s); CGatewayApplication must name a module that only "
                "defines the application callable" % type(error).__name__)
    return ("importing what CGatewayApplication names raised %s; mend the "
            "application, then reload" % type(error).__name__)


def _import(target):
    try:
        if _is_path(target):
            return _import_script(target)
        return importlib.import_module(target)
    except BaseException as error:
        raise StartFailure(START_IMPORT, _remedy(error, target)) from error


def _callables_of(module):
    return sorted(name for name, value in vars(module).items()
                  if callable(value) and not name.startswith("_")
                  and not isinstance(value, type)
                  and getattr(value, "__module__", None)
                  in (module.__name__, None))


def _missing(module, target, name):
    found = _callables_of(module)
    hint = " (it has %s)" % ", ".join(found[:5]) if found else ""
    if _is_path(target):
        return ("%s defines no callable %r%s; define it there"
                % (target, name, hint))
    return ("module %s has no callable %r%s; name it with CGatewayApplication "
            "%s:callable" % (target, name, hint, target))


# ---- what every request would fail by ---------------------------------------

def _function_of(found):
    """(the Python function that a call runs, how many arguments it has besides the
    call's); (None, 0) where that cannot be told."""
    kind = type(found)
    if kind is type(split):
        return found, 0
    for base in kind.__mro__:
        if "__call__" in vars(base):
            function = vars(base)["__call__"]
            return (function, 1) if type(function) is type(split) else (None, 0)
    return None, 0


def _takes_two(function, besides):
    code = function.__code__
    most = code.co_argcount - besides
    least = most - len(function.__defaults__ or ())
    by_name = code.co_kwonlyargcount - len(function.__kwdefaults__ or ())
    return (least <= 2 and by_name == 0
            and (most >= 2 or bool(code.co_flags & _VARARGS)))


def _check_call(found, application):
    """Every request would fail, so the former code had better go on serving."""
    function, besides = _function_of(found)
    if function is None:
        return
    if function.__code__.co_flags & (_COROUTINE | _ASYNC_GENERATOR):
        raise StartFailure(START_CALLABLE, (
            "%s is asynchronous, which an ASGI server serves, and no WSGI application; "
            "wrap it in a .wsgi file, for example by a2wsgi.ASGIMiddleware"
            % application))
    if not _takes_two(function, besides):
        raise StartFailure(START_CALLABLE, (
            "%s cannot be called with (environ, start_response), so it is no application "
            "callable; if it makes one, name a .wsgi file that calls it, with the line "
            "application = ...()" % application))


# ---- what Django would import with the first request --------------------------

def _is_django(application):
    """Django's handler, or one that a wrapper like WhiteNoise's has inside."""
    handlers = sys.modules.get("django.core.handlers.wsgi")
    return handlers and any(isinstance(found, handlers.WSGIHandler) for found in (
        application, getattr(application, "application", None)))


def _import_urls():
    """A site whose URL configuration cannot be imported answers nothing but errors:
    its former code had better go on serving. And what is imported before the workers
    are forked is in memory once. Database connections of this process stay its own."""
    from django.conf import settings
    from django.db import connections
    from django.urls import get_resolver
    try:
        return get_resolver().url_patterns
    except BaseException as error:
        raise StartFailure(START_IMPORT, (
            "importing the URL configuration, which ROOT_URLCONF (%s) names, raised %s; "
            "mend it, then reload" % (getattr(settings, "ROOT_URLCONF", "not set"),
                                      type(error).__name__))) from error
    finally:
        connections.close_all()


def load(application):
    """The application callable. Raises StartFailure."""
    target, name = split(application)
    found = module = _import(target)
    for part in name.split("."):
        found = getattr(found, part, None)
    if not callable(found):
        raise StartFailure(START_CALLABLE, _missing(module, target, name))
    _check_call(found, application)
    if _is_django(found):
        _import_urls()
    return found
