# SPDX-License-Identifier: Apache-2.0
from django import forms
from django.shortcuts import get_object_or_404, redirect, render

from .models import Comment, Post


class CommentForm(forms.ModelForm):
    class Meta:
        model = Comment
        fields = ["author", "text", "attachment"]


def post_list(request):
    return render(request, "posts/list.html", {"posts": Post.objects.all()})


def post(request, slug):
    shown = get_object_or_404(Post, slug=slug)
    form = CommentForm(request.POST or None, request.FILES or None)
    if request.method == "POST" and form.is_valid():
        form.instance.post = shown
        form.save()
        return redirect("post", slug=slug)
    return render(request, "posts/post.html", {"post": shown, "form": form})
