# SPDX-License-Identifier: Apache-2.0
"""httpd's configuration files as a tree: continued lines, quotes, sections, Define
and Include."""

import glob
import os
import re

from cgateway.migrate.tables import CANONICAL

TRANSPARENT = {"ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection"}


class Node:
    """A line, or a section with what is in it."""

    def __init__(self, lines, words, where):
        self.lines = lines          # as written, with continuations
        self.words = words          # name and arguments, without quotes
        self.where = where
        self.children = None        # a list: a section
        self.closing = []
        self.included = []          # what the files of an Include have
        self.expanded = False       # an Include that is printed as its files

    @property
    def name(self):
        return self.words[0] if self.words else ""

    @property
    def key(self):
        return self.name.lower()

    @property
    def wsgi(self):
        return CANONICAL.get(self.key) or (self.name if self.key.startswith("wsgi")
                                           and self.children is None else None)

    @property
    def indent(self):
        return re.match(r"\s*", self.lines[0])[0]

    def walk(self):
        yield self
        for child in self.children or ():
            yield from child.walk()


def words_of(text):
    """As httpd takes a line apart (ap_getword_conf)."""
    found, at = [], 0
    while at < len(text):
        if text[at].isspace():
            at += 1
        elif text[at] in "\"'":
            quote, word = text[at], ""
            at += 1
            while at < len(text) and text[at] != quote:
                if text[at] == "\\" and text[at + 1:at + 2] in (quote, "\\"):
                    at += 1
                word += text[at]
                at += 1
            at += 1
            found.append(word)
        else:
            end = at
            while end < len(text) and not text[end].isspace():
                end += 1
            found.append(text[at:end])
            at = end
    return found


def options_of(words):
    """name=value words of WSGIDaemonProcess and WSGIScriptAlias; a value's quotes may
    begin behind the '='."""
    options, at = {}, 0
    while at < len(words):
        name, _, value = words[at].partition("=")
        if value[:1] in ("'", '"'):
            quote = value[0]
            while not (len(value) > 1 and value.endswith(quote)) and at + 1 < len(words):
                at += 1
                value += " " + words[at]
            value = value.strip(quote)
        options[name.lower()] = value
        at += 1
    return options


class Reader:
    def __init__(self, server_root):
        self.server_root = server_root
        self.defined = {}
        self.open_files = []

    def expand(self, text):
        return re.sub(r"\$\{(\w+)\}", lambda m: self.defined.get(
            m[1], os.environ.get(m[1], m[0])), text)

    def path(self, text):
        return os.path.join(self.server_root, self.expand(text))

    def file(self, path):
        """The nodes of a file."""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            raw = file.read().splitlines()
        self.open_files.append(os.path.realpath(path))
        top, stack, at = [], [], 0
        while at < len(raw):
            lines, start = [raw[at]], at + 1
            while lines[-1].endswith("\\") and at + 1 < len(raw):
                at += 1
                lines.append(raw[at])
            at += 1
            self.line(lines, f"{path}:{start}", top, stack)
        self.open_files.pop()
        if stack:
            raise SystemExit(f"{stack[-1].where}: <{stack[-1].name}> is not closed")
        return top

    def line(self, lines, where, top, stack):
        text = "".join(one.removesuffix("\\") for one in lines).strip()
        inside = stack[-1].children if stack else top
        if text.startswith("</"):
            if not stack:
                raise SystemExit(f"{where}: {text} closes nothing")
            stack.pop().closing = lines
        elif text.startswith("<"):
            section = Node(lines, words_of(text[1:].rstrip().removesuffix(">")), where)
            section.children = []
            inside.append(section)
            stack.append(section)
        else:
            node = Node(lines, [] if text.startswith("#") else words_of(text), where)
            inside.append(node)
            self.directive(node)

    def directive(self, node):
        if node.key == "define" and len(node.words) == 3:
            self.defined[node.words[1]] = self.expand(node.words[2])
        elif node.key == "serverroot" and len(node.words) == 2:
            self.server_root = self.expand(node.words[1])
        elif node.key in ("include", "includeoptional") and len(node.words) == 2:
            self.include(node)

    def include(self, node):
        pattern = self.path(node.words[1])
        if os.path.isdir(pattern):
            pattern += "/*"
        nodes = []
        for path in sorted(glob.glob(pattern)):
            if os.path.isfile(path) and os.path.realpath(path) not in self.open_files:
                nodes += self.file(path)
        # What has nothing of mod_wsgi's stays an Include, but counts.
        node.included = nodes
        if any(is_of_wsgi(inner) for outer in nodes for inner in outer.walk()):
            node.children, node.expanded = nodes, True


def is_of_wsgi(node):
    return bool(node.wsgi) or node.key == "virtualhost" or names_wsgi(node)


def names_wsgi(node):
    """LoadModule and IfModule of mod_wsgi."""
    return node.key in ("loadmodule", "ifmodule") and \
        node.words[1:2] and node.words[1].lstrip("!") in ("wsgi_module", "mod_wsgi.c")
