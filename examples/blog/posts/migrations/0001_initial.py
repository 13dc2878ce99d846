# SPDX-License-Identifier: Apache-2.0
import django.db.models.deletion
from django.db import migrations, models


def key():
    return models.BigAutoField(auto_created=True, primary_key=True, serialize=False,
                               verbose_name="ID")


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Post",
            fields=[
                ("id", key()),
                ("title", models.CharField(max_length=200)),
                ("slug", models.SlugField(unique=True)),
                ("text", models.TextField()),
                ("written", models.DateField()),
            ],
            options={"ordering": ["-written"]},
        ),
        migrations.CreateModel(
            name="Comment",
            fields=[
                ("id", key()),
                ("author", models.CharField(max_length=60)),
                ("text", models.TextField()),
                ("attachment", models.FileField(blank=True, upload_to="attachments")),
                ("post", models.ForeignKey(
                    on_delete=django.db.models.deletion.CASCADE,
                    related_name="comments", to="posts.post")),
            ],
            options={"ordering": ["pk"]},
        ),
    ]
