# SPDX-License-Identifier: Apache-2.0
"""wsgi.file_wrapper: what is sent, to whom it costs something, and what a file that
changes meanwhile can do."""

import contextlib
import email
import gzip
import hashlib
import os
import random
import urllib.parse
import zlib

import pytest

from harness.http2 import Http2
from harness.httpd import until
from harness.paths import HTTPD_USER, MPM
from harness.usage import httpd_children, open_files, resident

DATA = bytes(range(251)) * 1200
LETTERS = b"only letters"
LARGE = 20 << 20
GET = b"GET %s HTTP/1.1\r\nHost: a.example\r\n\r\n"


@pytest.fixture
def files(httpd):
    """The directory of the files; belongs to the application's user."""
    directory = httpd.mkdir("files", owner=HTTPD_USER)
    os.chmod(directory, 0o777)
    (directory / "data").write_bytes(DATA)
    (directory / "data").chmod(0o666)
    (directory / "data.gz").write_bytes(gzip.compress(DATA))
    (directory / "letters").write_bytes(LETTERS)
    (directory / "empty").write_bytes(b"")
    return directory


@pytest.fixture
def site(httpd, files):
    def start(*lines, modules=(), main=""):
        httpd.load(*modules)
        httpd.main(main)
        httpd.wsgi("files.wsgi", "CGatewayProcesses 1", f"CGatewayEnv FILES {files}",
                   *lines)
        httpd.start()
        return httpd
    return start


def make_large(path, size=LARGE):
    """Random bytes; returns their SHA-1."""
    digest, block = hashlib.sha1(), random.Random(3).randbytes(1 << 20)
    with path.open("wb") as out:
        for number in range(size >> 20):
            piece = number.to_bytes(4, "big") + block[4:]
            out.write(piece)
            digest.update(piece)
    path.chmod(0o666)
    return digest.hexdigest()


def report(httpd):
    return httpd.get("/report").json()


# ---- what is sent ---------------------------------------------------------------

BODIES = {
    "/plain": DATA, "/offset": DATA[-10:], "/begun": None, "/at-the-end": b"",
    "/beyond-the-end": b"", "/raw": DATA, "/random": DATA, "/temporary": DATA[-20:],
    "/named": DATA[-20:], "/deleted": DATA[-20:], "/spooled-memory": DATA[10:],
    "/spooled-file": DATA[10:], "/unflushed": b"456789", "/bytes": DATA,
    "/bytes-offset": DATA[-10:], "/gzip": DATA, "/own": DATA,
    "/upper": LETTERS.upper(), "/patched": b"patched", "/pipe": b"from a pipe",
    "/empty": b""}
BODIES["/begun"] = DATA[DATA.index(b"\n") + 1 + 7:]


@pytest.mark.parametrize("sendfile", ["Off", "On"])
def test_every_kind_of_file_arrives_whole_and_is_closed(site, sendfile):
    httpd = site(f"EnableSendfile {sendfile}")
    for path, body in BODIES.items():
        answer = httpd.get(path)
        assert (answer.status, answer.body == body) == (200, True), path
        assert httpd.request(path, "HEAD").body == b""
    # the client has the last byte before the application's close() is called
    until(lambda: {is_closed for _, is_closed in report(httpd)["given"]} == {1},
          f"every file to be closed, once: {report(httpd)['given']}")


@pytest.mark.parametrize("path", ["/plain", "/bytes", "/own"])
@pytest.mark.parametrize("length", [0, 1, 100_000])
def test_content_length_shorter_than_the_file(site, path, length):
    httpd = site()
    httpd.expect_log("CGW0404")
    with httpd.connection() as connection:
        answer = connection.get(f"{path}?Content-Length={length}")
        assert answer.body == DATA[:length]
        assert answer.headers.get_all("Content-Length") == [str(length)]
        assert connection.get("/offset").body == DATA[-10:], "in step"


@pytest.mark.parametrize("path, why", [
    ("/text", "must be bytes"), ("/write-only", "UnsupportedOperation"),
    ("/write-only-raw", "UnsupportedOperation"), ("/closed", "closed file")])
def test_what_cannot_be_read_as_bytes_is_a_500_that_says_why(site, path, why):
    httpd = site()
    httpd.expect_log("CGW0121")
    with httpd.connection() as connection:
        assert connection.get(path).status == 500
        httpd.wait_log(why)
        assert connection.get("/offset").body == DATA[-10:]


def test_the_same_file_object_serves_several_requests_at_a_time(site, files):
    """Its position is one for all of them; what is sent must not depend on it."""
    digest = make_large(files / "large")
    httpd = site()
    with contextlib.ExitStack() as stack:
        clients = [stack.enter_context(httpd.raw()) for _ in range(6)]
        for raw in clients:
            raw.send(GET.replace(b"1.1", b"1.0") % b"/shared")
        for raw in clients:
            raw.receive_until(b"\r\n\r\n")
        for raw in clients:
            body = raw.receive_all()[0].split(b"\r\n\r\n", 1)[1]
            assert hashlib.sha1(body).hexdigest() == digest


# ---- ranges and conditions --------------------------------------------------------

def test_a_connection_is_kept_behind_a_large_file_for_a_client_that_takes_it(site, files):
    make_large(files / "large")
    with site().connection() as connection:
        connection.get("/large")
        kept = connection.http.sock
        assert kept and connection.get("/offset").body == DATA[-10:]
        assert connection.http.sock is kept


@pytest.mark.parametrize("path", ["/plain", "/offset", "/temporary"])
@pytest.mark.parametrize("wanted, first, last", [
    ("0-0", 0, 0), ("3-", 3, None), ("-4", -4, None), ("2-8", 2, 8)])
def test_a_range(site, path, wanted, first, last):
    whole = BODIES[path]
    first = first if first >= 0 else len(whole) + first
    last = len(whole) - 1 if last is None else last
    answer = site().get(path, headers={"Range": f"bytes={wanted}"})
    assert (answer.status, answer.body) == (206, whole[first:last + 1])
    assert answer.headers["Content-Range"] == f"bytes {first}-{last}/{len(whole)}"


def test_several_ranges(site):
    answer = site().get("/plain", headers={"Range": "bytes=0-4,100000-100009,-3"})
    assert answer.status == 206
    message = email.message_from_bytes(
        b"Content-Type: " + answer.headers["Content-Type"].encode() + b"\r\n\r\n"
        + answer.body)
    assert [part.get_payload(decode=True) for part in message.get_payload()] == \
        [DATA[:5], DATA[100_000:100_010], DATA[-3:]]
    assert [part["Content-Range"].split("/")[0] for part in message.get_payload()] == \
        ["bytes 0-4", "bytes 100000-100009", f"bytes {len(DATA) - 3}-{len(DATA) - 1}"]


def test_a_range_of_a_large_file(site, files):
    make_large(files / "large")
    httpd = site()
    with (files / "large").open("rb") as source:
        for first, last in ((0, 99), (5 << 20, 15 << 20), (LARGE - 100, LARGE - 1)):
            answer = httpd.get("/large", headers={"Range": f"bytes={first}-{last}"})
            source.seek(first)
            assert answer.status == 206
            assert answer.body == source.read(last - first + 1)


def test_a_range_beyond_the_end_is_a_416(site):
    httpd = site()
    with httpd.connection() as connection:
        answer = connection.get("/plain", headers={"Range": f"bytes={len(DATA)}-"})
        assert answer.status == 416
        assert connection.get("/plain").body == DATA


DATE, EARLIER = "Fri, 01 May 2026 10:00:00 GMT", "Thu, 30 Apr 2026 10:00:00 GMT"
LATER = "Sat, 02 May 2026 10:00:00 GMT"
TAGGED = '/plain?ETag="one"'
DATED = "/plain?Last-Modified=Fri,%2001%20May%202026%2010:00:00%20GMT"


@pytest.mark.parametrize("path, validator, status", [
    (TAGGED, '"one"', 206), (TAGGED, '"two"', 200), (DATED, DATE, 206),
    (DATED, EARLIER, 200), ("/plain", '"one"', 200)])
def test_if_range(site, path, validator, status):
    answer = site().get(path, headers={"Range": "bytes=0-9", "If-Range": validator})
    assert answer.status == status
    assert answer.body == (DATA[:10] if status == 206 else DATA)


@pytest.mark.parametrize("path, header, value, status", [
    (TAGGED, "If-None-Match", '"one"', 304), (TAGGED, "If-None-Match", '"two"', 200),
    (TAGGED, "If-None-Match", "*", 304), (TAGGED, "If-Match", '"one"', 200),
    (TAGGED, "If-Match", '"two"', 412), (DATED, "If-Modified-Since", DATE, 304),
    (DATED, "If-Modified-Since", EARLIER, 200),
    (DATED, "If-Unmodified-Since", EARLIER, 412),
    (DATED, "If-Unmodified-Since", LATER, 200),
    ("/plain", "If-None-Match", '"one"', 200),
    ("/plain", "If-Modified-Since", DATE, 200),
    (TAGGED + "&X-Status=203 As It Is", "If-None-Match", '"one"', 203)])
def test_conditional_requests(site, path, header, value, status):
    httpd = site()
    with httpd.connection() as connection:
        answer = connection.get(path.replace(" ", "+"), headers={header: value})
        assert answer.status == status
        if status in (200, 203):
            assert answer.body == DATA
        if status == 304:
            assert answer.body == b""
            assert (answer.headers["ETag"] or "") == ('"one"' if "ETag" in path else "")
        assert connection.get("/offset").body == DATA[-10:], "in step"


# ---- as httpd's own files --------------------------------------------------------------

ABOUT_A_FILE = ("ETag", "Last-Modified", "Content-Length", "Content-Range",
                "Accept-Ranges")


def conditions(tag, date):
    """Headers of requests, by the validators of a file."""
    for headers in (
            {}, {"If-None-Match": tag}, {"If-None-Match": f'"x", {tag}'},
            {"If-None-Match": f"W/{tag}"}, {"If-None-Match": '"x"'},
            {"If-None-Match": "*"}, {"If-Match": tag}, {"If-Match": '"x"'},
            {"If-Match": "*"}, {"If-Modified-Since": date},
            {"If-Modified-Since": EARLIER}, {"If-Modified-Since": "no date"},
            {"If-Unmodified-Since": date}, {"If-Unmodified-Since": EARLIER},
            {"If-None-Match": '"x"', "If-Modified-Since": date},
            {"If-None-Match": tag, "If-Modified-Since": EARLIER}):
        for wanted in ({}, {"Range": "bytes=5-9"}, {"Range": "bytes=-3"},
                       {"Range": "bytes=9999999-"}, {"Range": "lines=1-2"},
                       {"Range": "bytes=5-9", "If-Range": tag},
                       {"Range": "bytes=5-9", "If-Range": '"x"'},
                       {"Range": "bytes=5-9", "If-Range": date}):
            yield {**headers, **wanted}


def answer_about(connection, path, method, headers):
    answer = connection.request(path, method, headers=headers)
    return answer.status, answer.body, {
        name: answer.headers[name] for name in ABOUT_A_FILE}


@pytest.mark.parametrize("name", ["data", "empty"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_conditions_and_ranges_are_answered_as_for_a_file_of_httpd(
        site, files, method, name):
    httpd = site(f'Alias /static "{files}"', f"CGatewaySendfileRoot {files}",
                 "FileETag MTime Size")
    os.utime(files / name, (1_777_629_600, 1_777_629_600))
    with httpd.connection() as connection:
        static = connection.get(f"/static/{name}")
        tag, date = static.headers["ETag"], static.headers["Last-Modified"]
        assert tag and date == DATE
        known = urllib.parse.urlencode({"ETag": tag, "Last-Modified": date})
        way = {"data": "plain"}.get(name, name)
        named = urllib.parse.urlencode({"X-Sendfile": files / name})
        for headers in conditions(tag, date):
            expected = answer_about(connection, f"/static/{name}", method, headers)
            assert answer_about(connection, f"/{way}?{known}", method, headers) \
                == expected, headers
            assert answer_about(connection, f"/bytes?{named}", method, headers) \
                == expected, headers


# ---- what it costs ------------------------------------------------------------------

def test_no_descriptor_stays_open(site, files):
    make_large(files / "large")
    httpd = site()
    before = report(httpd)["open"]
    for _ in range(40):
        with httpd.connection() as connection:
            connection.get("/plain")
            connection.get("/large", headers={"Range": "bytes=7-9"})
            connection.get(TAGGED, headers={"If-None-Match": '"one"'})
            connection.request("/plain", "HEAD")
        with httpd.raw() as raw:        # goes away in the middle
            raw.send(GET % b"/large")
            raw.receive_until(b"\r\n\r\n")
    until(lambda: report(httpd)["open"] <= before + 1, "the worker to close its files")
    for pid in httpd_children(httpd):
        until(lambda pid=pid: open_files(pid) < 60, "httpd to close its files")


def test_a_large_download_takes_constant_memory_and_no_worker(site, files):
    size = 200 << 20
    digest = make_large(files / "large", size)
    httpd = site("CGatewayThreads 1")
    assert report(httpd)["given"] == []
    processes = [*httpd_children(httpd), *httpd.workers("a.example")]
    before = {pid: resident(pid) for pid in processes}
    received, sha = 0, hashlib.sha1()
    with httpd.raw() as raw:
        raw.send(b"GET /large HTTP/1.0\r\nHost: a.example\r\n\r\n")
        head, rest = raw.receive_until(b"\r\n\r\n").split(b"\r\n\r\n", 1)
        assert b"Content-Length: %d" % size in head
        received, peak = len(rest), dict(before)
        sha.update(rest)
        # the only worker thread there is answers while the client has little
        until(lambda: report(httpd)["given"][-1] == ["/large", True], "the worker's part")
        while data := raw.socket.recv(1 << 20):
            received += len(data)
            sha.update(data)
            if received % 16 == 0:
                for pid in processes:
                    peak[pid] = max(peak[pid], resident(pid))
    assert (received, sha.hexdigest()) == (size, digest)
    for pid in processes:
        peak[pid] = max(peak[pid], resident(pid))
        assert peak[pid] - before[pid] < 20 << 20, (pid, before[pid], peak[pid])


def test_a_large_download_is_as_fast_as_a_file_of_httpd(site, files):
    """Best of several, in turn; measured 0.95 to 1.05, and a noisy machine may
    halve that."""
    make_large(files / "large", 100 << 20)
    httpd = site(f'Alias /static "{files}"')
    best = {"/large": 60, "/static/large": 60}
    for _ in range(6):
        for path in best:
            run = httpd.curl(path, "--output", "/dev/null", "--write-out", "%{time_total}")
            assert run.returncode == 0
            best[path] = min(best[path], float(run.stdout))
    assert best["/large"] < 2 * best["/static/large"] + 0.05, best


@pytest.mark.skipif(MPM != "event", reason="other MPMs keep a thread for each client")
def test_slow_downloads_hold_no_thread_of_httpd(site, files):
    digest = make_large(files / "large")
    limits = ("StartServers 1", "ServerLimit 1", "ThreadsPerChild 4",
              "MaxRequestWorkers 4", "MinSpareThreads 1", "MaxSpareThreads 4",
              "AsyncRequestWorkerFactor 20", "SendBufferSize 65536")
    httpd = site("EnableSendfile On", main="\n".join(limits))
    httpd.expect_log("AH00484")     # MaxRequestWorkers is reached, which is the point
    with contextlib.ExitStack() as stack:
        slow = [stack.enter_context(httpd.raw()) for _ in range(12)]
        for raw in slow:
            raw.send(GET % b"/large")
        for raw in slow:
            raw.receive_until(b"\r\n\r\n")
        assert httpd.get("/offset").body == DATA[-10:]
        for raw in slow:
            body = raw.receive_all()[0].split(b"\r\n\r\n", 1)[1]
            assert hashlib.sha1(body).hexdigest() == digest


# ---- files that change meanwhile --------------------------------------------------------

@pytest.mark.parametrize("sendfile", ["Off", "On"])
def test_a_file_that_is_cut_ends_the_connection_behind_it(site, files, sendfile):
    """The second answer must never be taken for the rest of the first."""
    make_large(files / "victim")
    httpd = site(f"EnableSendfile {sendfile}")
    httpd.expect_log("CGW0151")
    with httpd.raw() as raw:
        raw.send(GET % b"/victim" + GET % b"/offset")
        raw.receive_until(b"\r\n\r\n")
        assert httpd.get("/cut").body == b"cut"
        received = raw.receive_all()[0]
    assert received.count(b"HTTP/1.1 200") == 1
    assert len(received) < LARGE
    if sendfile == "Off":
        httpd.wait_log("CGW0151")


def test_a_file_that_is_cut_is_truncated_behind_a_filter_too(site, files):
    """mod_deflate takes the length away: only a missing end shows it."""
    make_large(files / "victim")
    httpd = site("SetOutputFilter DEFLATE", modules=["filter", "deflate"])
    httpd.expect_log("CGW0151", "CGW0123", "AH10298: failed reading from CGATEWAY FILE")
    with httpd.raw() as raw:
        raw.send(b"GET /victim HTTP/1.1\r\nHost: a.example\r\nAccept-Encoding: gzip\r\n"
                 b"\r\n")
        assert b"chunked" in raw.receive_until(b"\r\n\r\n")
        assert httpd.get("/cut").body == b"cut"
        received = raw.receive_all()[0]
    assert not received.endswith(b"0\r\n\r\n")
    httpd.wait_log("CGW0123")
    assert "exit signal" not in httpd.log("main"), "no process of httpd crashed"


# ---- other ways to the client ------------------------------------------------------------

@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 does not work with it")
def test_files_over_http_2(site, files):
    digest = make_large(files / "large")
    httpd = site("Protocols h2c http/1.1", modules=["http2"])
    run = httpd.curl("/large", "--http2-prior-knowledge")
    assert run.returncode == 0
    assert hashlib.sha1(run.stdout).hexdigest() == digest
    run = httpd.curl("/plain", "--http2-prior-knowledge", "--range", "5-99999")
    assert run.stdout == DATA[5:100_000]


@pytest.mark.skipif(MPM == "prefork", reason="mod_http2 does not work with it")
def test_a_file_that_is_cut_does_not_end_as_if_complete_over_http_2(site, files):
    make_large(files / "victim")
    httpd = site("Protocols h2c http/1.1", modules=["http2"])
    with Http2(httpd.port, window=1000) as client:
        client.reads = False
        stream = client.ask("/victim")
        client.receive_until(lambda: stream.body)
        assert httpd.get("/cut").body == b"cut"
        client.read_on()
        while not (client.is_closed or stream.is_over):
            client.receive()
        assert not stream.ended and len(stream.body) < LARGE


def test_files_through_mod_deflate(site, files):
    digest = make_large(files / "large")
    httpd = site("SetOutputFilter DEFLATE", modules=["filter", "deflate"])
    answer = httpd.get("/large", headers={"Accept-Encoding": "gzip"})
    assert answer.headers["Content-Encoding"] == "gzip"
    assert hashlib.sha1(zlib.decompress(answer.body, 31)).hexdigest() == digest
