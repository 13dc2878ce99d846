# SPDX-License-Identifier: Apache-2.0
"""What httpd asks about Django's users: AuthBasicProvider cgateway and Require
cgateway-group. As django.contrib.auth.handlers.modwsgi, but an unknown or inactive user
takes as long as a wrong password in every version of Django."""

from django import db
from django.contrib import auth


def _user(username):
    model = auth.get_user_model()
    try:
        user = model._default_manager.get_by_natural_key(username)
    except model.DoesNotExist:
        return None
    return user if user.is_active else None


def check_password(environ, username, password):
    """True or False; None for a user that does not exist or is not active."""
    db.reset_queries()
    try:
        user = _user(username)
        if user is None:
            # the work of a check: how long it takes must not tell who exists
            auth.get_user_model()().set_password(password)
            return None
        return bool(user.check_password(password))
    finally:
        db.close_old_connections()


def groups_for_user(environ, username):
    """Names of the user's groups; none for one that does not exist."""
    db.reset_queries()
    try:
        user = _user(username)
        return [] if user is None or not hasattr(user, "groups") else [
            group.name for group in user.groups.all()]
    finally:
        db.close_old_connections()
