# SPDX-License-Identifier: Apache-2.0
import django.core.validators
from django.db import migrations, models

PICTURES = ["gif", "jpeg", "jpg", "png", "webp"]


class Migration(migrations.Migration):
    initial = True
    dependencies = []
    operations = [
        migrations.CreateModel(
            name="Product",
            fields=[
                ("id", models.BigAutoField(
                    auto_created=True, primary_key=True, serialize=False,
                    verbose_name="ID")),
                ("name", models.CharField(max_length=100)),
                ("price", models.DecimalField(
                    decimal_places=2, max_digits=8,
                    validators=[django.core.validators.MinValueValidator(0)])),
                ("picture", models.FileField(
                    blank=True, upload_to="pictures",
                    validators=[
                        django.core.validators.FileExtensionValidator(PICTURES)])),
            ],
            options={"ordering": ["name"]},
        ),
    ]
