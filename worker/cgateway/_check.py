# SPDX-License-Identifier: Apache-2.0
"""What a request to a group would meet, found out in a process of its own, which is no
worker: "cgatewayctl check". Its report goes to standard output, its exit status is 0
where nothing stands against serving."""

import os
import resource
import sys
import time

from cgateway import _application, _report


def _say(title, text):
    print("%-12s %s" % (title, text))


def _origin(application):
    module = sys.modules.get(getattr(application, "__module__", None))
    return getattr(module, "__file__", None) or type(application).__module__


def _tell_surroundings():
    _say("python", "%s (%s)" % (sys.version.split()[0], sys.executable))
    _say("user", "uid %d, gid %d" % (os.geteuid(), os.getegid()))
    _say("directory", os.getcwd())


def _load(settings):
    begun = time.monotonic()
    application = _application.load(settings.application)
    _say("application", "%s.%s from %s" % (
        type(application).__module__, type(application).__qualname__,
        _origin(application)))
    _say("import", "%.2f s, then %d MiB in memory at most" % (
        time.monotonic() - begun,
        resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024))
    return application


def _check_django():
    """Django's own checks, where the application is Django's; False where one of them
    finds an error."""
    if not (os.environ.get("DJANGO_SETTINGS_MODULE") and "django" in sys.modules):
        return True
    import django
    from django.conf import settings
    from django.core import checks

    _say("django", "%s, settings %s, DEBUG is %s" % (
        django.get_version(), os.environ["DJANGO_SETTINGS_MODULE"],
        "on" if settings.DEBUG else "off"))
    found = [message for message in checks.run_checks()
             if message.level >= checks.WARNING and not message.is_silenced()]
    for message in found:
        _say("", str(message))
    return all(message.level < checks.ERROR for message in found)


def _environ(path):
    from wsgiref.util import setup_testing_defaults
    environ = {"REQUEST_METHOD": "GET", "SCRIPT_NAME": "", "REMOTE_ADDR": "127.0.0.1",
               "SERVER_PROTOCOL": "HTTP/1.1",
               "HTTP_HOST": os.environ.get("CGATEWAY_CHECK_HOST", "localhost")}
    environ["PATH_INFO"], _, environ["QUERY_STRING"] = path.partition("?")
    setup_testing_defaults(environ)
    environ["wsgi.errors"] = sys.stderr
    environ["wsgi.multithread"] = environ["wsgi.multiprocess"] = True
    return environ


def _request(application, path):
    """One GET; False where it raises or answers with an error of the server."""
    answer = {}

    def start_response(status, headers, exc_info=None):
        answer["status"] = status
        return lambda data: None

    result = application(_environ(path), start_response)
    try:
        size = sum(len(part) for part in result)
    finally:
        if hasattr(result, "close"):
            result.close()
    _say("request", "GET %s: %s, %d bytes" % (path, answer.get("status"), size))
    return bool(answer) and not answer["status"].startswith("5")


def main(settings, tell_failure):
    """Exit status."""
    _tell_surroundings()
    try:
        application = _load(settings)
    except _application.StartFailure as failure:
        tell_failure(settings, failure)
        return 1
    try:
        good = _check_django()
        if settings.check:
            good = _request(application, settings.check) and good
    except Exception as error:
        _report.tell(_report.describe(type(error), error, error.__traceback__).decode())
        good = False
    _say("result", "it can serve" if good else "it would fail")
    return 0 if good else 1
