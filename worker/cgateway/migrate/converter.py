# SPDX-License-Identifier: Apache-2.0
"""Writes the configuration again, for mod_cgateway."""

import os
import re

from cgateway.migrate.groups import Group, group_name, line, quoted
from cgateway.migrate.model import Use, gives_to_wsgi, parents
from cgateway.migrate.reading import names_wsgi, options_of
from cgateway.migrate.sections import (Places, grants_all, is_access, is_other, leaves,
                                       shown)
from cgateway.migrate.tables import BY_HAND, GONE, MOVED, NOT, OPTIONS


class Converter:
    def __init__(self, configuration, module):
        self.conf, self.module = configuration, module
        self.replaced = {}          # id(node) -> lines
        self.before = {}            # id(node) -> lines before it
        self.appended = {}          # id(node of a virtual host) -> lines before its end
        self.undone = []            # (where, text)
        self.groups = {}            # key of uses -> Group
        self.plan()

    # ---- which application answers where

    def plan(self):
        self.places = Places(self.conf)
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
        for server in self.conf.servers:
            self.partial_locations(server)
            for scope in server.scopes:
                self.rest_of_scope(scope)
        for node in self.conf.nodes:
            for inner in node.walk():
                self.note(inner)
        for node, reason in self.conf.reader.unread:
            self.undone.append((node.where, f"{node.name} {node.words[1]}: {reason}; "
                                "it was not read (--server-root)"))

    def alias(self, server, node):
        url, target = node.words[1:3]
        if node.wsgi == "WSGIScriptAliasMatch":
            if re.fullmatch(r"\^?/?\(/?\.\*\)\$?", url):
                url = "/"           # everything
            found = re.fullmatch(r"\^?(/[\w/.-]*?)/?(?:\(/\.\*\)\??|\(/\|\$\))?\$?", url)
            if not found or not re.fullmatch(r"[^$]*(\$1)?", target):
                self.give_up(node, "write CGatewayMount /prefix for what it matches, or "
                             "<LocationMatch> with SetHandler cgateway:<group>")
                return
            url, target = found[1], target.removesuffix("$1")
        prefix = url.rstrip("/")
        target, extra = split_target(target)
        if target.endswith("/") or os.path.isdir(target):
            self.directory_alias(server, node, prefix, target.rstrip("/"))
        elif extra not in ("", prefix):
            self.give_up(node, f"{extra} behind the file's name: write CGatewayMount, or "
                         "<Location> with SetHandler cgateway:<group>, where SCRIPT_NAME "
                         "is empty")
        else:
            self.use(server, node, prefix, target, bool(extra))

    def directory_alias(self, server, node, prefix, directory):
        names = sorted(n for n in os.listdir(directory)
                       if os.path.isfile(f"{directory}/{n}") and n[0] not in ".#"
                       and n[-1] != "~") if os.path.isdir(directory) else []
        scripts = [n for n in names if n.endswith((".wsgi", ".py"))
                   or mentions(f"{directory}/{n}", b"application")]
        others = [n for n in names if n not in scripts]
        if not scripts:
            self.give_up(node, "a directory of applications: write CGatewayMount and "
                         "<CGatewayGroup> for each")
        elif others:
            self.undone.append((node.where, f"{node.name}: files that do not look like "
                                f"applications: {' '.join(others)}"))
        for name in scripts:
            self.use(server, node, f"{prefix}/{name}", f"{directory}/{name}")

    def use(self, server, node, prefix, script, is_whole=False):
        if hides(server.uses, prefix):
            self.replaced[id(node)] = self.was(
                node, "mod_wsgi never reached it: an alias before it takes its URLs")
            return
        settings = self.conf.settings_for(server, node, prefix, script)
        use = Use(server, node, prefix, script, settings)
        use.is_whole = is_whole
        if "%{" in use.daemon:
            self.undone.append((node.where, f"WSGIProcessGroup {use.daemon} depends on "
                                "the request; one group serves all of it, with the "
                                "defaults"))
            settings["WSGIProcessGroup"] = ["%{GLOBAL}"]
        elif use.daemon and use.daemon not in self.conf.daemons:
            self.undone.append((node.where, f"WSGIProcessGroup {use.daemon}: its "
                                "WSGIDaemonProcess was not read, so its options are "
                                "missing; give httpd.conf, or the file that has it"))
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
        options = self.conf.daemons.get(use.daemon, (None, {}))[1]
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
        if len(names) != 1 or None in names \
                or any(u.inherited or u.is_whole for u in group.uses) \
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
            if not use.is_whole:
                out.append(line("CGatewayMount", use.prefix or "/", group.name))
        if group.embedded and not use.inherited and not use.daemon:
            out.insert(0, "# mod_wsgi: ran within httpd's own processes; now in a group "
                          "of its own, 2 processes of 8 threads by default")
        location = self.location(use)
        place = self.places.before_sections(use)
        if place:
            self.before.setdefault(id(place), []).extend(location)
        else:
            out += location
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
        if use.is_whole:
            # The URL's prefix is in PATH_INFO, and SCRIPT_NAME is empty.
            inside.insert(0, f"SetHandler cgateway:{self.groups[use.key].name}")
        if not inside:
            return []
        is_about_applications = all(text.startswith("CGateway") for text in inside)
        below = self.below(use, [] if is_about_applications else [
            *use.server.plain_aliases, *self.conf.main.plain_aliases])
        if not below and not use.prefix and is_about_applications:
            return inside
        section, pattern = "Location", use.prefix or "/"
        if below:
            # Not what belongs to somebody else, and has its own rules.
            ends = "|".join(re.escape(url) for url in below)
            section = "LocationMatch"
            pattern = f"^{re.escape(use.prefix)}(?!(?:{ends})(?:/|$))(?:/|$)"
        return [f"<{section} {quoted(pattern)}>", *("    " + text for text in inside),
                f"</{section}>"]

    @staticmethod
    def below(use, aliases):
        """URLs below an application that are not its own, from its prefix on."""
        urls = [*(node.words[1] for node in aliases),
                *(other.prefix for other in use.server.uses)]
        return sorted({url[len(use.prefix):].rstrip("/") for url in urls
                       if url.startswith(use.prefix + "/") and url.strip("/")})

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
            if any(is_access(node) for node in leaves(scope.node)):
                rules = [scope.node]
            other += shown(scope.node.children, is_other)
            self.hide_htaccess(use)
        rules = [] if grants_all(rules) else \
            [text for node in rules for text in shown(node.children, is_access)]
        out = other + rules
        if out:
            out.insert(0, "# from the <Directory> and <Files> around the application's "
                          "file, which no longer apply to it")
        return out

    def hide_htaccess(self, use):
        for directory in parents(use.script):
            path = os.path.join(directory, ".htaccess")
            text = f"{path} no longer applies to {use.script}, behind which no file " \
                   "stands: write what it has into a <Location>"
            if os.path.exists(path) and (use.node.where, text) not in self.undone:
                self.undone.append((use.node.where, text))

    def partial_locations(self, server):
        """<Location> with another WSGIProcessGroup for a part of an application."""
        for scope in server.scopes:
            for node in scope.directives:
                if node.wsgi == "WSGIProcessGroup" and not scope.is_of_files() \
                        and id(node) not in self.conf.used:
                    self.partial_location(server, scope, node)

    def partial_location(self, server, scope, node):
        uses = [u for u in server.uses if scope.pattern.startswith(u.prefix + "/")]
        name = node.words[1]
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
        self.before.setdefault(id(scope.chain()[0].node), []).extend(out)
        self.replaced[id(node)] = self.was(node) + [f"SetHandler cgateway:{group.name}"]

    def rest_of_scope(self, scope):
        """Directives of a section that hold for no application as a whole."""
        for node in scope.directives:
            if node.wsgi not in MOVED or id(node) in self.conf.used \
                    or id(node) in self.replaced:
                continue
            word = node.words[1].capitalize() if len(node.words) > 1 else ""
            if node.wsgi in REQUEST and not scope.is_of_files() and word in ("On", "Off"):
                self.replaced[id(node)] = self.was(node) + [
                    line(REQUEST[node.wsgi], word)]
            else:
                self.give_up(node, f"<{scope.node.name}> is not all of an application "
                             "that was read")

    # ---- every other line

    def note(self, node):
        """What is said in place of a line of mod_wsgi's."""
        if id(node) in self.replaced:
            return
        if not node.active:
            self.inactive(node)
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
        elif node.wsgi in ("WSGIAuthUserScript", "WSGIAuthGroupScript") \
                and is_of_django(node):
            self.replaced[id(node)] = self.was(
                node, "Django's users are asked without it")
        elif node.wsgi in BY_HAND:
            self.give_up(node, BY_HAND[node.wsgi])
        elif node.wsgi == "WSGIImportScript" and node.words[1:] and not any(
                group.first.script == node.words[1] for group in self.groups.values()):
            self.give_up(node, "import it in the .wsgi file: each group loads its "
                         "application alone when httpd starts")
        elif node.wsgi in GONE:
            self.replaced[id(node)] = self.was(node, GONE[node.wsgi])
        elif node.wsgi == "WSGIDaemonProcess":
            self.replaced[id(node)] = self.daemon(node)
        elif node.wsgi in MOVED:
            self.replaced[id(node)] = self.was(node)
        elif node.wsgi:
            self.give_up(node, "unknown to this program")
        elif node.key in ("sethandler", "addhandler") and "wsgi-script" in node.words:
            self.handler(node)
        elif node.key == "require" and "wsgi-group" in node.words[1:3]:
            self.replaced[id(node)] = self.was(node) + [
                line(*("cgateway-group" if w == "wsgi-group" else w for w in node.words))]
        elif node.key == "authdigestprovider" and "wsgi" in node.words:
            self.give_up(node, "AuthType Basic and AuthBasicProvider cgateway; there is "
                         "no provider for Digest")
        elif PROVIDER.fullmatch(node.key) and "wsgi" in node.words:
            self.replaced[id(node)] = self.was(node) + [
                line(*("cgateway" if w == "wsgi" else w for w in node.words))]

    def inactive(self, node):
        """A line that httpd did not read: no part of what was converted."""
        if not node.wsgi:
            return
        self.replaced[id(node)] = self.was(node)
        if node.wsgi in MOVED or node.wsgi in BY_HAND:
            self.give_up(node, "its section's condition is false; for <IfDefine NAME> "
                         "convert again with -D NAME")

    def handler(self, node):
        """SetHandler or AddHandler of wsgi-script. Without it httpd would send the
        application's source."""
        scope = next((s for server in self.conf.servers for s in server.scopes
                      if node in s.directives), None)
        out = self.was(node)
        if not any(id(alias) in self.replaced and gives_to_wsgi(node, alias.words[2])
                   and (not scope or scope.covers(*alias.words[1:3]))
                   for server in self.conf.servers for alias in server.plain_aliases):
            self.give_up(node, "give each application a URL by CGatewayMount")
            out = self.replaced[id(node)]
        kind = scope.node.key.removesuffix("match") if scope else ""
        if kind in ("", "directory"):
            ends = "|".join(re.escape(word.lstrip(".")) for word in node.words[2:])
            pattern = rf"\.({ends})$" if node.key == "addhandler" else "."
            out += ["# What mod_wsgi ran is not sent as a file.",
                    f'<FilesMatch "{pattern}">', "    Require all denied",
                    "    <IfModule mod_access_compat.c>", "        Satisfy All",
                    "    </IfModule>", "</FilesMatch>"]
        elif kind == "files":
            out += ["# What mod_wsgi ran is not sent as a file.",
                    '<If "true">', "    Require all denied", "</If>"]
        self.replaced[id(node)] = out

    def daemon(self, node):
        notes, options = [], options_of(node.words[2:])
        for name in options:
            text = OPTIONS.get(name, ("", NOT + "an option unknown to this program"))[1]
            if text:
                notes.append(f"{name}: {text}")
                if text.startswith(NOT):
                    self.undone.append((node.where, f"{name}: {text.removeprefix(NOT)}"))
        daemon = node.words[1] if len(node.words) > 1 else ""
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
        for text in self.before.get(id(node), []):
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


# Those of a request, which <Location> may have here, too.
REQUEST = {"WSGIPassAuthorization": "CGatewayPassAuthorization",
           "WSGIErrorOverride": "CGatewayErrorOverride"}
PROVIDER = re.compile("auth(basic|form)provider")


def split_target(target):
    """The file that an alias leads to, and what follows its name."""
    file = target.rstrip("/")
    while file and not os.path.exists(file):
        file = file.rpartition("/")[0]
    if os.path.isfile(file):
        return file, target.rstrip("/")[len(file):]
    found = re.fullmatch(r"(.+\.(?:wsgi|py))(/.*)", target)
    return (found[1], found[2].rstrip("/")) if found else (target, "")


def is_of_django(node):
    """Whether a script for users only imports the functions that Django has for that."""
    return node.words[1:] and mentions(node.words[1],
                                       b"django.contrib.auth.handlers.modwsgi")


def mentions(path, text):
    """Whether a file that can be read has the text."""
    try:
        with open(path, "rb") as file:
            return text in file.read(1 << 20)
    except OSError:
        return False
