# SPDX-License-Identifier: Apache-2.0
"""What stands in the sections of a configuration, and where a section can stand."""

from cgateway.migrate.model import SCOPES
from cgateway.migrate.reading import TRANSPARENT

HANDLERS = {"sethandler", "addhandler"}
FILE_DIRECTIVES = {"options", "allowoverride", "allowoverridelist", "directoryindex",
                   "indexoptions", "servername"}
ACCESS = {"require", "order", "allow", "deny", "satisfy", "<requireall", "<requireany",
          "<requirenone"}


# Sections within <Directory> that may stand within <Location>.
WRAPPERS = {*TRANSPARENT, "limit", "limitexcept", "if", "elseif", "else"}


def is_access(node):
    return node.key in ACCESS or node.children is not None and "<" + node.key in ACCESS


def is_other(node):
    return bool(node.words) and not node.wsgi and not is_access(node) \
        and node.key not in FILE_DIRECTIVES and node.key not in HANDLERS \
        and (node.children is None or node.key not in SCOPES)


def is_wrapper(node):
    return node.key in WRAPPERS or bool(node.inner()) and "include" in node.key


def leaves(node):
    """What a section has, without the wrappers around it."""
    for child in node.inner():
        if child.active and is_wrapper(child):
            yield from leaves(child)
        elif child.active:
            yield child


def shown(nodes, wanted, indent=""):
    """The nodes that are wanted, as lines, with the wrappers around them."""
    out = []
    for node in nodes:
        if is_wrapper(node):
            inner = shown(node.inner(), wanted, indent + "    ")
            is_section = node.key in WRAPPERS
            if inner and is_section:
                out += [indent + node.lines[0].strip(), *inner,
                        *(indent + text.strip() for text in node.closing)]
            elif inner:
                out += [text[4:] for text in inner]
        elif wanted(node):
            out += whole(node, indent)
    return out


def whole(node, indent):
    """A node as lines, with the indentation of where it is put."""
    out = [indent + text.strip() for text in node.lines]
    for child in node.children or ():
        out += whole(child, indent + "    ")
    return out + [indent + text.strip() for text in node.closing]


def grants_all(sections):
    """Whether their rules let everybody in."""
    found = [node for section in sections for node in leaves(section) if is_access(node)]
    if any(inner.key in ("limit", "limitexcept", "if", "elseif", "else")
           for section in sections for inner in everything(section)):
        return False
    plain = {" ".join(node.words).lower() for node in found}
    return plain == {"require all granted"} or bool(plain) and plain <= {
        "order allow,deny", "order deny,allow", "allow from all", "satisfy any",
        "require all granted"} and ("allow from all" in plain)


class Places:
    """Where in the output a line of a server can stand."""

    def __init__(self, configuration):
        self.place = {}             # id(node) -> (its place, what is printed there)
        for server in configuration.servers:
            nodes = configuration.nodes if server.node is None else server.node.children
            for at, node in enumerate(nodes):
                for inner in everything(node):
                    self.place[id(inner)] = at, node

    def before_sections(self, use):
        """httpd merges <Location> in the order of the file, the last one wins: what is
        written for all of an application has to come before those that the server has
        for parts of it. The node to write it before; None: where its alias stands."""
        sections = [self.place[id(scope.chain()[0].node)] + (scope.chain()[0].node,)
                    for scope in use.server.scopes if not scope.is_of_files()]
        if not sections:
            return None
        at, printed, section = sections[0]
        own = len(sections) + at if use.inherited else self.place[id(use.node)][0]
        if at < own:
            return printed
        return section if at == own and precedes(printed, section, use.node) else None


def everything(node):
    yield node
    for child in node.inner():
        yield from everything(child)


def precedes(outer, one, other):
    order = [id(node) for node in everything(outer)]
    return order.index(id(one)) < order.index(id(other))
