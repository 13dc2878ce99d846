# SPDX-License-Identifier: Apache-2.0
from django.db import models


class Post(models.Model):
    title = models.CharField(max_length=200)
    slug = models.SlugField(unique=True)
    text = models.TextField()
    written = models.DateField()

    class Meta:
        ordering = ["-written"]

    def __str__(self):
        return self.title


class Comment(models.Model):
    post = models.ForeignKey(Post, models.CASCADE, related_name="comments")
    author = models.CharField(max_length=60)
    text = models.TextField()
    attachment = models.FileField(upload_to="attachments", blank=True)

    class Meta:
        ordering = ["pk"]

    def __str__(self):
        return f"{self.author} on {self.post}"
