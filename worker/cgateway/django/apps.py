# SPDX-License-Identifier: Apache-2.0
"""The application's configuration."""

from django.apps import AppConfig


class CgatewayConfig(AppConfig):
    name = "cgateway.django"
    label = "cgateway"
    verbose_name = "mod_cgateway"
