# SPDX-License-Identifier: Apache-2.0
"""What an application may use of mod_cgateway.

    import cgateway

    cgateway.group                      the name of this process's group, or
                                        None where mod_cgateway does not run it
    cgateway.client_disconnected(environ)
                                        has the client of this request gone?
    cgateway.ClientDisconnected         raised by wsgi.input when the request
                                        body broke off, and by write()

The module can be imported anywhere, also by a management command.
"""

__version__ = "0.1.0"
__all__ = ["ClientDisconnected", "client_disconnected", "group"]

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
