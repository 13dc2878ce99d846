# SPDX-License-Identifier: Apache-2.0
"""What an application may use of mod_cgateway.

    import cgateway

    cgateway.group                      the name of this process's group, or
                                        None where mod_cgateway does not run it
    cgateway.client_disconnected(environ)
                                        has the client of this request gone?
    cgateway.send_interim(environ, status, headers)
                                        a 1xx response, as 103 Early Hints
    cgateway.LogHandler                 a handler of `logging`: records go to httpd's
                                        error log with their level
    cgateway.ClientDisconnected         raised by wsgi.input when the request
                                        body broke off, and by write()

The module can be imported anywhere, also by a management command.
"""

__version__ = "0.1.0"
__all__ = ["ClientDisconnected", "LogHandler", "client_disconnected", "group",
           "send_interim"]

#: Name of the process group that this process belongs to.
group = None


class ClientDisconnected(OSError):
    """The client went away before its request body, or the response to it,
    was complete."""


def client_disconnected(environ):
    """Has the client of this request gone? Never waits; for long work that is
    worthless then. False where the server cannot tell."""
    ask = environ.get("cgateway.client_disconnected")
    return bool(ask and ask())


def send_interim(environ, status, headers):
    """Send an interim response (1xx) to the client now, ahead of the response:

        send_interim(environ, "103 Early Hints",
                     [("Link", "</site.css>; rel=preload; as=style")])

    A no-op where the server or the client's protocol knows none. Raises
    ValueError or TypeError for what is no interim response, RuntimeError once
    the response has begun."""
    send = environ.get("cgateway.send_interim")
    if send:
        send(status, headers)


def __getattr__(name):
    """LogHandler is loaded when it is asked for: not everybody needs `logging`."""
    if name == "LogHandler":
        from cgateway._log import LogHandler
        return LogHandler
    raise AttributeError("module %r has no attribute %r" % (__name__, name))
