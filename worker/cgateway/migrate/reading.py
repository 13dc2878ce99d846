# SPDX-License-Identifier: Apache-2.0
"""httpd's configuration files as a tree: continued lines, quotes, sections, Define
and Include."""

import glob
import os
import re

from cgateway.migrate.tables import CANONICAL

TRANSPARENT = {"ifmodule", "ifdefine", "ifversion", "iffile", "ifdirective", "ifsection"}
# <IfModule> of what every httpd 2.4 has; of any other module it is not known here.
ALWAYS_LOADED = {"mod_authz_core.c", "authz_core_module"}


class Malformed(Exception):
    """A section that does not begin or end."""


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
        self.active = True          # not in a section whose condition is false

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

    def inner(self):
        """What is in it, for httpd: the nodes of a section, or of included files."""
        return self.children if self.children is not None else self.included


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
    """Reads files as httpd does, which replaces variables and follows Define, IfDefine
    and Include while it reads."""

    def __init__(self, server_root, defined=()):
        self.server_root = server_root
        self.defined = dict.fromkeys(defined, "")
        self.open_files = []
        self.unread = []            # nodes of Include whose files cannot be read

    def expand(self, text):
        """What is not defined may be in httpd's environment, which is not this one's."""
        return re.sub(r"\$\{(\w+)\}", lambda m: self.defined.get(m[1], m[0]), text)

    def file(self, path):
        """The nodes of a file."""
        with open(path, encoding="utf-8", errors="surrogateescape") as file:
            raw = file.read().split("\n")
        if raw[-1] == "":
            raw.pop()
        self.open_files.append(os.path.realpath(path))
        top, stack, at = [], [], 0
        while at < len(raw):
            lines, start = [raw[at].removesuffix("\r")], at + 1
            while lines[-1].endswith("\\") and at + 1 < len(raw):
                at += 1
                lines.append(raw[at].removesuffix("\r"))
            at += 1
            self.line(lines, f"{path}:{start}", top, stack)
        self.open_files.pop()
        if stack:
            raise Malformed(f"{stack[-1].where}: <{stack[-1].name}> is not closed")
        return top

    def line(self, lines, where, top, stack):
        text = "".join(one.removesuffix("\\") for one in lines).strip()
        inside = stack[-1].children if stack else top
        active = not stack or stack[-1].active
        if active and not text.startswith("#"):
            text = self.expand(text)
        if text.startswith("</"):
            if not stack:
                raise Malformed(f"{where}: {text} closes nothing")
            stack.pop().closing = lines
        elif text.startswith("<"):
            section = Node(lines, words_of(text[1:].rstrip().removesuffix(">")), where)
            section.children = []
            section.active = active and self.holds(section)
            inside.append(section)
            stack.append(section)
        else:
            node = Node(lines, [] if text.startswith("#") else words_of(text), where)
            node.active = active
            inside.append(node)
            if active:
                self.directive(node)

    def holds(self, section):
        """Whether a section's condition is true, or not to be told from here."""
        word = section.words[1] if len(section.words) > 1 else ""
        name = word.removeprefix("!").lower()
        if section.key == "ifdefine":
            truth = word.removeprefix("!") in self.defined
        elif section.key == "ifversion":
            return version_fits(section.words[1:])
        elif section.key == "ifmodule" and name in ALWAYS_LOADED:
            truth = True
        else:
            return True
        return truth != word.startswith("!")

    def directive(self, node):
        if node.key == "define" and len(node.words) in (2, 3):
            self.defined[node.words[1]] = node.words[2] if len(node.words) == 3 else ""
        elif node.key == "undefine" and len(node.words) == 2:
            self.defined.pop(node.words[1], None)
        elif node.key == "serverroot" and len(node.words) == 2:
            self.server_root = node.words[1]
        elif node.key in ("include", "includeoptional") and len(node.words) == 2:
            self.include(node)

    def include(self, node):
        pattern = os.path.join(self.server_root, node.words[1])
        if os.path.isdir(pattern):
            pattern += "/*"
        nodes, found = [], sorted(glob.glob(pattern))
        if not found and node.key == "include":
            self.unread.append((node, "no such file"))
        for path in found:
            if os.path.isfile(path) and os.path.realpath(path) not in self.open_files:
                try:
                    nodes += self.file(path)
                except OSError as error:
                    self.unread.append((node, f"{path}: {error.strerror}"))
        # What has nothing of mod_wsgi's stays an Include, but counts.
        node.included = nodes
        if any(is_of_wsgi(inner) for outer in nodes for inner in outer.walk()):
            node.children, node.expanded = nodes, True


def version_fits(words):
    """<IfVersion>, for an httpd 2.4; a micro version is not known."""
    operator, version = words if len(words) == 2 else ("=", *words)
    negated, operator = operator.startswith("!"), operator.removeprefix("!")
    try:
        wanted = [int(part) for part in version.split(".")][:2]
    except ValueError:
        return True                 # a regular expression
    ours = [2, 4][:len(wanted)]
    if wanted == [2, 4] and version.count(".") > 1:
        return True
    fits = {"<": ours < wanted, "<=": ours <= wanted, ">": ours > wanted,
            ">=": ours >= wanted}.get(operator, ours == wanted)
    return fits != negated


def is_of_wsgi(node):
    return bool(node.wsgi) or node.key == "virtualhost" or names_wsgi(node)


def names_wsgi(node):
    """LoadModule and IfModule of mod_wsgi."""
    return node.key in ("loadmodule", "ifmodule") and \
        node.words[1:2] and node.words[1].lstrip("!") in ("wsgi_module", "mod_wsgi.c")
