# SPDX-License-Identifier: Apache-2.0
"""A group's directives, from the options of WSGIDaemonProcess."""

import os
import re

from cgateway.migrate.tables import NOT, VARIABLES


# Options whose number becomes the last word of a directive.
LIMITS = {
    "queue-timeout": ["CGatewayQueueTimeout"],
    "request-timeout": ["CGatewayRequestTimeout"],
    "deadlock-timeout": ["CGatewayDeadlockTimeout"],
    "listen-backlog": ["CGatewayQueueSize"],
    "cpu-time-limit": ["CGatewayLimit", "cpu"],
    "cpu-priority": ["CGatewayNice"],
    "memory-limit": ["CGatewayLimit", "data"],
    "virtual-memory-limit": ["CGatewayLimit", "as"],
    "stack-size": ["CGatewayLimit", "stack"],
}
# What those directives take at most.
MOST = {"queue-timeout": 86400, "request-timeout": 86400, "deadlock-timeout": 86400,
        "listen-backlog": 65535}


def quoted(word):
    if word and not re.search(r"[\s\"'#\\<>]", word):
        return word
    return '"' + word.replace("\\", "\\\\").replace('"', '\\"') + '"'


def line(directive, *words):
    return " ".join([directive, *(quoted(str(w)) for w in words)])


def group_name(text):
    """A name without the characters that it cannot have; a parameter of a <Macro> stays,
    and becomes what the macro is used with."""
    return re.sub(r"([$@%]\w+|[$@%]\{\w+\})|[^A-Za-z0-9._-]", lambda m: m[1] or "_",
                  text).lstrip(".-")[:64] or "site"


class Group:
    """One application of one daemon process group."""

    def __init__(self, use, options, embedded):
        self.first, self.options, self.embedded = use, options, embedded
        self.uses = [use]
        self.name = None
        self.defined = False

    def lines(self):
        options, settings = self.options, self.first.settings
        out = [line("CGatewayApplication", self.first.application)]
        python, path = self.python_and_path(options, settings)
        if python:
            out.append(line("CGatewayPython", python))
        if path:
            out.append(line("CGatewayPath", *path))
        out += self.account(options)
        out += self.environment(options, settings)
        if not self.embedded:
            out += [line("CGatewayProcesses", at_most(1000, options.get("processes", 1))),
                    line("CGatewayThreads", at_most(512, options.get("threads", 15)))]
        out += self.limits(options)
        if settings.get("WSGIScriptReloading", ["On"])[0].lower() == "off":
            out.append("CGatewayWatch Off")
        return out

    def python_and_path(self, options, settings):
        python = options.get("python-home") or (settings.get("WSGIPythonHome") or [""])[0]
        text = options.get("python-path", "")
        if self.embedded:
            text = (settings.get("WSGIPythonPath") or [""])[0]
        path = []
        for entry in filter(None, text.split(":")):
            # The old way to name a virtual environment.
            found = re.fullmatch(r"(.+)/lib/python3\.\d+/site-packages/?", entry)
            if found and not python and os.path.exists(found[1] + "/bin/python3"):
                python = found[1]
            elif not (found and python == found[1]):
                path.append(entry)
        if path and options.get("home") and options["home"] not in path:
            path.insert(0, options["home"])
        return python, path

    @staticmethod
    def account(options):
        out = []
        if options.get("home"):
            out.append(line("CGatewayWorkingDirectory", options["home"]))
        if options.get("user"):
            out.append(line("CGatewayUser", options["user"],
                            *filter(None, [options.get("group")])))
        elif options.get("group"):
            out.append("# mod_wsgi: " + NOT + f"group={options['group']} without user: "
                       "CGatewayUser needs the user, too")
        if options.get("umask"):
            out.append(line("CGatewayUmask", options["umask"]))
        return out

    @staticmethod
    def environment(options, settings):
        values = {}
        for option, name in (("lang", "LANG"), ("locale", "LC_ALL"),
                             ("python-eggs", "PYTHON_EGG_CACHE")):
            if options.get(option):
                values[name] = options[option]
        for directive, name in VARIABLES.items():
            if settings.get(directive):
                values[name] = settings[directive][0]
        if settings.get("WSGIDontWriteBytecode", ["Off"])[0].lower() == "on":
            values["PYTHONDONTWRITEBYTECODE"] = "1"
        return [line("CGatewayEnv", name, value) for name, value in values.items()]

    @staticmethod
    def limits(options):
        def seconds(*names):
            given = [options[n] for n in names if options.get(n)]
            unknown = [value for value in given if "$" in value]
            return unknown[0] if unknown else max(
                (int(value) for value in given if value.isdigit()), default=0)
        out = []
        if seconds("maximum-requests"):
            out.append(line("CGatewayMaxRequests", seconds("maximum-requests")))
        if seconds("restart-interval"):
            out.append(line("CGatewayMaxLifetime",
                            at_most(31536000, seconds("restart-interval"))))
        if seconds("inactivity-timeout"):
            out.append(line("CGatewayIdleTimeout",
                            at_most(86400, seconds("inactivity-timeout"))))
        if seconds("startup-timeout"):
            out.append(line("CGatewayStartTimeout",
                            at_most(3600, seconds("startup-timeout"))))
        for option, words in LIMITS.items():
            value = options.get(option, "")
            if "$" in value or value.lstrip("-").isdigit() and (
                    value != "0" or option == "cpu-priority"):
                out.append(line(*words, at_most(MOST.get(option), value)))
        if not seconds("request-timeout"):
            out.append("# mod_wsgi: requests had any time; here 5 minutes, unless "
                       "CGatewayRequestTimeout says otherwise")
        if options.get("chroot"):
            out.append(line("CGatewayChroot", options["chroot"]))
        drain = seconds("graceful-timeout", "eviction-timeout", "shutdown-timeout")
        if drain:
            out.append(line("CGatewayDrainTimeout", at_most(86400, drain)))
        return out


def at_most(most, value):
    """The value, within a directive's range; what is not a number yet stays."""
    if most is None or not str(value).isdigit():
        return value
    return min(most, int(value))
