# SPDX-License-Identifier: Apache-2.0
from django.contrib import admin
from django.urls import path
from store import views
from whoami import whoami

urlpatterns = [
    path("", views.product_list, name="products"),
    path("product/<int:pk>/", views.product, name="product"),
    path("add/", views.add, name="add"),
    path("whoami", whoami),
    path("admin/", admin.site.urls),
]
