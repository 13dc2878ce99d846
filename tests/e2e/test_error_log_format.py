# SPDX-License-Identifier: Apache-2.0
"""Lines of the supervisor beside httpd's own, by the same ErrorLogFormat: the two differ
in what they say alone. Both are of the level notice and belong to no request."""

import re

from harness.httpd import until

APP = """
def application(environ, start_response):
    start_response("200 OK", [])
    return [b"ok"]
"""
# of event, worker and prefork
HTTPDS = r"AH00(?:489|292|163): .*? resuming normal operations"
OURS = r"main\.example/\d+: starting -> ready \([^)]*\)"
TIMES = [r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d", r"[A-Z][a-z]{2} [A-Z][a-z]{2} \d\d \d\d:\d\d:\d\d"]

# Each is one question; what only one of both can know (%F, %E of an error) is not asked.
# Nor is %M twice: httpd reads the message's arguments twice then, and may crash.
FORMATS = [
    "%M", "[%t] %M", "[%{u}t] [%{m}t] %M", "[%{c}t] [%{cu}t] [%{cm}t] %M",
    "[%{z}t] [%{cuz}t] %M", "[%m] [%l] [%P] [%{g}T] <%v> %M", "<%V> %M", "%-V %M",
    "100%% %M", "%L %M", "%-L %M", "[%l] {%L} (%a) %l: %M", "a[%a]b c[%-a]d %M",
    "%{c}a %A %k %E %{x}i %{x}n %{x}e %M", "%-{c}a %-A %-k %-{x}i %-{x}n %-{x}e %M",
    "[%l] %7F: %E: [client\\ %a] %M% ,\\ referer\\ %{Referer}i",
    "%M% ,\\ referer\\ %{Referer}i% (%v)", "%a%M", "%a% %M", "[%a %M", "[%a] x%M y",
    "[%4l] %M", "[%5l] %M", "[%6l] %M", "%-6l %M", "%6v% <%v> %M", "x %06l y %M",
    "two  spaces  %a  %l  %M", "  %M", "%a  %l %M", "%M% ", "a\\ b\\tc %a\\ d %M",
    "%a %% %M", "%-a%% %M", "%l%l %M",
]


def skeleton(line, message):
    """A line without its times, and with words for pid, module and message."""
    line = re.sub(message, "MESSAGE", line)
    line = re.sub(r"\b(mpm_\w+|cgateway)\b", "MODULE", line)
    for kind, pattern in enumerate(TIMES):
        line = re.sub(pattern, f"TIME{kind}", line)
    line = re.sub(r"(TIME\d)\.(\d+)", lambda m: f"{m[1]}.{len(m[2])}", line)
    return re.sub(r"\[\d{2,7}\]", "[PID]", line)


def find(httpd, message, beyond=0):
    """The first line with a message, of what the log has beyond a position."""
    return until(lambda: re.search(rf"^.*{message}.*$", httpd.log("main")[beyond:], re.M),
                 message)[0]


def configure(httpd, form):
    httpd.main(f'CGatewayApplication "{httpd.root}/apps/plain.wsgi"\n'
               f'CGatewayProcesses 1\nErrorLogFormat "{form}"')


def test_our_lines_look_as_httpds_do(httpd):
    httpd.app("plain.wsgi", APP)
    configure(httpd, "%M")
    httpd.expect_log(".")
    httpd.start()
    find(httpd, OURS)
    differ = {}
    for form in FORMATS:
        seen = len(httpd.log("main"))
        configure(httpd, form)
        httpd.graceful()
        ours = skeleton(find(httpd, OURS, seen), OURS)
        theirs = skeleton(find(httpd, HTTPDS, seen), HTTPDS)
        if ours != theirs:
            differ[form] = (ours, theirs)
    assert not differ
