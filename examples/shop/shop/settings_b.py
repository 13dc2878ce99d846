# SPDX-License-Identifier: Apache-2.0
"""The same shop under another name, for a second virtual host: the same
project code, other settings."""

from shop.settings import *  # noqa: F401,F403

SITE_NAME = "The Other Shop"
LANGUAGE_CODE = "fr"
