# SPDX-License-Identifier: Apache-2.0
from django.core.validators import FileExtensionValidator, MinValueValidator
from django.db import models

PICTURES = FileExtensionValidator(["gif", "jpeg", "jpg", "png", "webp"])


class Product(models.Model):
    name = models.CharField(max_length=100)
    price = models.DecimalField(max_digits=8, decimal_places=2,
                                validators=[MinValueValidator(0)])
    picture = models.FileField(upload_to="pictures", blank=True, validators=[PICTURES])

    class Meta:
        ordering = ["name"]

    def __str__(self):
        return self.name
