# SPDX-License-Identifier: Apache-2.0
from django import forms
from django.shortcuts import get_object_or_404, redirect, render

from .models import Product


class ProductForm(forms.ModelForm):
    class Meta:
        model = Product
        fields = ["name", "price", "picture"]


def product_list(request):
    return render(request, "store/list.html", {"products": Product.objects.all()})


def product(request, pk):
    return render(request, "store/product.html",
                  {"product": get_object_or_404(Product, pk=pk)})


def add(request):
    form = ProductForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        return redirect("product", pk=form.save().pk)
    return render(request, "store/add.html", {"form": form})
