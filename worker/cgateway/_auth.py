# SPDX-License-Identifier: Apache-2.0
"""Questions of httpd about the site's users (CGW_REQUEST_ASK): an application of its
own, which calls a function of the site.

    check_password(environ, user, password) -> True, False, None for an unknown user
    groups_for_user(environ, user) -> names, as str or bytes

The answer's status says it: 200 is a yes, 401 a no, 404 an unknown user; anything else
is no answer, and httpd lets nobody in. Groups are the body, one a line.
"""

import functools
import importlib

# Removed from the environ that the function gets.
ASK, FUNCTION, USER = "cgateway.ask", "cgateway.ask.function", "cgateway.ask.user"
STATUS = {True: "200 OK", False: "401 Unauthorized", None: "404 Not Found"}


class WrongAnswer(TypeError):
    """The function returned what it should not."""


@functools.lru_cache(maxsize=64)
def _find(name):
    module, _, attribute = name.partition(":")
    found = importlib.import_module(module)
    for part in attribute.split("."):
        found = getattr(found, part)
    return found


def _text(value):
    """What httpd sent, which WSGI has as Latin-1."""
    return value.encode("latin-1").decode("utf-8", "replace")


def _check(function, environ, user):
    password = environ["wsgi.input"].read().decode("utf-8", "replace")
    answer = function(environ, user, password)
    if answer is not True and answer is not False and answer is not None:
        raise WrongAnswer("CGW0470: a function that checks passwords returns True, "
                          "False, or None for an unknown user, but this one %r"
                          % type(answer).__name__)
    return STATUS[answer], b""


def _groups(function, environ, user):
    names = function(environ, user)
    if names is None:
        return STATUS[None], b""
    if isinstance(names, (str, bytes)):
        raise WrongAnswer("CGW0471: a function that knows groups returns an iterable "
                          "of names, not one %r" % type(names).__name__)
    names = [n if isinstance(n, bytes) else str(n).encode() for n in names]
    return STATUS[True], b"\n".join(n for n in names if b"\n" not in n)


def answer(environ, start_response):
    """The application for questions."""
    question = environ.pop(ASK)
    function = _find(environ.pop(FUNCTION))
    user = _text(environ.pop(USER))
    ask = _check if question == "password" else _groups
    status, body = ask(function, environ, user)
    start_response(status, [("Content-Type", "text/plain"),
                            ("Content-Length", str(len(body)))])
    return [body]
