# SPDX-License-Identifier: Apache-2.0
"""The worker as its supervisor and httpd see it."""

import json
import os
import socket
import threading
import time

import pytest

import worker_harness as h

HERE = os.path.dirname(os.path.abspath(__file__))
EXCEPTION, RESPONSE, PROTOCOL, ABORTED, LATE, TIMEOUT = 1, 2, 3, 5, 6, 7

pytestmark = pytest.mark.skipif(
    not os.path.exists(os.path.join(h.LIBRARY, "_cgateway.abi3.so")),
    reason="build first: make -f Makefile.apxs")


def running(**options):
    return h.Group("worker_application", [HERE], **options).start()


@pytest.fixture(scope="module", params=["fork", "solo"])
def group(request):
    g = running(fork=request.param == "fork")
    yield g
    assert g.stop() == 0


@pytest.fixture
def own():
    g = running()
    yield g
    g.stop()


def started(group, path):
    """A request with a body whose application has begun; it logs that."""
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO=path), h.HAS_BODY,
                                  False))
    assert exchange.next_frame() == h.LOG
    return exchange


def shown(response):
    assert response.fail is None, response.fail[1]
    return json.loads(response.body)


def microseconds():
    return time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1000


# ---- the queue --------------------------------------------------------------

def test_a_request_that_waited_too_long_is_not_run(group):
    exchange = group.exchange()
    fields = dict(h.ENVIRON, PATH_INFO="/no/such/path")
    exchange.send(h.request_frame(fields, sent_us=microseconds() - 2000,
                                  queue_ms=1))
    assert exchange.finish().fail == (LATE, "")


def test_a_request_within_its_time_runs(group):
    exchange = group.exchange()
    fields = dict(h.ENVIRON, PATH_INFO="/environ")
    exchange.send(h.request_frame(fields, sent_us=microseconds(),
                                  queue_ms=60000))
    assert shown(exchange.finish())["PATH_INFO"] == "/environ"


@pytest.mark.parametrize("flags, first", [(0, h.HEAD), (h.TELL, h.TAKEN)])
def test_a_worker_tells_that_it_took_a_request_where_it_is_asked(group, flags,
                                                                 first):
    response = group.ask("/environ", flags=flags)
    shown(response)
    assert response.frames[0][0] == first


def test_a_request_that_httpd_gave_up_while_it_waited_is_not_run(own):
    """The word that it was taken cannot be sent: httpd takes no more."""
    exchange = own.exchange()
    exchange.socket.shutdown(socket.SHUT_RD)
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/no/such/path"),
                                  h.TELL))
    exchange.close()
    assert shown(own.ask("/environ"))
    assert "no/such/path" not in own.log()


# ---- the deadline -----------------------------------------------------------

def ask_with_deadline(group, path, ms):
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO=path), deadline_ms=ms))
    return exchange


def test_a_request_beyond_its_deadline_ends_with_the_stack_of_its_thread(own):
    kind, text = ask_with_deadline(own, "/hang", 300).finish().fail
    assert kind == TIMEOUT
    assert "in hang" in text and "in application" in text
    assert "_process.py" not in text
    assert own.hear(own.worker_control)[0] == h.OVERDUE
    assert shown(own.ask("/environ")), "the other thread serves"


def test_requests_within_their_deadlines_are_left_alone(own):
    for _ in range(20):
        assert shown(ask_with_deadline(own, "/environ", 60000).finish())


# ---- environ ----------------------------------------------------------------

def test_environ_is_complete_and_native(group):
    env = shown(group.ask("/environ", HTTP_X_OTHER="gr\xfc\xdf",
                          HTTP_COOKIE="a=b"))
    assert env["HTTP_X_OTHER"] == "gr\xfc\xdf"
    assert env["HTTP_COOKIE"] == "a=b"
    assert env["wsgi.version"] == [1, 0]
    assert env["wsgi.url_scheme"] == "http"
    assert env["wsgi.multithread"] is True
    assert env["wsgi.multiprocess"] is False
    assert env["wsgi.run_once"] is False
    assert env["wsgi.input_terminated"] is True
    assert env["cgateway.group"] == "shop"


def test_values_do_not_leak_into_the_next_request(group):
    for n in range(300):
        env = shown(group.ask("/environ", HTTPS="on" if n % 2 else "off",
                              **{"HTTP_X_%d" % n: "v%d" % n}))
        assert env["HTTP_X_%d" % n] == "v%d" % n
        assert env["HTTPS"] == ("on" if n % 2 else "off")
        assert "HTTP_X_%d" % (n - 1) not in env


def test_https_sets_the_scheme(group):
    assert shown(group.ask("/environ", flags=h.HTTPS))["wsgi.url_scheme"] \
        == "https"


def test_long_names_and_values(group):
    name, value = "HTTP_" + "N" * 3000, "v" * 300000
    assert shown(group.ask("/environ", **{name: value}))[name] == value


def test_process_is_as_the_application_expects(group):
    seen = shown(group.ask("/process"))
    assert seen["argv"] == ["cgateway"]
    assert seen["path"][0] == HERE
    assert h.LIBRARY not in seen["path"]
    assert seen["thread"].startswith("cgateway-")
    assert seen["group"] == "shop"
    assert seen["gone"] is False
    assert seen["comm"] == "cgw:shop"


# ---- input ------------------------------------------------------------------

@pytest.mark.parametrize("size", [0, 1, 70000, 3 << 20])
def test_body_arrives_whole(group, size):
    body = os.urandom(size)
    pieces = [body[i:i + (1 << 20)] for i in range(0, size, 1 << 20)]
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/echo"),
                                  h.HAS_BODY, False))
    sender = threading.Thread(target=lambda: [
        exchange.send(h.frame(h.BODY, piece)) for piece in pieces]
        + [exchange.send(h.frame(h.BODY_END))])
    sender.start()
    response = exchange.finish()
    sender.join()
    assert response.body == body
    assert response.length == size


@pytest.mark.parametrize("asked", ["-1", "5", "9000000"])
def test_read_sizes(group, asked):
    body = b"0123456789"
    want = body if int(asked) < 0 else body[:int(asked)]
    assert group.ask("/echo", body, QUERY_STRING=asked).body == want


def test_every_way_to_read(group):
    body = b"abcdef\nline two\nthree\nfour\nfive\nsix"
    got = eval(group.ask("/reads", body).body)
    assert got == [b"", b"abc", b"def\n", b"li", b"ne two\n", [b"three\n"],
                   b"four\n", [b"five\n", b"six"], b"", b"", b"", []]


def test_body_that_trickles(group):
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/lines"),
                                  h.HAS_BODY, False))
    stream = h.frame(h.BODY, b"ab\ncd") + h.frame(h.BODY) \
        + h.frame(h.BODY, b"\nef", last=True)
    for n in range(len(stream)):
        exchange.send(stream[n:n + 1])
    assert exchange.finish().body == b"8"


@pytest.mark.parametrize("ending", [b"", h.frame(0x10), b"\xff" * 8])
def test_body_that_breaks_off_is_never_an_end(group, ending):
    exchange = started(group, "/read_broken")
    exchange.send(h.frame(h.BODY, b"half") + ending)
    if not ending:
        exchange.socket.shutdown(socket.SHUT_WR)
    assert exchange.finish().fail[0] == ABORTED
    assert shown(group.ask("/events")) == ["broken True"]


def test_application_that_ignores_its_body(group):
    response = group.ask("/empty", b"x" * 100000)
    assert response.status == 200 and response.complete


def test_reading_and_answering_at_once_does_not_deadlock(group):
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/big"),
                                  h.HAS_BODY, False))

    def send_all():
        try:
            for _ in range(20):
                exchange.send(h.frame(h.BODY, b"x" * (1 << 20)))
        except OSError:
            pass    # the worker has answered and hung up
    sender = threading.Thread(target=send_all)
    sender.start()
    response = exchange.finish()
    sender.join()
    assert response.complete and len(response.body) == (5 << 20) + 20100


def test_objects_kept_after_the_request(group):
    group.ask("/errors")
    group.ask("/keep_input")
    assert b"after the end" in group.ask("/late").body
    group.await_log("a late line")
    assert b"after the end" in group.ask("/late_write").body


# ---- errors -----------------------------------------------------------------

def test_error_lines_come_as_log_frames(group):
    response = group.ask("/errors")
    texts = [text for _, text in response.logs]
    assert texts[:3] == ["one", "two and", "gr\xfc\xdf \\udc80"]
    assert texts[3:] == ["rest"] or "rest" in group.log()
    assert all(level == 3 for level, _ in response.logs)


def test_errors_take_str_only(group):
    kind, text = group.ask("/errors_type").fail
    assert kind == EXCEPTION and "wsgi.errors takes str" in text


# ---- responses --------------------------------------------------------------

def test_one_chunk_gets_its_length(group):
    response = group.ask("/echo", b"hello")
    assert (response.status, response.reason) == (200, "OK")
    assert response.length == 5
    assert response.header("content-type") == ["text/plain"]
    assert response.frames[-1] == (h.BODY, 1)


def test_sized_iterable_gets_its_length(group):
    response = group.ask("/single")
    assert (response.length, response.body) == (8, b"just one")
    assert shown(group.ask("/events")) == ["close"]


def test_empty_body_has_length_zero(group):
    response = group.ask("/empty")
    assert response.length == 0 and response.frames == [(h.HEAD, 1)]


def test_generator_is_run_to_its_end(group):
    response = group.ask("/generator")
    assert response.body == b"ab" and response.length is None
    assert shown(group.ask("/events")) == ["after the last yield"]


def test_start_response_inside_a_generator(group):
    assert group.ask("/lazy").body == b"lazy"


def test_write_comes_first(group):
    assert group.ask("/write").body == b"one two three"


def test_large_bodies(group):
    response = group.ask("/big")
    assert response.length == len(response.body) == (5 << 20) + 20100
    assert response.body.endswith(b"y" * 100 + b"z" * 20000)


@pytest.mark.parametrize("path", ["/echo", "/big", "/generator", "/write"])
def test_head_sends_no_body(group, path):
    response = group.ask(path, flags=h.HEAD_ONLY)
    assert response.complete and response.body == b""
    shown(group.ask("/events"))


def test_head_keeps_the_length(group):
    assert group.ask("/big", flags=h.HEAD_ONLY).length == (5 << 20) + 20100


@pytest.mark.parametrize("status", ["204+No+Content", "304+Not+Modified"])
def test_statuses_without_body(group, status):
    response = group.ask("/status", QUERY_STRING=status)
    assert response.frames == [(h.HEAD, 1)] and response.length is None


def test_replaced_response(group):
    response = group.ask("/replace")
    assert (response.status, response.body) == (500, b"oops")
    assert not response.header("X-Old")


def test_replacing_too_late_raises_again(group):
    response = group.ask("/too_late")
    assert response.body == b"part" and not response.complete
    assert "KeyError: 'too late'" in response.fail[1]


def test_second_start_response_needs_exc_info(group):
    kind, text = group.ask("/twice").fail
    assert kind == EXCEPTION and "AssertionError" in text


@pytest.mark.parametrize("what, said", [
    ("status_type", "TypeError: the response status must be a str"),
    ("status_wide", "latin-1"), ("status_1xx", "final status"),
    ("status_short", "three digits"), ("status_crlf", "control"),
    ("headers_tuple", "TypeError: response headers must be a list"),
    ("header_list", "tuples"), ("header_three", "tuples"),
    ("name_type", "TypeError: the name of"), ("name_space", "letters"),
    ("name_empty", "1 to 65535"), ("value_type", "TypeError: the value of"),
    ("value_crlf", "control"), ("value_nul", "control"),
    ("value_wide", "latin-1"), ("hop", "hop-by-hop"),
    ("length", "decimal digits"), ("lengths", "contradicts"),
    ("exc_info", "TypeError: exc_info")])
def test_invalid_responses_are_refused(group, what, said):
    response = group.ask("/bad", QUERY_STRING=what)
    assert response.status is None
    assert response.fail[0] == EXCEPTION and said in response.fail[1]


@pytest.mark.parametrize("what, said", [
    ("none", "cannot be iterated"), ("str", "must be bytes"),
    ("bytes", "must be bytes"), ("int", "must be bytes")])
def test_invalid_results_are_refused(group, what, said):
    response = group.ask("/result", QUERY_STRING=what)
    assert response.fail[0] == RESPONSE and said in response.fail[1]
    assert response.status is None


def test_invalid_chunk_after_the_head_truncates(group):
    response = group.ask("/result", QUERY_STRING="late_int")
    assert response.fail[0] == RESPONSE and not response.complete


def test_no_start_response(group):
    kind, text = group.ask("/no_start").fail
    assert kind == RESPONSE and "start_response" in text


def test_body_beyond_content_length_is_dropped(group):
    response = group.ask("/length", QUERY_STRING="7")
    assert response.body == b"0123456" and response.complete
    assert "CGW0404" in response.logs[0][1]
    assert shown(group.ask("/events")) == ["close"]


def test_body_short_of_content_length_is_truncated(group):
    response = group.ask("/length", QUERY_STRING="12")
    assert not response.complete and response.fail[0] == RESPONSE
    assert "10 of the 12" in response.fail[1]
    assert shown(group.ask("/events")) == ["close"]


# ---- failures ---------------------------------------------------------------

def test_exception_comes_with_its_traceback(group):
    kind, text = group.ask("/crash").fail
    assert kind == EXCEPTION
    assert text.startswith("Traceback (most recent call last):")
    assert text.endswith("RuntimeError: deliberate gr\xfc\xdf")


def test_exception_after_the_head_truncates(group):
    response = group.ask("/crash_late")
    assert response.body == b"part" and not response.complete
    assert response.fail[0] == EXCEPTION


def test_system_exit_ends_the_request_only(group):
    assert "SystemExit: 3" in group.ask("/exits").fail[1]
    assert group.ask("/empty").status == 200


def test_exception_in_close_is_logged(group):
    response = group.ask("/close_error")
    assert response.body == b"x" and response.complete
    assert "ValueError: in close" in group.await_log("in close")


def test_client_that_stops_reading(group):
    exchange = group.exchange()
    exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/stream")))
    assert exchange.next_frame() == h.HEAD
    exchange.close()
    seen = []
    while "stopped" not in seen:
        seen += shown(group.ask("/events"))


def test_application_can_notice_that_httpd_has_hung_up(group):
    exchange = started(group, "/gone")
    exchange.close()
    seen = []
    while "noticed" not in seen:
        seen += shown(group.ask("/events"))


@pytest.mark.parametrize("unread", [0, 100000])
def test_application_can_notice_that_the_client_ended_its_direction(group, unread):
    """Whatever of the body is still unread; and it can answer all the same."""
    exchange = started(group, "/gone")
    exchange.send(h.frame(h.BODY, b"x" * unread) + h.frame(h.BODY_END))
    exchange.socket.shutdown(socket.SHUT_WR)
    response = exchange.finish()
    assert response.complete and response.body == b"nobody reads this"
    assert shown(group.ask("/events")) == ["noticed"]


def test_request_whose_client_left_while_it_waited_is_skipped():
    g = h.Group("worker_application", [HERE])
    closed, half_closed = g.exchange(), g.exchange()
    for exchange in (closed, half_closed):
        exchange.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/mark")))
    closed.close()
    half_closed.socket.shutdown(socket.SHUT_WR)
    g.start()
    assert half_closed.finish().fail[0] == ABORTED
    assert shown(g.ask("/events")) == []
    g.stop()


@pytest.mark.parametrize("data", [
    b"\xff" * 64, h.frame(h.BODY, b"x"), h.request_frame({}, version=9),
    h.frame(h.REQUEST, b"short"),
    h.frame(h.REQUEST, h.request_frame({})[8:] + b"\x00\x09", True)])
def test_malformed_requests_fail_alone(group, data):
    exchange = group.exchange()
    exchange.send(data)
    assert exchange.finish().fail[0] in (PROTOCOL, EXCEPTION)
    assert group.ask("/empty").status == 200


# ---- files ------------------------------------------------------------------

CONTENT = (b"0123456789" * 1000)[10:]


@pytest.mark.parametrize("kind, flags, sent", [
    ("plain", h.SENDFILE, True), ("named", h.SENDFILE, True),
    ("plain", 0, False), ("memory", h.SENDFILE, False)])
def test_files(group, kind, flags, sent):
    response = group.ask("/file", QUERY_STRING=kind, flags=flags)
    assert response.body == CONTENT and response.complete
    assert bool(response.files) == sent
    if sent:
        assert response.length == len(CONTENT)
        assert response.files == [(10, len(CONTENT))]


def test_file_with_a_shorter_length(group):
    response = group.ask("/file", QUERY_STRING="short", flags=h.SENDFILE)
    assert response.body == CONTENT[:20] and response.complete


def test_file_for_head(group):
    """httpd answers conditions and ranges by it."""
    response = group.ask("/file", QUERY_STRING="plain",
                         flags=h.SENDFILE | h.HEAD_ONLY)
    assert response.length == len(CONTENT) and response.complete
    assert response.files == [(10, len(CONTENT))]


# ---- PEP 3333 as a whole ----------------------------------------------------

def test_validator_finds_nothing(group):
    response = group.ask("/valid", b"a\nb\nc\nd", REQUEST_METHOD="POST")
    assert response.fail is None, response.fail[1]
    assert response.body == b"written a\nb\nc\nd"


# ---- processes --------------------------------------------------------------

def test_forked_worker_is_a_process_of_its_own():
    g = running()
    seen = shown(g.ask("/process"))
    assert seen["pid"] == seen["sid"] == g.worker_pid != g.process.pid
    assert seen["ppid"] != g.process.pid
    second = g.add_worker()
    second.close()
    g.stop()


def test_multiprocess_is_true_to_the_configuration():
    g = running(threads=1, processes=3)
    env = shown(g.ask("/environ"))
    assert env["wsgi.multiprocess"] is True
    assert env["wsgi.multithread"] is False
    g.stop()


def test_drain_finishes_what_runs_and_accepts_no_more(own):
    running_one = started(own, "/hold")
    own.tell(own.worker_control, h.DRAIN)
    assert own.hear(own.worker_control)[0] == h.CLOSED
    running_one.send(h.frame(h.BODY, b"the rest", last=True))
    response = running_one.finish()
    assert response.body == b"the rest" and response.complete
    assert own.hear(own.worker_control)[0] == h.DRAINED
    assert own.hear(own.worker_control) is None
    own.worker_control.close()
    waiting = own.exchange()
    waiting.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/empty")))
    own.worker_control = own.add_worker()
    assert waiting.finish().status == 200


def test_end_of_file_from_the_supervisor_means_drain(own):
    running_one = started(own, "/hold")
    own.worker_control.shutdown(1)
    assert own.hear(own.worker_control)[0] == h.CLOSED
    running_one.send(h.frame(h.BODY, b"x", last=True))
    assert running_one.finish().complete
    assert own.hear(own.worker_control)[0] == h.DRAINED


def test_drained_process_runs_exit_handlers(tmp_path):
    (tmp_path / "app.py").write_text(
        "import atexit\natexit.register(print, 'exit handler ran')\n"
        "def application(environ, start):\n    start('200 OK', [])\n"
        "    return []\n")
    g = h.Group("app", [str(tmp_path)]).start()
    g.drain()
    g.await_log("exit handler ran")
    assert g.stop() == 0


def test_child_of_the_application_holds_no_socket(own):
    assert own.ask("/forked").body == b"0"


def test_idle_thread_serves_while_another_is_busy(own):
    busy = started(own, "/hold")
    for _ in range(20):
        assert own.ask("/empty").status == 200
    busy.send(h.frame(h.BODY, b"held", last=True))
    assert busy.finish().body == b"held"


def test_peer_that_sends_nothing_does_not_hold_up_others(own):
    silent = own.exchange()
    for _ in range(20):
        assert own.ask("/empty").status == 200
    silent.send(h.request_frame(dict(h.ENVIRON, PATH_INFO="/empty"))[:-3])
    assert own.ask("/empty").status == 200
    silent.close()


@pytest.mark.parametrize("python", h.interpreters())
def test_every_interpreter_serves(python):
    g = running(python=python)
    assert shown(g.ask("/environ"))["wsgi.version"] == [1, 0]
    assert g.ask("/valid", b"a\nb\n").body == b"written a\nb\n"
    assert g.ask("/file", QUERY_STRING="plain",
                 flags=h.SENDFILE).body == CONTENT
    assert g.ask("/crash").fail[0] == EXCEPTION
    kind, text = ask_with_deadline(g, "/hang", 300).finish().fail
    assert kind == TIMEOUT and "in hang" in text and "_process.py" not in text
    assert g.hear(g.worker_control)[0] == h.OVERDUE
    g.drain()
    assert g.stop() == 0
    assert "Fatal" not in g.log()


def resident(pid):
    with open("/proc/%d/statm" % pid) as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


MIXED = [("/environ", ""), ("/echo", ""), ("/generator", ""), ("/crash", ""),
         ("/file", "plain"), ("/write", ""), ("/close_error", ""),
         ("/bad", "value_wide"), ("/bad", "lengths"), ("/result", "int"),
         ("/reads", ""), ("/valid", ""), ("/lazy", ""), ("/replace", ""),
         ("/too_late", ""), ("/length", "12"), ("/errors_type", "")]


@pytest.mark.parametrize("python", [path for path in h.interpreters()
                                    if path.startswith("/usr/bin")])
def test_requests_leak_nothing(python):
    g = running(threads=1, python=python)

    def some(rounds):
        """Memory, descriptors and blocks in use after them."""
        for n in range(rounds * len(MIXED)):
            path, query = MIXED[n % len(MIXED)]
            body = b"abcdef\nline two\nthree\nfour\nfive\nsix"
            g.ask(path, body, QUERY_STRING=query, flags=h.SENDFILE)
        g.ask("/events")
        descriptors = len(os.listdir("/proc/%d/fd" % g.worker_pid))
        blocks = int(g.ask("/blocks").body)
        return resident(g.worker_pid), descriptors, blocks
    memory, descriptors, blocks = some(40)
    memory_after, descriptors_after, blocks_after = some(600)
    g.stop()
    assert descriptors_after == descriptors
    assert blocks_after - blocks < 500    # one of 17 leaking: 600
    assert memory_after - memory < 1 << 20
