# SPDX-License-Identifier: Apache-2.0
"""Code for tests/apps/hostile.wsgi to run, and what became of it."""


def run(httpd, source, host="a.example"):
    """Its `result`; the name of the OSError that stopped it."""
    return httpd.request("/", "POST", source.encode(), host=host).json()


def reads(path):
    return f"result = open({str(path)!r}, 'rb').read(1) and 'read'"


def writes(path):
    return f"open({str(path)!r}, 'w').write('x')\nresult = 'written'"
