# SPDX-License-Identifier: Apache-2.0
"""What a Django project says of itself: application, settings, where it is imported
from, static files and media."""

import os
import sys
import sysconfig
from urllib.parse import urlsplit

from django.apps import apps
from django.conf import settings

import cgateway
from cgateway.serve.site import Static

# Workers have this package anyway.
LIBRARY = os.path.dirname(os.path.dirname(os.path.realpath(cgateway.__file__)))


def application():
    """WSGI_APPLICATION, as CGatewayApplication has it."""
    module, _, name = (settings.WSGI_APPLICATION or "").rpartition(".")
    return f"{module}:{name}" if module else "cgateway.django.wsgi"


def import_path():
    """What is on sys.path besides what the interpreter brings along: the directory of
    manage.py, and PYTHONPATH."""
    own = [os.path.realpath(sysconfig.get_path(name)) for name in (
        "stdlib", "platstdlib", "purelib", "platlib")] + [LIBRARY]
    found = []
    for entry in sys.path:
        path = os.path.realpath(entry or os.curdir)
        if os.path.isdir(path) and path not in found and not any(
                path == one or path.startswith(one + os.sep) for one in own) \
                and not os.path.basename(path).endswith("-packages"):
            found.append(path)
    return found


def python():
    """The virtual environment, or else the interpreter."""
    return sys.prefix if sys.prefix != sys.base_prefix else sys.executable


def url_path(url):
    """The path of a URL of this site; "" where another server has it."""
    parts = urlsplit(url or "")
    return "" if parts.netloc or not parts.path.strip("/") else \
        "/" + parts.path.strip("/")


def media():
    url = url_path(settings.MEDIA_URL)
    if url and settings.MEDIA_ROOT and os.path.isdir(settings.MEDIA_ROOT):
        return [Static(url, os.path.abspath(settings.MEDIA_ROOT), uploads=True)]
    return []


def collected():
    """Whether `manage.py collectstatic` has been run."""
    root = settings.STATIC_ROOT
    return bool(root) and os.path.isdir(root) and bool(os.listdir(root))


def static():
    """What collectstatic collected."""
    url = url_path(settings.STATIC_URL)
    if url and collected():
        return [Static(url, os.path.abspath(settings.STATIC_ROOT))]
    return []


def linked_static(directory):
    """The same from links to the files where they are, so that a change shows at once;
    nothing has to be collected."""
    url = url_path(settings.STATIC_URL)
    if not url or not apps.is_installed("django.contrib.staticfiles"):
        return []
    from django.contrib.staticfiles.finders import get_finders
    for finder in get_finders():
        for path, storage in finder.list(None):
            prefix = getattr(storage, "prefix", None)
            target = os.path.join(directory, *filter(None, [prefix]), path)
            os.makedirs(os.path.dirname(target), exist_ok=True)
            if not os.path.lexists(target):     # the first finder's counts
                os.symlink(storage.path(path), target)
    return [Static(url, directory)]
