# SPDX-License-Identifier: Apache-2.0
"""A Django application: `manage.py runcgateway` serves the project as production does.

    INSTALLED_APPS = [..., "cgateway.django"]
"""
