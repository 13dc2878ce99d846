# SPDX-License-Identifier: Apache-2.0
from django.contrib import admin
from django.urls import path
from posts import views
from whoami import whoami

urlpatterns = [
    path("", views.post_list, name="posts"),
    path("post/<slug:slug>/", views.post, name="post"),
    path("whoami", whoami),
    path("admin/", admin.site.urls),
]
