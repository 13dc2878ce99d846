# SPDX-License-Identifier: Apache-2.0
from django.conf import settings


def site(request):
    return {"site_name": settings.SITE_NAME}
