# SPDX-License-Identifier: Apache-2.0
"""An application in hostile hands: runs the Python of the request's body and answers
what it left in `result`; an OSError's name where it was stopped."""

import json


def run(source):
    names = {}
    try:
        exec(source, names)  # pylint: disable=exec-used
    except OSError as error:
        return type(error).__name__
    return names["result"]


def application(environ, start_response):
    source = environ["wsgi.input"].read().decode()
    body = json.dumps(run(source)).encode()
    start_response("200 OK", [("Content-Type", "application/json")])
    return [body]
