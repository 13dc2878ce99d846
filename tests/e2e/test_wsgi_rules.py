# SPDX-License-Identifier: Apache-2.0
"""PEP 3333 rule by rule, one small application each: the input stream, what
start_response and write() allow, and every kind of iterable and exception."""

import pytest

APP = r'''
import io
import json
import os
import sys
import tempfile

CLOSED = []
TOLD = {}


class Parts:
    """An iterable of parts; an exception among them is raised. close() is counted."""

    def __init__(self, name, *parts, fails=None):
        self.name, self.parts, self.fails = name, parts, fails

    def __iter__(self):
        for part in self.parts:
            if isinstance(part, BaseException):
                raise part
            yield part

    def close(self):
        CLOSED.append(self.name)
        if self.fails:
            raise self.fails


class Sized(Parts):
    def __init__(self, name, length, *parts):
        super().__init__(name, *parts)
        self.length = length

    def __len__(self):
        return self.length


class Indexed:
    """The old protocol of iteration."""

    def __getitem__(self, index):
        if index < 3:
            return b"%d" % index
        raise IndexError


class Lazy:
    """Calls start_response only as its first part is asked for."""

    def __init__(self, start_response):
        self.start_response = start_response

    def __iter__(self):
        self.start_response("202 Late", [("Content-Type", "text/plain")])
        return iter([b"", b"late"])


class NoIteration:
    def __iter__(self):
        raise RuntimeError("no iteration today")

    def close(self):
        CLOSED.append("no-iteration")


def ok(start_response, *headers, status="200 OK"):
    return start_response(status, [("Content-Type", "text/plain"), *headers])


def spooled(size=100):
    file = tempfile.TemporaryFile()
    file.write(b"0123456789" * (size // 10))
    file.seek(0)
    return file


def generated(start_response):
    ok(start_response)
    try:
        yield b"a"
        yield b""
        yield b"b"
    finally:
        CLOSED.append("generated")


# ---- start_response and write() ----

def case_replaced(environ, start):
    ok(start, ("X-First", "1"))
    try:
        raise ValueError("on second thoughts")
    except ValueError:
        start("503 Second", [("X-Second", "1")], sys.exc_info())
    return [b"second"]


def case_replaced_by_keyword(environ, start):
    ok(start, ("Content-Length", "1000"))
    try:
        raise ValueError
    except ValueError:
        start(status="500 Mine", headers=[], exc_info=sys.exc_info())
    return [b"mine"]


def case_too_late(environ, start):
    def parts():
        ok(start)
        yield b"begun"
        try:
            raise ValueError("too late to say so")
        except ValueError:
            start("500 Late", [], sys.exc_info())
        yield b"never"
    return parts()


def case_too_late_and_caught(environ, start):
    write = ok(start)
    write(b"begun ")
    try:
        raise KeyError("the original")
    except KeyError:
        try:
            start("500 Late", [], sys.exc_info())
        except KeyError as error:
            return [b"raised again: ", str(error).encode()]


def case_written_and_late(environ, start):
    write = ok(start)
    write(b"")
    try:
        raise ValueError
    except ValueError:
        start("503 In Time", [], sys.exc_info())
    return [b"an empty write sends no head"]


def case_second_without_exc_info(environ, start):
    ok(start)
    try:
        start("200 Again", [])
    except AssertionError as error:
        return [b"refused: ", str(error).encode()]


def case_bad_exc_info(environ, start):
    told = []
    for value in (1, (), (1, 2, 3), (None, None, None), "abc"):
        try:
            start("200 OK", [], value)
        except TypeError:
            told.append(b"refused ")
    ok(start)
    return told


def case_no_arguments(environ, start):
    told = []
    for arguments in ((), ("200 OK",), ("200 OK", [], None, 1)):
        try:
            start(*arguments)
        except TypeError:
            told.append(b"refused ")
    ok(start)
    return told


def case_invalid_then_valid(environ, start):
    try:
        start("200 OK", [("X-A", "bad\nvalue")])
    except ValueError:
        ok(start)
    return [b"recovered"]


def case_write_kinds(environ, start):
    write = ok(start)
    told = []
    for value in ("text", 5, None, [b"x"], bytearray(b"x"), memoryview(b"x")):
        try:
            write(value)
        except TypeError:
            told.append(b"refused ")
    try:
        write()
    except TypeError:
        told.append(b"refused ")
    write(b"kept ")
    return told


def case_write_then_none(environ, start):
    ok(start)(b"all of it")
    return []


def case_write_with_length(environ, start):
    write = ok(start, ("Content-Length", "6"))
    write(b"abc")
    return [b"def"]


def case_write_twice_big(environ, start):
    write = ok(start)
    for _ in range(20):
        write(b"w" * 100000)
    return [b"end"]


def case_write_after_the_end(environ, start):
    write = ok(start)
    TOLD["write"], TOLD["input"], TOLD["errors"] = (
        write, environ["wsgi.input"], environ["wsgi.errors"])
    TOLD["start"] = start
    return [b"ended"]


def case_after_the_end(environ, start):
    told = []
    for call in (lambda: TOLD["write"](b"x"), lambda: TOLD["input"].read(),
                 lambda: TOLD["input"].readline(), lambda: TOLD["start"]("200 OK", [])):
        try:
            call()
        except (ValueError, AssertionError) as error:
            told.append(type(error).__name__)
    TOLD["errors"].write("said after the end\n")
    ok(start)
    return [" ".join(told).encode()]


# ---- iterables ----

def case_generator_function(environ, start):
    return generated(start)


def case_tuple(environ, start):
    ok(start)
    return (b"a", b"", b"b")


def case_iterator(environ, start):
    ok(start)
    return iter([b"a", b"b"])


def case_map(environ, start):
    ok(start)
    return map(str.encode, "ab")


def case_set(environ, start):
    ok(start)
    return {b"ab"}


def case_dict(environ, start):
    ok(start)
    return {b"ab": 1}


def case_file(environ, start):
    ok(start)
    return io.BytesIO(b"line\nline\n")


def case_indexed(environ, start):
    ok(start)
    return Indexed()


def case_lazy(environ, start):
    return Lazy(start)


def case_sized_one(environ, start):
    ok(start)
    return Sized("sized", 1, b"nine char")


def case_sized_wrong(environ, start):
    ok(start)
    return Sized("sized-wrong", 1, b"one ", b"two")


def case_sized_none(environ, start):
    ok(start)
    return Sized("sized-none", 0)


def case_list_subclass(environ, start):
    class Own(list):
        def close(self):
            CLOSED.append("list-subclass")
    ok(start)
    return Own([b"a", b"b"])


def case_bytes_subclass(environ, start):
    class Own(bytes):
        pass
    ok(start)
    return [Own(b"own")]


def case_many_small(environ, start):
    ok(start)
    return (b"x" for _ in range(20000))


def case_empty_generator(environ, start):
    ok(start)
    return (part for part in ())


def case_only_empty_parts(environ, start):
    ok(start)
    return iter([b"", b"", b""])


def case_file_wrapper_of_own(environ, start):
    class File:
        def __init__(self):
            self.left = [b"abc", b"def", b""]

        def read(self, size):
            return self.left.pop(0)

        def close(self):
            CLOSED.append("file-wrapper")
    ok(start)
    return environ["wsgi.file_wrapper"](File())


def case_file_wrapper_text(environ, start):
    ok(start)
    return environ["wsgi.file_wrapper"](io.StringIO("text"))


def case_file_wrapper_closed(environ, start):
    file = spooled()
    file.close()
    ok(start)
    return environ["wsgi.file_wrapper"](file)


def case_file_wrapper_after_write(environ, start):
    ok(start)(b"before ")
    return environ["wsgi.file_wrapper"](spooled())


def case_file_wrapper_moved(environ, start):
    file = spooled()
    file.seek(95)
    ok(start)
    return environ["wsgi.file_wrapper"](file)


def case_file_wrapper_iterated(environ, start):
    ok(start)
    return iter(list(environ["wsgi.file_wrapper"](spooled(), 30)))


# ---- exceptions ----

def case_raise_first(environ, start):
    raise RuntimeError("before start_response")


def case_raise_after_start(environ, start):
    ok(start, ("X-Never", "1"))
    raise RuntimeError("after start_response")


def case_raise_first_part(environ, start):
    ok(start, ("X-Never", "1"))
    return Parts("raise-first-part", RuntimeError("in the first part"))


def case_raise_after_empty_part(environ, start):
    ok(start, ("X-Never", "1"))
    return Parts("raise-after-empty-part", b"", RuntimeError("after an empty part"))


def case_raise_midway(environ, start):
    ok(start)
    return Parts("raise-midway", b"part", RuntimeError("midway"))


def case_raise_in_iter(environ, start):
    ok(start)
    return NoIteration()


def case_raise_in_close(environ, start):
    ok(start)
    return Parts("raise-in-close", b"whole", fails=RuntimeError("in close()"))


def case_raise_twice(environ, start):
    ok(start)
    return Parts("raise-twice", RuntimeError("the first one"),
                 fails=RuntimeError("the second one"))


def case_exit(environ, start):
    sys.exit(3)


def case_exit_midway(environ, start):
    ok(start)
    return Parts("exit-midway", b"part", SystemExit(3))


def case_interrupt(environ, start):
    raise KeyboardInterrupt


def case_generator_exit(environ, start):
    raise GeneratorExit


def case_stop_iteration(environ, start):
    raise StopIteration


def case_bare_str_part(environ, start):
    ok(start)
    return Parts("bare-str-part", b"bytes ", "text")


def case_deep(environ, start):
    def down():
        return down()
    return down()


def case_unprintable(environ, start):
    class Odd(Exception):
        def __str__(self):
            raise ValueError("no text")
    raise Odd


def case_surrogates(environ, start):
    raise RuntimeError("odd \ud800 text \x00 \x1b[31m")


# ---- bodies that must not be ----

def case_204(environ, start):
    start("204 No Content", [])
    return Parts("204", b"dropped")


def case_304_length(environ, start):
    start("304 Not Modified", [("Content-Length", "1000"), ("ETag", '"x"')])
    return Parts("304-length")


def case_205(environ, start):
    start("205 Reset Content", [("Content-Length", "0")])
    return []


# ---- headers ----

HEADERS = {
    "own": [("Date", "Mon, 01 Jan 2024 00:00:00 GMT"), ("Server", "own/1"),
            ("Content-Type", "text/own"), ("Last-Modified", "yesterday"),
            ("ETag", 'W/"own"'), ("Status", "404 Not Found"), ("Vary", "Cookie")],
    "relative": [("Location", "../else?where"), ("Content-Location", "/own")],
    "empty": [("X-Empty", ""), ("Content-Type", "text/plain")],
    "none": [],
    "spelling": [("content-TYPE", "text/odd"), ("content-LENGTH", "4"), ("x-oWn", "1")],
    "repeated": [("Set-Cookie", "a=1"), ("X-Same", "1"), ("Set-Cookie", "b=2"),
                 ("X-Same", "2"), ("WWW-Authenticate", "Basic"),
                 ("WWW-Authenticate", "Bearer"), ("Set-Cookie", "a=1")],
    "latin": [("X-Latin", "caf\xe9"), ("X-Tab", "a\tb")],
    "equal-lengths": [("Content-Length", "4"), ("Content-Length", "4")],
    "large": [(f"X-{number}", "v" * 8000) for number in range(30)],
    "too-large": [(f"X-{number}", "v" * 8000) for number in range(200)],
    "types": [("Content-Type", "text/first"), ("Content-Type", "text/last")]}


def case_headers(environ, start):
    headers = HEADERS[environ["QUERY_STRING"]]
    start("200 OK", headers)
    return [b"body"]


def case_changed_after_the_call(environ, start):
    headers = [("X-A", "1")]
    start("200 OK", headers)
    headers.append(("X-Late", "1"))
    return [b"body"]


# ---- environ ----

def case_environ_is_a_dict(environ, start):
    ok(start)
    told = [type(environ) is dict, "wsgi.version" in environ,
            environ["wsgi.version"] == (1, 0), environ["wsgi.run_once"] is False,
            all(type(k) is str for k in environ)]
    environ["new"] = object()
    del environ["PATH_INFO"]
    environ.clear()
    return [json.dumps(told).encode()]


def case_environ_is_fresh(environ, start):
    ok(start)
    return [str("new" in environ or "PATH_INFO" not in environ).encode()]


def case_errors(environ, start):
    errors = environ["wsgi.errors"]
    told = []
    for call in (lambda: errors.write(b"bytes"), lambda: errors.writelines([1])):
        try:
            call()
        except TypeError:
            told.append(b"refused ")
    errors.writelines(["of lines ", "and \u20ac\n"])
    print("by print", file=errors)
    errors.write("without an end")
    errors.flush()
    ok(start)
    return told


def case_closed(environ, start):
    ok(start)
    told = [json.dumps(CLOSED).encode()]
    CLOSED.clear()
    return told


def case_pid(environ, start):
    ok(start)
    return [str(os.getpid()).encode()]


def application(environ, start_response):
    name = environ["PATH_INFO"][1:].replace("-", "_")
    return globals()["case_" + name](environ, start_response)
'''


@pytest.fixture
def site(httpd):
    httpd.wsgi(httpd.app("rules.wsgi", APP), "CGatewayProcesses 1")
    return httpd.start()


def closed(httpd):
    return httpd.get("/closed").json()


# ---- start_response and write() ------------------------------------------------------

ANSWERS = [
    ("replaced", 503, "second"), ("replaced-by-keyword", 500, "mine"),
    ("too-late-and-caught", 200, "begun raised again: 'the original'"),
    ("written-and-late", 503, "an empty write sends no head"),
    ("bad-exc-info", 200, "refused " * 5), ("no-arguments", 200, "refused " * 3),
    ("invalid-then-valid", 200, "recovered"),
    ("write-kinds", 200, "kept " + "refused " * 7),
    ("write-then-none", 200, "all of it"), ("write-with-length", 200, "abcdef"),
    ("write-twice-big", 200, "w" * 2000000 + "end"),
    ("generator-function", 200, "ab"), ("tuple", 200, "ab"), ("iterator", 200, "ab"),
    ("map", 200, "ab"), ("set", 200, "ab"), ("dict", 200, "ab"),
    ("file", 200, "line\nline\n"), ("indexed", 200, "012"), ("lazy", 202, "late"),
    ("sized-one", 200, "nine char"), ("sized-none", 200, ""),
    ("list-subclass", 200, "ab"), ("bytes-subclass", 200, "own"),
    ("many-small", 200, "x" * 20000), ("empty-generator", 200, ""),
    ("only-empty-parts", 200, ""), ("file-wrapper-of-own", 200, "abcdef"),
    ("file-wrapper-after-write", 200, "before " + "0123456789" * 10),
    ("file-wrapper-moved", 200, "56789"),
    ("file-wrapper-iterated", 200, "0123456789" * 10),
    ("environ-is-a-dict", 200, "[true, true, true, true, true]"),
    ("environ-is-fresh", 200, "False"), ("205", 205, "")]


def test_what_is_allowed_is_answered_on_one_connection(site):
    with site.connection() as connection:
        for name, status, text in ANSWERS:
            answer = connection.get(f"/{name}")
            assert (answer.status, answer.text) == (status, text), name
            assert "X-First" not in answer.headers
            head = connection.request(f"/{name}", "HEAD")
            assert (head.status, head.body) == (status, b""), name
        assert connection.http.sock is not None


def test_a_second_call_says_what_is_wrong(site):
    answer = site.get("/second-without-exc-info")
    assert answer.text.startswith("refused: ") and "exc_info" in answer.text


def test_after_its_request_nothing_of_it_can_be_used(site):
    assert site.get("/write-after-the-end").text == "ended"
    site.expect_log("said after the end")
    assert site.get("/after-the-end").text == \
        "ValueError ValueError ValueError AssertionError"
    site.wait_log("said after the end")


def test_content_length_is_added_where_it_is_known(site):
    for path, length in {"/tuple": "2", "/sized-one": "9", "/sized-none": "0", "/205": "0",
                         "/empty-generator": "0", "/replaced-by-keyword": "4",
                         "/file-wrapper-moved": "5", "/bytes-subclass": "3"}.items():
        answer = site.get(path)
        assert answer.headers["Content-Length"] == length, path
        assert "Transfer-Encoding" not in answer.headers


def test_an_iterable_that_is_longer_than_it_says_is_cut_and_logged(site):
    """PEP 3333: len() == 1 is what the Content-Length is made from."""
    site.expect_log("CGW0404")
    assert site.get("/sized-wrong").text == "one "
    site.wait_log("CGW0404")


# ---- headers --------------------------------------------------------------------------

def test_headers_arrive_as_the_application_gave_them(site):
    with site.connection() as connection:
        def headers(name):
            answer = connection.get(f"/headers?{name}")
            assert (answer.status, answer.text) == (200, "body"), name
            return answer.headers
        own = headers("own")
        for name in ("Date", "Server"):
            assert len(own.get_all(name)) == 1, "httpd's"
        for name, value in {"Content-Type": "text/own", "Last-Modified": "yesterday",
                            "ETag": 'W/"own"', "Status": "404 Not Found",
                            "Vary": "Cookie"}.items():
            assert own.get_all(name) == [value]
        assert headers("relative")["Location"] == "../else?where"
        assert headers("empty")["X-Empty"] == ""
        assert headers("none").get_all("Content-Type") is None
        spelling = headers("spelling")
        assert (spelling["Content-Type"], spelling["Content-Length"]) == ("text/odd", "4")
        assert "x-oWn" in spelling.keys()
        repeated = headers("repeated")
        assert repeated.get_all("Set-Cookie") == ["a=1", "b=2", "a=1"]
        assert repeated.get_all("X-Same") == ["1", "2"]
        assert repeated.get_all("WWW-Authenticate") == ["Basic", "Bearer"]
        latin = headers("latin")
        assert (latin["X-Latin"], latin["X-Tab"]) == ("caf\xe9", "a\tb")
        assert headers("equal-lengths").get_all("Content-Length") == ["4"]
        assert len(headers("types").get_all("Content-Type")) == 1
    assert "X-Late" not in site.get("/changed-after-the-call").headers


def test_headers_may_be_large_and_are_refused_where_they_are_too_large(site):
    run = site.curl("/headers?large", "--include")
    assert run.returncode == 0 and run.stdout.count(b"v" * 8000) == 30
    site.expect_log("CGW0121", "headers are larger than 1024 KiB")
    assert site.get("/headers?too-large").status == 500


# ---- exceptions -----------------------------------------------------------------------

BROKEN = ["raise-first", "raise-after-start", "raise-first-part", "raise-in-iter",
          "raise-after-empty-part", "raise-twice", "exit", "interrupt", "generator-exit",
          "stop-iteration", "deep", "unprintable", "surrogates", "file-wrapper-text",
          "file-wrapper-closed"]
CUT = ["raise-midway", "exit-midway", "too-late", "bare-str-part"]


@pytest.fixture
def quiet(site):
    """Errors are what the test is about."""
    site.expect_log("a.example: ")
    return site


def test_an_exception_before_the_body_is_a_500_and_the_process_goes_on(quiet):
    pid = quiet.get("/pid").text
    with quiet.connection() as connection:
        for name in BROKEN:
            answer = connection.get(f"/{name}")
            assert answer.status == 500, name
            assert "X-Never" not in answer.headers and "Error" in answer.text
        assert connection.get("/pid").text == pid
    log = quiet.log()
    for text in ("before start_response", "after start_response", "in the first part",
                 "no iteration today", "the first one", "SystemExit: 3",
                 "KeyboardInterrupt", "RecursionError", "odd"):
        assert text in log, text


def test_an_exception_within_the_body_breaks_the_connection_off(quiet):
    pid = quiet.get("/pid").text
    for name in CUT:
        assert quiet.curl(f"/{name}").returncode != 0, name
    assert quiet.get("/pid").text == pid
    assert "too late to say so" in quiet.log()


def test_an_exception_in_close_comes_too_late_for_the_client(quiet):
    run = quiet.curl("/raise-in-close")
    assert run.stdout == b"whole"
    quiet.wait_log(r"in close\(\)")
    assert quiet.get("/pid").status == 200


def test_close_is_called_once_whatever_happens(quiet):
    for name in ("raise-first-part", "raise-midway", "raise-in-iter", "raise-in-close",
                 "raise-twice", "raise-after-empty-part", "exit-midway", "204",
                 "304-length", "sized-one", "sized-none", "bare-str-part",
                 "list-subclass", "file-wrapper-of-own"):
        for method in ("GET", "HEAD"):
            quiet.curl(f"/{name}", "--request", method, "--max-time", "20",
                       *(["--head"] if method == "HEAD" else []))
            wanted = "file-wrapper" if name.startswith("file") else \
                "sized" if name == "sized-one" else name
            assert closed(quiet) == ["no-iteration" if "iter" in name else wanted], \
                (name, method)


def test_no_body_and_the_connection_in_step(quiet):
    with quiet.connection() as connection:
        for path, status in (("/204", 204), ("/304-length", 304), ("/205", 205)):
            answer = connection.get(path)
            assert (answer.status, answer.body) == (status, b"")
            assert connection.get("/tuple").text == "ab"


# ---- wsgi.errors ----------------------------------------------------------------------

def test_errors_takes_text_and_keeps_lines(site):
    site.expect_log(r"of lines and .*$", r"by print$", r"without an end$")
    assert site.get("/errors").text == "refused refused "
    for line in ("of lines and .*", "by print", "without an end"):
        site.wait_log(line + "$")


# ---- wsgi.input -----------------------------------------------------------------------

INPUT = r'''
import json


def application(environ, start_response):
    """Does to the body what the query says, and tells what it got."""
    body = environ["wsgi.input"]
    told = []
    for word in environ["QUERY_STRING"].split(","):
        name, _, argument = word.partition(":")
        arguments = [] if not argument else [None if argument == "None"
                                             else int(argument)]
        if name == "iter":
            told.append([line.decode("latin-1") for line in body])
        elif name == "next":
            told.append(next(body).decode("latin-1"))
        else:
            try:
                got = getattr(body, name)(*arguments)
            except (TypeError, OverflowError) as error:
                got = type(error).__name__.encode()
            told.append([line.decode("latin-1") for line in got] if type(got) is list
                        else got.decode("latin-1"))
    start_response("200 OK", [("Content-Type", "application/json")])
    return [json.dumps(told).encode()]
'''
TEXT = b"one\ntwo\n\nlast"
READS = [
    ("read", ["one\ntwo\n\nlast"]), ("read:-1", ["one\ntwo\n\nlast"]),
    ("read:None", ["one\ntwo\n\nlast"]), ("read:-7", ["one\ntwo\n\nlast"]),
    ("read:0,read:2,read:0,read", ["", "on", "", "e\ntwo\n\nlast"]),
    ("read:1000,read:1000,read", ["one\ntwo\n\nlast", "", ""]),
    ("readline,readline,readline,readline,readline,readline",
     ["one\n", "two\n", "\n", "last", "", ""]),
    ("readline:2,readline:2,readline:0,readline:100,readline:-1,readline:None,readline",
     ["on", "e\n", "", "two\n", "\n", "last", ""]),
    ("readlines", [["one\n", "two\n", "\n", "last"]]),
    ("readlines:1,readlines", [["one\n"], ["two\n", "\n", "last"]]),
    ("readlines:5,readlines:0", [["one\n", "two\n"], ["\n", "last"]]),
    ("readlines:4,readlines:-1,readlines", [["one\n"], ["two\n", "\n", "last"], []]),
    ("readlines:None", [["one\n", "two\n", "\n", "last"]]),
    ("iter,iter,read", [["one\n", "two\n", "\n", "last"], [], ""]),
    ("next,read:2,readline,iter", ["one\n", "tw", "o\n", ["\n", "last"]]),
    ("read:4,iter", ["one\n", ["two\n", "\n", "last"]]),
    (f"read:{1 << 62},read", ["one\ntwo\n\nlast", ""]),
    (f"readline:{1 << 62}", ["one\n"]),
    (f"read:{1 << 70}", ["OverflowError"])]


@pytest.mark.parametrize("buffer", ["64K", "0"])
@pytest.mark.parametrize("chunked", [False, True])
def test_every_way_to_read(httpd, buffer, chunked):
    if chunked and buffer == "0":
        httpd.expect_log("CGW0141")     # what cannot be read is answered at once
    httpd.wsgi(httpd.app("input.wsgi", INPUT), f"CGatewayBodyBuffer {buffer}")
    httpd.start()
    with httpd.connection() as connection:
        for query, wanted in READS:
            body = iter([TEXT[:6], TEXT[6:]]) if chunked else TEXT
            answer = connection.request(f"/?{query}", "POST", body, chunked=chunked)
            assert answer.status == 200 and answer.json() == wanted, query
        for query in ("read", "readline", "readlines", "iter", "read:5"):
            told = connection.get(f"/?{query}").json()
            assert told in ([""], [[]]), f"no body: {query}"


def test_lines_longer_than_any_buffer(httpd):
    httpd.wsgi(httpd.app("input.wsgi", INPUT), "CGatewayBodyBuffer 0")
    httpd.start()
    body = b"x" * 1500000 + b"\n" + b"y" * 700000
    lines = httpd.request("/?readline,readline,readline", "POST", body).json()
    assert [len(line) for line in lines] == [1500001, 700000, 0]
    parts = httpd.request("/?readline:1000000,readline:1000000,read", "POST",
                          body).json()
    assert [len(part) for part in parts] == [1000000, 500001, 700000]
