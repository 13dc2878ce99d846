# SPDX-License-Identifier: Apache-2.0
"""A view that tells which process, user and configuration answered."""

import os
import platform
import pwd
import sys

import django
from django.conf import settings
from django.http import JsonResponse


def user_name(uid):
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def whoami(request):
    return JsonResponse({
        "settings": os.environ.get("DJANGO_SETTINGS_MODULE"),
        "site": settings.SITE_NAME,
        "pid": os.getpid(),
        "user": user_name(os.geteuid()),
        "python": platform.python_version(),
        "executable": sys.executable,
        "django": django.get_version(),
        "environ": sorted(os.environ),
        "sys_path": sys.path,
        "host": request.get_host(),
        "echo": request.GET.get("echo"),
    })
