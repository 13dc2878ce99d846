# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration again, for mod_cgateway."""

import os
import re

from cgateway.migrate.groups import Group, group_name, line, quoted
from cgateway.migrate.model import Use
from cgateway.migrate.reading import names_wsgi, options_of
from cgateway.migrate.tables import BY_HAND, GONE, MOVED, NOT, OPTIONS


class Converter:
    def __init__(self, configuration, module):
        self.conf, self.module = configuration, module
        self.replaced = {}          # id(node) -> lines
        self.appended = {}          # id(node of a virtual host) -> lines before its end
        self.undone = []            # (where, text)
        self.groups = {}            # key of uses -> Group
        self.plan()

    # ---- which application answers where

    def plan(self):
        for server in self.conf.servers:
            for node in server.aliases:
                self.alias(server, node)
        self.inherit()
        for server in self.conf.servers:
            for use in server.uses:
                self.add_use(use)
        self.name_groups()
        for server in self.conf.servers:
            for use in server.uses:
                self.write_use(use)
        for node in self.conf.nodes:
            for inner in node.walk():
                self.note(inner)
        for server in self.conf.servers:
            self.partial_locations(server)

    def alias(self, server, node):
        url, target = (self.conf.reader.expand(w) for w in node.words[1:3])
        if node.wsgi == "WSGIScriptAliasMatch":
            found = re.fullmatch(r"\^?(/[\w/.-]*?)/?(?:\(/\.\*\)\??|\(/\|\$\))?\$?", url)
            if not found or not re.fullmatch(r"[^$]*(\$1)?", target):
                self.give_up(node, "write CGatewayMount /prefix for what it matches, or "
                             "<LocationMatch> with SetHandler cgateway:<group>")
                return
            url, target = found[1], target.removesuffix("$1")
        prefix = url.rstrip("/")
        if os.path.isfile(target.rstrip("/")):
            target = target.rstrip("/")
        if target.endswith("/") or os.path.isdir(target):
            self.directory_alias(server, node, prefix, target.rstrip("/"))
            return
        self.use(server, node, prefix, target)

    def directory_alias(self, server, node, prefix, directory):
        scripts = sorted(n for n in os.listdir(directory) if n.endswith((".wsgi", ".py"))
                         ) if os.path.isdir(directory) else []
        if not scripts:
            self.give_up(node, "a directory of applications: write CGatewayMount and "
                         "<CGatewayGroup> for each")
        for name in scripts:
            self.use(server, node, f"{prefix}/{name}", f"{directory}/{name}")

    def use(self, server, node, prefix, script):
        if hides(server.uses, prefix):
            self.replaced[id(node)] = self.was(
                node, "mod_wsgi never reached it: an alias before it takes its URLs")
            return
        settings = self.conf.settings_for(server, node, prefix, script)
        use = Use(server, node, prefix, script, settings)
        if "%{" in use.daemon:
            self.undone.append((node.where, f"WSGIProcessGroup {use.daemon} depends on "
                                "the request; one group serves all of it"))
            settings["WSGIProcessGroup"] = ["%{GLOBAL}"]
        server.uses.append(use)

    def inherit(self):
        """mod_wsgi merges the main server's aliases into every virtual host."""
        for server in self.conf.servers[1:]:
            for use in self.conf.main.uses:
                if not hides(server.uses, use.prefix):
                    copy = Use(server, server.node, use.prefix, use.script, use.settings)
                    copy.inherited = True
                    server.uses.append(copy)

    def add_use(self, use):
        group = self.groups.get(use.key)
        if group:
            group.uses.append(use)
            return
        options = {n: self.conf.reader.expand(v) for n, v in
                   self.conf.daemons.get(use.daemon, (None, {}))[1].items()}
        self.groups[use.key] = Group(use, options, use.daemon not in self.conf.daemons)

    def name_groups(self):
        taken = {s.name for s in self.conf.servers}
        for group in self.groups.values():
            if self.is_own(group):
                continue            # the virtual host's own group
            script = group.first.script
            stem = os.path.splitext(os.path.basename(script))[0]
            if stem in ("wsgi", "application", "app", "index"):
                stem = os.path.basename(os.path.dirname(script)) or stem
            daemon = group.first.daemon
            shares = sum(g.first.daemon == daemon for g in self.groups.values())
            name = base = group_name(stem if not daemon else daemon if shares == 1
                                     else f"{daemon}-{stem}")
            number = 1
            while name in taken:
                number += 1
                name = f"{base}-{number}"
            taken.add(name)
            group.name = name

    def is_own(self, group):
        """Whether only virtual hosts of one name have it, as their main application."""
        names = {use.server.name for use in group.uses}
        if len(names) != 1 or None in names or any(u.inherited for u in group.uses) \
                or self.conf.main in [u.server for u in group.uses]:
            return False
        hosts = [s for s in self.conf.servers[1:] if s.name == group.first.server.name]
        return all(self.main_use(host) in group.uses or not host.uses for host in hosts)

    @staticmethod
    def main_use(server):
        own = [use for use in server.uses if not use.inherited]
        return min(own, key=lambda use: len(use.prefix), default=None)

    # ---- what is written for it

    def write_use(self, use):
        group = self.groups[use.key]
        out = []
        if use.inherited:
            out.append("# mod_wsgi: an alias of the main server, which is inherited")
        if group.name is None:
            out += group.lines()
            if use.prefix:
                out.append(line("CGatewayMount", use.prefix))
        else:
            if not group.defined:
                group.defined = True
                out += [f"<CGatewayGroup {group.name}>",
                        *("    " + text for text in group.lines()), "</CGatewayGroup>"]
            out.append(line("CGatewayMount", use.prefix or "/", group.name))
        if group.embedded and not use.inherited:
            out.insert(0, "# mod_wsgi: ran within httpd's own processes; now in a group "
                          "of its own, 2 processes of 8 threads by default")
        out += self.location(use)
        if use.inherited:
            self.appended.setdefault(id(use.server.node), []).extend(out)
        else:
            self.replaced.setdefault(id(use.node), self.was(use.node)).extend(out)
            if use.server is self.conf.main and len(self.conf.servers) == 1:
                self.replaced[id(use.node)].append(
                    "# mod_wsgi: virtual hosts inherit no mounts: repeat CGatewayMount "
                    "in each that needs it")

    def location(self, use):
        """What applied to the application by the path of its file."""
        inside = self.request_directives(use) + self.access(use)
        if not inside:
            return []
        if all(text.startswith("CGateway") for text in inside) and not use.prefix \
                and len(use.server.uses) == 1:
            return inside
        return [f"<Location {quoted(use.prefix or '/')}>",
                *("    " + text for text in inside), "</Location>"]

    @staticmethod
    def request_directives(use):
        out = []
        if use.settings.get("WSGIPassAuthorization", ["Off"])[0].lower() != "on":
            out.append("CGatewayPassAuthorization Off")
        if use.settings.get("WSGIErrorOverride", ["Off"])[0].lower() == "on":
            out.append("CGatewayErrorOverride On")
        return out

    def access(self, use):
        """<Directory> no longer applies: no file stands behind a mount."""
        rules, other = [], []
        for scope in self.conf.files_scopes(use.server, use.script):
            found = [n for n in scope.node.children if is_access(n)]
            rules = found or rules
            other += [n for n in scope.directives if n.words and not n.wsgi
                      and not is_access(n) and n.key not in FILE_DIRECTIVES]
        rules = [text for node in rules for text in shown(node)]
        if grants_all(rules):
            rules = []
        out = [text for node in other for text in shown(node)] + rules
        if out:
            out.insert(0, "# from the <Directory> and <Files> around the application's "
                          "file, which no longer apply to it")
        return out

    def partial_locations(self, server):
        """<Location> with another WSGIProcessGroup for a part of an application."""
        for scope in server.scopes:
            for node in scope.directives:
                if node.wsgi == "WSGIProcessGroup" and not scope.is_of_files() \
                        and not any(scope.matches(u.prefix or "/") for u in server.uses):
                    self.partial_location(server, scope, node)

    def partial_location(self, server, scope, node):
        uses = [u for u in server.uses if scope.pattern.startswith(u.prefix + "/")]
        name = self.conf.reader.expand(node.words[1])
        if not uses or scope.regex or name not in self.conf.daemons or uses[0].prefix:
            self.give_up(node, "a part of an application in another process group: "
                         "SetHandler cgateway:<group>, where SCRIPT_NAME is empty")
            return
        use = max(uses, key=lambda u: len(u.prefix))
        part = Use(server, node, scope.pattern, use.script,
                   {**use.settings, "WSGIProcessGroup": [name]})
        group = self.groups.get(part.key)
        if not group:
            self.add_use(part)
            group = self.groups[part.key]
        if group.name is None:
            group.name = group_name(name)
        out = []
        if not group.defined:
            group.defined = True
            out = [f"<CGatewayGroup {group.name}>",
                   *("    " + text for text in group.lines()), "</CGatewayGroup>"]
        # A group cannot be defined within <Location>: it goes before it.
        self.before = getattr(self, "before", {})
        self.before.setdefault(id(scope.chain()[0].node), []).extend(out)
        self.replaced[id(node)] = self.was(node) + [f"SetHandler cgateway:{group.name}"]

    # ---- every other line

    def note(self, node):
        """What is said in place of a line of mod_wsgi's."""
        if id(node) in self.replaced:
            return
        if names_wsgi(node) and node.key == "loadmodule":
            module = self.module or (os.path.join(os.path.dirname(node.words[2]),
                                                  "mod_cgateway.so")
                                     if node.words[2].endswith("/mod_wsgi.so")
                                     else "modules/mod_cgateway.so")
            self.replaced[id(node)] = self.was(node) + [
                line("LoadModule", "cgateway_module", module)]
        elif node.key == "loadfile" and "libpython" in node.words[-1]:
            self.replaced[id(node)] = self.was(node, "httpd never loads Python")
        elif node.wsgi in BY_HAND:
            self.give_up(node, BY_HAND[node.wsgi])
        elif node.wsgi in GONE:
            self.replaced[id(node)] = self.was(node, GONE[node.wsgi])
        elif node.wsgi == "WSGIDaemonProcess":
            self.replaced[id(node)] = self.daemon(node)
        elif node.wsgi in MOVED:
            self.replaced[id(node)] = self.was(node)
        elif node.wsgi:
            self.give_up(node, "unknown to this program")
        elif node.key in ("sethandler", "addhandler") and "wsgi-script" in node.words:
            self.give_up(node, "give each application a URL by CGatewayMount")

    def daemon(self, node):
        notes, options = [], options_of(node.words[2:])
        for name in options:
            text = OPTIONS.get(name, ("", NOT + "an option unknown to this program"))[1]
            if text:
                notes.append(f"{name}: {text}")
                if text.startswith(NOT):
                    self.undone.append((node.where, f"{name}: {text.removeprefix(NOT)}"))
        daemon = self.conf.reader.expand(node.words[1]) if len(node.words) > 1 else ""
        if not any(group.first.daemon == daemon for group in self.groups.values()):
            notes.append("no WSGIScriptAlias that was read uses it")
        return self.was(node, *notes)

    @staticmethod
    def was(node, *notes):
        text = " ".join(part.strip().rstrip("\\").rstrip() for part in node.lines)
        return [f"# was: {text}", *(f"#      {note}" for note in notes)]

    def give_up(self, node, advice):
        self.undone.append((node.where, f"{node.name}: {advice}"))
        self.replaced[id(node)] = self.was(node, NOT + advice)

    # ---- output

    def output(self, nodes=None):
        for node in self.conf.nodes if nodes is None else nodes:
            yield from self.node(node)

    def node(self, node):
        for text in getattr(self, "before", {}).get(id(node), []):
            yield node.indent + text
        if id(node) in self.replaced and node.children is None:
            yield from (node.indent + text for text in self.replaced[id(node)])
            return
        if node.expanded:
            yield f"{node.indent}# was: {node.lines[0].strip()}"
        elif names_wsgi(node):
            yield re.sub(r"mod_wsgi\.c|wsgi_module", "mod_cgateway.c", node.lines[0])
        else:
            yield from node.lines
        if node.children is not None:
            yield from self.output(node.children)
            for text in self.appended.get(id(node), []):
                yield f"{node.indent}    {text}"
            yield from node.closing


def hides(uses, prefix):
    """Whether aliases before it take the prefix: the first one that fits wins."""
    return any((prefix + "/").startswith(use.prefix + "/") for use in uses)


FILE_DIRECTIVES = {"options", "allowoverride", "allowoverridelist", "directoryindex",
                   "indexoptions", "servername"}
ACCESS = {"require", "order", "allow", "deny", "satisfy", "<requireall", "<requireany",
          "<requirenone"}


def is_access(node):
    return node.key in ACCESS or "<" + node.key in ACCESS


def shown(node, indent=""):
    """A node as lines, with the indentation of where it is put."""
    out = [indent + text.strip() for text in node.lines]
    for child in node.children or ():
        out += shown(child, indent + "    ")
    return out + [indent + text.strip() for text in node.closing]


def grants_all(rules):
    """Whether they let everybody in."""
    plain = {" ".join(text.lower().split()) for text in rules}
    return plain == {"require all granted"} or bool(plain) and plain <= {
        "order allow,deny", "order deny,allow", "allow from all", "satisfy any",
        "require all granted"} and ("allow from all" in plain)
