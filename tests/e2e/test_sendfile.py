# SPDX-License-Identifier: Apache-2.0
"""CGatewaySendfileRoot: files that the application names by X-Sendfile and httpd sends."""

import os
import subprocess
import urllib.parse

import pytest

from harness import interpreters
from harness.httpd import until

DATA = bytes(range(251)) * 3000
FLASK = "flask==3.0.3"


@pytest.fixture
def root(httpd):
    """An allowed directory, and beside it what must not be sent."""
    directory = httpd.mkdir("allowed")
    httpd.write("allowed/sub/file", "in a subdirectory")
    (directory / "data").write_bytes(DATA)
    (directory / "empty").write_bytes(b"")
    (directory / "ümlaut %41").write_bytes(b"by its bytes")
    httpd.write("secret/file", "secret")
    httpd.write("allowed-not/file", "secret")
    (directory / "link").symlink_to("sub/file")
    (directory / "escape").symlink_to("../secret/file")
    (directory / "absolute").symlink_to(httpd.root / "secret" / "file")
    (directory / "up").symlink_to("..")
    os.mkfifo(directory / "fifo")
    (directory / "fifo").chmod(0o666)
    return directory


@pytest.fixture
def site(httpd, root):
    def start(*lines):
        httpd.wsgi("named.wsgi", "CGatewayProcesses 1",
                   *(lines or [f'CGatewaySendfileRoot "{root}"']))
        return httpd.start()
    return start


def ask(httpd, path, method="GET", add="", view="/", **headers):
    with httpd.connection() as connection:
        headers = {name.replace("_", "-"): value for name, value in headers.items()}
        return connection.request(f"{view}?{urllib.parse.quote(os.fsencode(path))}",
                                  method, headers={**headers, "X-Add": add})


def await_close(httpd):
    """Of the body; the client has its answer a little before."""
    until(lambda: httpd.get("/closed").text == "1", "close() to be called")


# ---- what is sent -----------------------------------------------------------------

CONTENTS = {"data": DATA, "sub/file": b"in a subdirectory", "empty": b"",
            "link": b"in a subdirectory", "ümlaut %41": b"by its bytes",
            "sub/../data": DATA}


@pytest.mark.parametrize("name", CONTENTS)
def test_the_file_takes_the_place_of_the_body(site, root, name):
    httpd, content = site(), CONTENTS[name]
    answer = ask(httpd, root / name, add="Content-Type: text/x-own; X-Kept: yes")
    assert (answer.status, answer.body) == (200, content)
    assert answer.headers["Content-Type"] == "text/x-own"
    assert (answer.headers["X-Kept"], answer.headers["X-Sendfile"]) == ("yes", None)
    assert answer.headers.get_all("Content-Length") == [str(len(content))]
    await_close(httpd)


@pytest.mark.parametrize("length", ["0", "5", str(len(DATA)), "99999999"])
def test_whatever_length_the_application_gives(site, root, length):
    """Frameworks give the file's, with an empty body."""
    httpd = site()
    for view in ("/", "/empty"):
        answer = ask(httpd, root / "data", add=f"Content-Length: {length}", view=view)
        assert (answer.status, answer.body) == (200, DATA)


def test_head_has_the_head_of_the_file(site, root):
    httpd = site()
    answer = ask(httpd, root / "data", "HEAD")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["Content-Length"] == str(len(DATA))
    assert answer.headers["ETag"] and answer.headers["Last-Modified"]


def test_ranges_and_conditions_by_the_validators_of_the_file(site, root):
    httpd = site()
    os.utime(root / "data", (1_700_000_000, 1_700_000_000))
    whole = ask(httpd, root / "data")
    tag, date = whole.headers["ETag"], whole.headers["Last-Modified"]
    assert date == "Tue, 14 Nov 2023 22:13:20 GMT"
    part = ask(httpd, root / "data", Range="bytes=7-99", If_Range=tag)
    assert (part.status, part.body) == (206, DATA[7:100])
    assert ask(httpd, root / "data", Range="bytes=7-99", If_Range='"x"').status == 200
    assert ask(httpd, root / "data", If_None_Match=tag).status == 304
    assert ask(httpd, root / "data", If_Modified_Since=date).status == 304
    assert ask(httpd, root / "data", If_Match='"x"').status == 412


def test_the_application_s_own_validators_win(site, root):
    httpd = site()
    add = 'ETag: "own"; Last-Modified: Fri, 01 May 2026 10:00:00 GMT'
    answer = ask(httpd, root / "data", add=add)
    assert answer.headers.get_all("ETag") == ['"own"']
    assert answer.headers["Last-Modified"] == "Fri, 01 May 2026 10:00:00 GMT"
    assert ask(httpd, root / "data", add=add, If_None_Match='"own"').status == 304


def test_a_range_that_the_application_cut_itself_is_cut_once(site, root):
    """Werkzeug answers 206 and leaves the bytes to the server."""
    httpd = site()
    answer = ask(httpd, root / "data", Range="bytes=7-99", view="/empty",
                 add=f"X-Status: 206 Partial Content; Content-Length: 93;"
                     f"Content-Range: bytes 7-99/{len(DATA)}")
    assert (answer.status, answer.body) == (206, DATA[7:100])
    assert answer.headers.get_all("Content-Range") == [f"bytes 7-99/{len(DATA)}"]


@pytest.mark.parametrize("status, code, content", [
    ("404 Nowhere", 404, b"in a subdirectory"), ("304 Not Modified", 304, b""),
    ("204 No Content", 204, b"")])
def test_another_status_is_kept(site, root, status, code, content):
    answer = ask(site(), root / "link", add=f"X-Status: {status}")
    assert (answer.status, answer.body) == (code, content)
    assert "X-Sendfile" not in answer.headers


def test_flask_names_files(httpd, root):
    app = httpd.app("flaskfiles.wsgi", f"""\
import flask
application = flask.Flask(__name__)
application.config["USE_X_SENDFILE"] = True


@application.route("/")
def download():
    return flask.send_file({str(root / "data")!r}, "application/x-own")
""")
    httpd.vhost("a.example", f'CGatewayApplication "{app}"',
                f'CGatewayPython "{interpreters.venv_for(httpd, FLASK)}"',
                f"CGatewaySendfileRoot {root}")
    httpd.start()
    answer = httpd.get("/")
    assert (answer.status, answer.body) == (200, DATA)
    assert answer.headers["Content-Type"] == "application/x-own"
    part = httpd.get("/", headers={"Range": "bytes=7-99"})
    assert (part.status, part.body) == (206, DATA[7:100])
    assert httpd.get("/", headers={"If-None-Match": answer.headers["ETag"]}).status == 304


# ---- what is not ---------------------------------------------------------------------

HOSTILE = {
    "outside": "{root}/secret/file", "beside": "{root}/allowed-not/file",
    "dots": "{root}/allowed/../secret/file", "link": "{root}/allowed/escape",
    "absolute link": "{root}/allowed/absolute", "link up": "{root}/allowed/up/secret/file",
    "relative": "data", "dot": "./data", "root itself": "{root}/allowed",
    "system": "/etc/passwd", "empty": ""}


@pytest.mark.parametrize("path", HOSTILE.values(), ids=HOSTILE)
def test_what_is_outside_is_a_500_and_a_line(httpd, site, path):
    site()
    httpd.expect_log("CGW0153")
    with httpd.connection() as connection:
        answer = connection.get("/?" + path.format(root=httpd.root))
        assert answer.status == 500
        assert b"secret" not in answer.body and b"own body" not in answer.body
        httpd.wait_log("CGW0153")
    await_close(httpd)


@pytest.mark.parametrize("name", ["fifo", "sub"])
def test_what_is_no_file_is_a_500_at_once(httpd, site, root, name):
    site()
    httpd.expect_log("CGW0154")
    assert ask(httpd, root / name).status == 500
    httpd.wait_log("CGW0154: .*(not a regular file|Is a directory)|Is a directory.*CGW0154")


def test_a_device_is_a_500(httpd, site):
    site("CGatewaySendfileRoot /dev")
    httpd.expect_log("CGW0154")
    for device in ("/dev/zero", "/dev/null", "/dev/tty"):
        assert ask(httpd, device).status == 500


def test_a_file_that_is_gone_is_a_404(httpd, site, root):
    site()
    httpd.expect_log("CGW0154")
    assert ask(httpd, root / "nothing").status == 404
    httpd.wait_log("No such file.*CGW0154.*/nothing")


@pytest.mark.parametrize("path", ["/%00", "{root}/data%00.txt", "{root}/data%0aX-Evil: 1"])
def test_a_path_with_a_control_character_is_no_header(httpd, site, root, path):
    site()
    httpd.expect_log("CGW0121")
    answer = httpd.get("/?" + path.format(root=root).replace(" ", "%20"))
    assert answer.status == 500 and "X-Evil" not in answer.headers


def test_httpd_opens_it_as_its_own_user(httpd, site, root, as_root):
    (root / "private").write_bytes(b"not for httpd")
    (root / "private").chmod(0o600)
    site()
    httpd.expect_log("CGW0154")
    assert ask(httpd, root / "private").status == 500
    httpd.wait_log("Permission denied.*CGW0154")


def test_without_the_directive_it_is_a_header_like_any_other(httpd, site, root):
    site("# nothing")
    httpd.expect_log("CGW0121", "CGW0123")
    answer = ask(httpd, root / "data", view="/empty")
    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["X-Sendfile"] == str(root / "data")


def test_locations_have_their_own_roots(httpd, site, root):
    site(f'CGatewaySendfileRoot "{root}/sub"', f'CGatewaySendfileRoot "{httpd.root}/secret"',
         "<Location /off>", "CGatewaySendfileRoot Off", "</Location>",
         "<Location /data>", f"CGatewaySendfileRoot {root}", "</Location>")
    httpd.expect_log("CGW0153", "CGW0121", "CGW0123")
    assert ask(httpd, root / "sub/file").status == 200
    assert ask(httpd, httpd.root / "secret/file").status == 200
    assert ask(httpd, root / "data").status == 500
    assert ask(httpd, root / "data", view="/data").body == DATA
    assert ask(httpd, httpd.root / "secret/file", view="/data").status == 500


def test_an_exception_before_the_end_is_a_500(httpd, root):
    httpd.wsgi(httpd.app("raises.wsgi", f"""\
def application(environ, start_response):
    start_response("200 OK", [("X-Sendfile", "{root}/data")])
    raise RuntimeError("after all")
"""), f"CGatewaySendfileRoot {root}")
    httpd.start()
    httpd.expect_log("CGW0121")
    with httpd.connection() as connection:
        assert connection.get("/").status == 500
        assert connection.get("/").status == 500


def test_links_swapped_meanwhile_do_not_lead_out(httpd, site, root):
    """Whoever may write below the root cannot win the race."""
    site()
    httpd.expect_log("CGW0153", "CGW0154")
    (root / "good").mkdir()
    (root / "good" / "file").write_text("allowed")
    (root / "bad").symlink_to("../secret")
    swap = subprocess.Popen(
        ["sh", "-c", "while :; do mv -T good swap; mv -T swap good; mv -T bad swap;"
         " mv -T swap bad; done 2>/dev/null"], cwd=root)
    try:
        for _ in range(300):
            answer = ask(httpd, root / "swap" / "file")
            assert answer.body == b"allowed" or answer.status in (404, 500)
    finally:
        swap.kill()
        swap.wait()
