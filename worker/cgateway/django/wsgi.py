# SPDX-License-Identifier: Apache-2.0
"""The application callable of a project that names none (WSGI_APPLICATION)."""

from django.core.wsgi import get_wsgi_application

application = get_wsgi_application()
