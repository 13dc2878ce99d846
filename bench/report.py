# SPDX-License-Identifier: Apache-2.0
"""bench/results.md: tables of what was measured."""

import datetime
import os
import re

import private_httpd
from ingredients import output
from servers import OURS_NAME, PROCESSES, PYTHON, THREADS

ROLES = ["httpd", "worker", "supervisor"]


def version(text, *command):
    found = re.search(r"\d+(\.\d+)+", output(*command))
    return f"{text} {found[0]}" if found else ""


def machine():
    with open("/proc/cpuinfo", encoding="ascii") as f:
        model = re.search(r"model name\s*: (.*)", f.read())
    with open("/etc/os-release", encoding="utf-8") as f:
        system = re.search(r'PRETTY_NAME="(.*)"', f.read())[1]
    return (f"{os.cpu_count()} cores ({model[1] if model else os.uname().machine}), "
            f"{system}, Linux {os.uname().release}")


def versions(mod_wsgi):
    """What was measured, and with what."""
    found = [
        version("httpd", private_httpd.find_httpd(), "-v"),
        version("CPython", PYTHON, "-V"),
        version("Django", PYTHON, "-m", "django", "--version"),
        mod_wsgi,
        version("uWSGI", "uwsgi", "--version"),
        version("gunicorn", "gunicorn", "--version"),
        version("wrk", "wrk", "-v")]
    return ", ".join(filter(None, found))


def number(value, digits=2):
    if value is None:
        return "–"
    return f"{value:,.0f}" if value >= 100 else f"{value:.{digits}f}"


def table(heads, rows):
    lines = ["| " + " | ".join(heads) + " |", "|" + "---|" * len(heads)]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def rate_rows(rounds):
    for name in rounds.figures:
        cells = [number(rounds.median(name, f)) for f in
                 ["rate", "p50", "p99", *(f"cpu {role}" for role in ROLES[:2]),
                  *(f"peak {role}" for role in ROLES[:2])]]
        spread = f"{100 * rounds.spread(name, 'rate'):.0f} %"
        yield [name, cells[0], spread, *cells[1:],
               number(rounds.ratio(OURS_NAME, name))]


def rate_table(work, rounds):
    per = "request" if work.unit == "requests/s" else "transfer"
    return table(["contender", work.unit, "spread", "p50 ms", "p99 ms",
                  f"CPU µs per {per}: httpd", "workers", "peak MB: httpd", "workers",
                  "ours / this"], rate_rows(rounds))


def goal_table(goals):
    return table(["goal", "measured", "wanted", "met"],
                 [[text, number(value), bound, "yes" if met else "**no**"]
                  for text, value, bound, met in goals])


def syscall_table(counts):
    rows = []
    for name, roles in counts.items():
        total = sum(sum(calls.values()) for calls in roles.values())
        cells = [number(sum(roles[r].values())) if r in roles else "–" for r in ROLES[:2]]
        rows.append([name, *cells, number(total), ", ".join(
            f"{call} {count:.1f}" for role in ROLES[:2] for call, count in
            sorted(roles.get(role, {}).items(), key=lambda c: -c[1]) if count >= 0.05)])
    return table(["contender", "httpd", "workers", "together", "which (httpd's first)"],
                 rows)


def memory_table(sizes):
    return table(["contender", "httpd", "supervisor", "workers, all", "processes"],
                 [[name, *(number(size.get(role)) for role in
                           ["httpd", "supervisor", "worker"]), str(size["processes"])]
                  for name, size in sizes.items()])


def start_table(starts):
    return table(["contender", "ms", "spread"],
                 [[name, number(starts.median(name, "ms")),
                   f"{100 * starts.spread(name, 'ms'):.0f} %"] for name in starts.figures])


def heading(run):
    options = run.options
    return f"""# Results

Written by `make -f Makefile.apxs bench` on {datetime.date.today()}: {machine()};
{versions(run.versions)}.

httpd with the event MPM; {PROCESSES} processes × {THREADS} threads behind it unless the name says otherwise; the client
runs on the same cores. Medians of {options.rounds} rounds of {options.seconds} s, in which the contenders took turns. Spread: (highest -
lowest) / median. "ours / this": the median of the rounds' own ratios. CPU time: user and system, from `/proc`."""


def write(path, run, judged, drawn):
    parts = [heading(run), "## Goals\n\n" + goal_table(judged)]
    parts += [f"![{alt}]({name})" for name, alt in drawn]
    parts += [f"## {work.name}\n\n{rate_table(work, rounds)}"
              for work, rounds in run.results]
    if run.counts:
        parts.append("## System calls per trivial request, c=16\n\n"
                     + syscall_table(run.counts))
    if run.sizes:
        parts.append("## Memory of a Django site\n\nMB of proportional set size.\n\n"
                     + memory_table(run.sizes))
    if run.starts:
        parts.append("## Cold start of a Django site\n\nFrom the command to the first "
                     "answer.\n\n" + start_table(run.starts))
    path.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
