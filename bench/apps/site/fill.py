"""Makes the database: run once, before the site is served."""

import os
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
os.environ["DJANGO_SETTINGS_MODULE"] = "settings"

import django  # noqa: E402
from django.core.management import call_command  # noqa: E402

django.setup()
call_command("migrate", run_syncdb=True, verbosity=0)

from books.models import Book  # noqa: E402

Book.objects.bulk_create(Book(title=f"Title {n:04}", author=f"Author {n}",
                              year=1900 + n % 120) for n in range(1000))
