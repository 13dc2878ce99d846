from django.http import HttpResponse
from django.shortcuts import render
from django.urls import path

from books.models import Book

ROWS = [{"title": f"Title {n}", "author": f"Author <{n}>", "year": 1970 + n}
        for n in range(50)]


def hello(request):
    return HttpResponse("Hello, world!\n", content_type="text/plain")


def rows(request):
    return render(request, "rows.html", {"books": ROWS})


def query(request):
    book = Book.objects.filter(year__gt=1990).order_by("title").first()
    return HttpResponse(f"{book.title}\n", content_type="text/plain")


urlpatterns = [path("", hello), path("rows", rows), path("query", query)]
