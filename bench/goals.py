# SPDX-License-Identifier: Apache-2.0
"""What mod_cgateway promises of its speed, as ratios within one run."""

from servers import OURS_2X1, OURS_NAME, PEERS, PROCESSES, THREADS

MOD_WSGI_4, MOD_WSGI_6, UWSGI = PEERS[:3]
HOP, STATIC = "limit: C hop", "httpd's static file"
TRIVIAL, HELLO = "trivial, c=16", "Django hello, c=16"
DOWNLOAD, UPLOAD = "file_wrapper download of 200 MB", "upload of 200 MB"
MIX = "mix: short pages beside 5 % of 50 ms CPU, c=16"
SLEEPERS = "sleep 10 ms, c=64"

# (work, to whom, rate at least this times theirs)
RATES = [
    (TRIVIAL, MOD_WSGI_6, 2.2), (TRIVIAL, MOD_WSGI_4, 1.7), (TRIVIAL, UWSGI, 1.3),
    (TRIVIAL, HOP, 0.85), (HELLO, MOD_WSGI_6, 1.6), (HELLO, MOD_WSGI_4, 1.6),
    (HELLO, UWSGI, 1.2), (HELLO, OURS_2X1, 0.97), (DOWNLOAD, STATIC, 0.95),
    (UPLOAD, MOD_WSGI_6, 2.0), (UPLOAD, MOD_WSGI_4, 2.0)]
TAILS = [TRIVIAL, "trivial, c=64", HELLO, SLEEPERS]


def rates(results):
    for work, other, goal in RATES:
        value = results[work].ratio(OURS_NAME, other) if work in results else None
        yield f"{work}: rate / {other}'s", value, f"≥ {goal}", value and value >= goal


def best_peer(rounds):
    values = [rounds.median(peer, "p99") for peer in PEERS]
    return min((v for v in values if v), default=None)


def tails(results):
    for work, goal in [*((w, 1.0) for w in TAILS), (MIX, 0.5)]:
        if work not in results:
            continue
        ours, best = results[work].median(OURS_NAME, "p99"), best_peer(results[work])
        value = ours / best if ours and best else None
        yield f"{work}: p99 / best peer's", value, f"≤ {goal}", value and value <= goal


def sleepers(results):
    if SLEEPERS in results:
        value = results[SLEEPERS].median(OURS_NAME, "rate")
        value = value and value / (PROCESSES * THREADS / 0.010)
        yield f"{SLEEPERS}: rate / theoretical", value, "≥ 0.95", value and value >= 0.95


def syscalls(counts):
    ours = counts.get(OURS_NAME)
    if ours:
        value = sum(sum(ours[role].values()) for role in ("httpd", "worker"))
        yield "system calls per trivial request", value, "≤ 24", value <= 24


def memory(sizes):
    for peer in PEERS[:2]:
        if OURS_NAME in sizes and peer in sizes:
            value = sizes[OURS_NAME]["worker"] / sizes[peer]["worker"]
            yield f"memory of 2 Django workers / {peer}'s", value, "≤ 0.6", value <= 0.6


def judge(results, counts, sizes):
    """[(goal, value, bound, met)]; what was not measured is left out."""
    found = [*rates(results), *tails(results), *sleepers(results), *syscalls(counts),
             *memory(sizes)]
    return [line for line in found if line[1] is not None]
