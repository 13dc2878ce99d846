# SPDX-License-Identifier: Apache-2.0
from django.contrib import admin

from .models import Comment, Post


@admin.register(Post)
class PostAdmin(admin.ModelAdmin):
    list_display = ["title", "written"]
    prepopulated_fields = {"slug": ["title"]}


admin.site.register(Comment)
