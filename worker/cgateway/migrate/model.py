# SPDX-License-Identifier: Apache-2.0
"""What a configuration of mod_wsgi means: servers, daemon process groups, and what
holds for each application."""

import fnmatch
import os
import re

from cgateway.migrate.reading import TRANSPARENT, names_wsgi, options_of

SCOPES = {"directory", "directorymatch", "files", "filesmatch", "location",
          "locationmatch", "if", "elseif", "else", "proxy", "limit", "limitexcept"}

class Scope:
    """A <Directory>, <Location> or the like, with the sections around it."""

    def __init__(self, node, outer):
        self.node, self.outer = node, outer
        self.directives = []        # nodes directly in it
        words = node.words[1:]
        self.regex = node.key.endswith("match") or words[:1] == ["~"]
        self.pattern = (words[-1] if words else "").rstrip(">")

    def chain(self):
        return (self.outer.chain() if self.outer else []) + [self]

    def matches(self, text):
        if self.regex:
            return re.search(self.pattern, text) is not None
        if any(c in self.pattern for c in "*?["):
            return fnmatch.fnmatch(text, self.pattern)
        prefix = self.pattern.rstrip("/")
        return text == prefix or text.startswith(prefix + "/") or not prefix

    def covers_file(self, path):
        kind = self.node.key.removesuffix("match")
        if kind == "directory":
            if self.regex or any(c in self.pattern for c in "*?["):
                return any(self.matches(parent + end) for parent in parents(path)
                           for end in ("", "/"))
            return self.matches(os.path.dirname(path))
        if kind == "files":
            if self.regex:
                return re.search(self.pattern, os.path.basename(path)) is not None
            return fnmatch.fnmatch(os.path.basename(path), self.pattern)
        return kind in TRANSPARENT

    def is_of_files(self):
        return all(s.node.key.removesuffix("match") in ("directory", "files")
                   for s in self.chain())

    def rank(self):
        """httpd merges directories from the shortest to the longest, then files."""
        outermost = self.chain()[0]
        return (any(s.node.key.startswith("files") for s in self.chain()),
                outermost.regex, outermost.pattern.rstrip("/").count("/"))


def parents(path):
    while path != "/" and path:
        path = os.path.dirname(path)
        yield path


class Server:
    """The main server, or a virtual host."""

    def __init__(self, node, reader):
        self.node, self.reader = node, reader
        self.name = None
        self.settings = {}          # mod_wsgi directive -> arguments
        self.aliases = []           # nodes of WSGIScriptAlias and ...Match
        self.scopes = []
        self.uses = []

    def shown(self):
        return self.name or "the main server"


class Use:
    """An application at a prefix of a server."""

    def __init__(self, server, node, prefix, script, settings):
        self.server, self.node, self.prefix = server, node, prefix
        self.script, self.settings = script, settings
        self.inherited = False      # an alias of the main server

    @property
    def daemon(self):
        name = (self.settings.get("WSGIProcessGroup") or [""])[0]
        return "" if name == "%{GLOBAL}" else name

    @property
    def callable(self):
        return (self.settings.get("WSGICallableObject") or ["application"])[0]

    @property
    def application(self):
        name = self.callable
        return self.script + ("" if name == "application" else ":" + name)

    @property
    def key(self):
        return self.application, self.daemon


class Configuration:
    """Servers, daemon process groups, and what each application is told."""

    def __init__(self, reader, nodes):
        self.reader, self.nodes = reader, nodes
        self.main = Server(None, reader)
        self.servers = [self.main]
        self.daemons = {}           # name -> (node, options)
        self.collect(nodes, self.main, None)

    def collect(self, nodes, server, scope):
        for node in nodes:
            if node.key == "ifmodule" and node.words[1:] and names_wsgi(node) \
                    and node.words[1].startswith("!"):
                continue
            if node.included and not node.expanded:
                self.collect(node.included, server, scope)
            elif node.key == "virtualhost" and node.children is not None:
                host = Server(node, self.reader)
                self.servers.append(host)
                self.collect(node.children, host, None)
            elif node.children is not None and node.key in SCOPES:
                inner = Scope(node, scope)
                server.scopes.append(inner)
                self.collect(node.children, server, inner)
            elif node.children is not None and not node.key.startswith("require"):
                self.collect(node.children, server, scope)
            elif scope:
                scope.directives.append(node)
            elif node.key == "servername" and len(node.words) > 1:
                name = self.reader.expand(node.words[1]).rpartition("://")[2]
                server.name = re.sub(r":\d+$", "", name)
            elif node.wsgi:
                self.directive(node, server)

    def directive(self, node, server):
        name, words = node.wsgi, node.words[1:]
        if name == "WSGIDaemonProcess" and words:
            self.daemons[self.reader.expand(words[0])] = (node, options_of(words[1:]))
        elif name in ("WSGIScriptAlias", "WSGIScriptAliasMatch") and len(words) >= 2:
            server.aliases.append(node)
        else:
            server.settings[name] = [self.reader.expand(w) for w in words]

    def files_scopes(self, server, script):
        """Sections that apply to the script's file, in httpd's order."""
        servers = [self.main] if server is self.main else [self.main, server]
        found = [scope for s in servers for scope in s.scopes if scope.is_of_files()
                 and all(one.covers_file(script) for one in scope.chain())]
        return sorted(found, key=Scope.rank)

    def settings_for(self, server, node, prefix, script):
        settings = {**self.main.settings, **server.settings}
        scopes = self.files_scopes(server, script) + [
            s for s in server.scopes if s.node.key == "location" and not s.regex
            and not s.outer and s.matches(prefix or "/")]
        for scope in scopes:
            for inner in scope.directives:
                if inner.wsgi:
                    settings[inner.wsgi] = list(map(self.reader.expand, inner.words[1:]))
        options = options_of(node.words[3:])
        for option, name in (("process-group", "WSGIProcessGroup"),
                             ("callable-object", "WSGICallableObject"),
                             ("pass-authorization", "WSGIPassAuthorization")):
            if option in options:
                settings[name] = [self.reader.expand(options[option])]
        return settings
