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

    def covers(self, url, path):
        """Whether it holds for a URL, or for the file behind it."""
        if self.node.key == "location" and not self.regex:
            return self.matches(url)
        return self.is_of_files() and all(one.covers_file(path) for one in self.chain())

    def is_of_files(self):
        return all(s.node.key.removesuffix("match") in ("directory", "files")
                   for s in self.chain())

    def rank(self):
        """httpd merges directories from the shortest to the longest, then files."""
        outermost = self.chain()[0]
        return (any(s.node.key.startswith("files") for s in self.chain()),
                outermost.regex, outermost.pattern.rstrip("/").count("/"))


def parents(path):
    """The directories above a path."""
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
        self.plain_aliases = []     # nodes of Alias
        self.handlers = []          # nodes of SetHandler and AddHandler, in no section
        self.variables = {}         # SetEnv
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
        self.is_whole = False       # its PATH_INFO begins with the prefix

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
        self.used = set()           # ids of nodes in sections
        self.collect(nodes, self.main, None)
        for server in self.servers:
            # mod_alias comes before mod_wsgi.
            server.aliases[:0] = [node for node in server.plain_aliases
                                  if self.is_script(server, *node.words[1:3])]

    def collect(self, nodes, server, scope):
        for node in nodes:
            if not node.active or node.key == "ifmodule" and node.words[1:] \
                    and names_wsgi(node) and node.words[1].startswith("!"):
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
                name = node.words[1].rpartition("://")[2]
                server.name = re.sub(r":\d+$", "", name)
            elif node.key == "alias" and len(node.words) == 3:
                server.plain_aliases.append(node)
            elif node.key in ("sethandler", "addhandler"):
                server.handlers.append(node)
            elif node.key == "setenv" and len(node.words) == 3:
                server.variables[node.words[1]] = node.words[2]
            elif node.wsgi:
                self.directive(node, server)

    def directive(self, node, server):
        name, words = node.wsgi, node.words[1:]
        if name == "WSGIDaemonProcess" and words:
            self.daemons[words[0]] = (node, options_of(words[1:]))
        elif name in ("WSGIScriptAlias", "WSGIScriptAliasMatch") and len(words) >= 2:
            server.aliases.append(node)
        else:
            server.settings[name] = words

    def is_script(self, server, url, target):
        """Whether an Alias leads to an application, by a handler that a section gives
        to its file."""
        handlers = [*self.main.handlers, *server.handlers,
                    *(node for scope in self.scopes_of(server)
                      if scope.covers(url, target) for node in scope.directives)]
        return not os.path.isdir(target) and any(
            gives_to_wsgi(node, target) for node in handlers)

    def scopes_of(self, server):
        servers = [self.main] if server is self.main else [self.main, server]
        return [scope for one in servers for scope in one.scopes]

    def files_scopes(self, server, script):
        """Sections that apply to the script's file, in httpd's order."""
        found = [scope for scope in self.scopes_of(server) if scope.is_of_files()
                 and all(one.covers_file(script) for one in scope.chain())]
        return sorted(found, key=Scope.rank)

    def settings_for(self, server, node, prefix, script):
        settings = {**self.main.settings, **server.settings}
        scopes = self.files_scopes(server, script) + [
            s for s in self.scopes_of(server) if s.node.key == "location" and not s.regex
            and not s.outer and s.matches(prefix or "/")]
        for scope in scopes:
            for inner in scope.directives:
                if inner.wsgi:
                    settings[inner.wsgi] = inner.words[1:]
                    self.used.add(id(inner))
        options = options_of(node.words[3:])
        for option, name in (("process-group", "WSGIProcessGroup"),
                             ("callable-object", "WSGICallableObject"),
                             ("pass-authorization", "WSGIPassAuthorization")):
            if option in options:
                settings[name] = [options[option]]
        group = (settings.get("WSGIProcessGroup") or [""])[0]
        variable = re.fullmatch(r"%\{ENV:(\w+)\}", group)
        if variable:
            variables = {**self.main.variables, **server.variables}
            settings["WSGIProcessGroup"] = [variables.get(variable[1], group)]
        return settings


def gives_to_wsgi(node, target):
    """Whether a SetHandler or AddHandler has mod_wsgi run the file."""
    words = node.words[1:]
    if node.key == "sethandler":
        return words == ["wsgi-script"]
    return node.key == "addhandler" and words[:1] == ["wsgi-script"] and \
        "." + os.path.basename(target).rpartition(".")[2] in (
            "." + word.lstrip(".") for word in words[1:])
