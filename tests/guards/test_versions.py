# SPDX-License-Identifier: Apache-2.0
"""What two programs of different versions would misunderstand: it changes with a number,
by which each knows that the other is not of its kind."""

import hashlib
import re

import pytest

from harness.paths import ROOT, SOCKET

# The version, where it is defined, what else it stands for, and the digest of all that
# at that version.
VERSIONS = {
    "CGW_WIRE_VERSION": (["include/cgw_wire.h"], 7, "bf3d2d5720d8"),
    "CGW_CONTROL_VERSION": (["include/cgw_control.h", "include/cgw_scoreboard.h"],
                            11, "1704e9e08d0e"),
    "CGW_SPEC_VERSION": (["include/cgw_spec.h"], 11, "8f6622a7ded0"),
    "CGW_ADMIN_VERSION": (["include/cgw_admin.h"], 1, "46dd639b077c"),
    "LAYOUT": (["module/supervisor.c", "module/rundir.c", "module/launch.h"],
               2, "f0ffbc52db2d"),
}
# Structs of these headers are what one program makes of what it got, for itself, as are
# these of other files.
NOT_SHARED = ["include/cgw_wire.h", "include/cgw_spec.h"]
PRIVATE = ["cgw_slot_view", "cgw_totals", "cgwm_launch", "configuration"]


def read(path):
    return (ROOT / path).read_text()


def layout(path):
    """The constants, tables, enums and structs of a file, without comments and
    white space."""
    text = re.sub(r"/\*.*?\*/", " ", read(path), flags=re.S).replace("\\\n", " ")
    found = []
    if path.startswith("include/"):
        found += re.findall(r"^#define (\w+.*)$", text, re.M)
        found += re.findall(r"^enum \w+ \{.*?\}", text, re.S | re.M)
    if path not in NOT_SHARED:
        found += [body for name, body in re.findall(
            r"^(?:typedef )?struct (\w+)( \{.*?^\})", text, re.S | re.M)
            if name not in PRIVATE]
    return [re.sub(r"\s+", " ", part).strip() for part in found]


def version(name, path):
    return int(re.search(rf"^#define {name} (\d+)", read(path), re.M)[1])


def digest(name, paths):
    parts = [part for path in paths for part in layout(path)
             if not re.match(rf"{name}\b", part)]
    assert parts, paths
    return hashlib.sha1("\n".join(parts).encode()).hexdigest()[:12]


@pytest.mark.parametrize("name", VERSIONS)
def test_a_layout_changes_with_its_version(name):
    paths, known_version, known_digest = VERSIONS[name]
    now, found = version(name, paths[0]), digest(name, paths)
    if found != known_digest and now == known_version:
        pytest.fail(f"what {name} {now} stands for has changed ({', '.join(paths)}): give "
                    f"it another number, and write both down here: {found}")
    assert (now, found) == (known_version, known_digest), \
        f"write down in {__file__}: {name} {now}, {found!r}"


def test_the_name_of_a_socket_says_the_version_of_the_wire():
    """Workers of another version have sockets of their own, by construction."""
    assert '#define CGW_WIRE_SOCKET ".sock" CGW_WIRE_TEXT(CGW_WIRE_VERSION)' in read(
        "include/cgw_wire.h")
    for path in [*(ROOT / "module").glob("*.[ch]"), *(ROOT / "daemon").glob("*.[ch]")]:
        assert not re.search(r'"[^"\n]*\.sock\b', path.read_text()), path
    assert f"`{SOCKET}`" in read("docs/directives.md")
