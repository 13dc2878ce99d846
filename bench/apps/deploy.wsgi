"""An application whose import takes 2 s, and whose requests take what they ask for."""

import time

time.sleep(2)


def application(environ, start_response):
    time.sleep(float(environ["QUERY_STRING"] or 0))
    start_response("200 OK", [("Content-Type", "text/plain"), ("Content-Length", "2")])
    return [b"ok"]
