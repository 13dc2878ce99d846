# What a test compares between two servers: where the application answers, as whom,
# and what it sees of its surroundings.
import json
import os
import sys


def answer(environ, start_response, name):
    told = {key: environ.get(key) for key in (
        "SCRIPT_NAME", "PATH_INFO", "QUERY_STRING", "REQUEST_METHOD", "SCRIPT_FILENAME",
        "REMOTE_USER", "AUTH_TYPE", "HTTP_AUTHORIZATION", "HTTP_X_MARK", "FROM_SETENV",
        "SERVER_NAME", "CONTENT_LENGTH", "wsgi.url_scheme")}
    told["callable"] = name
    told["body"] = environ["wsgi.input"].read().decode()
    told["uid"] = os.geteuid()
    told["cwd"] = os.getcwd() if "home" in environ["QUERY_STRING"] else None
    told["umask"] = os.umask(0o077)
    os.umask(told["umask"])
    told["lang"] = os.environ.get("LANG") if "lang" in environ["QUERY_STRING"] else None
    told["path"] = [entry for entry in sys.path if "/libs/" in entry]
    text = json.dumps(told).encode()
    status = "404 Not Found" if environ["PATH_INFO"].endswith("/lost") else "200 OK"
    start_response(status, [("Content-Type", "application/json"),
                            ("Content-Length", str(len(text)))])
    return [text]


def application(environ, start_response):
    return answer(environ, start_response, "application")


def other(environ, start_response):
    return answer(environ, start_response, "other")
