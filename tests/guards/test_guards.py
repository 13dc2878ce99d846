# SPDX-License-Identifier: Apache-2.0
"""What drifts apart when nobody looks: tables, documents, includes, sizes."""

import collections
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
C_DIRS = ["module", "daemon", "worker", "common", "include"]
MODULE_SOURCES = [ROOT / "mod_cgateway.c", *sorted((ROOT / "module").glob("*.[ch]"))]
C_SOURCES = [ROOT / "mod_cgateway.c"] + sorted(
    p for d in C_DIRS for p in (ROOT / d).glob("*.[ch]"))
PYTHON_SOURCES = sorted((ROOT / "worker").rglob("*.py"))
LONGEST_FUNCTION = 80
LONGEST_FILE = 800
WIDEST_LINE = 90


def read(path):
    return (ROOT / path).read_text()


def name(path):
    return str(path.relative_to(ROOT))


# ---- directives -------------------------------------------------------------

def group_directives():
    """(symbol, name, setter) of the one table."""
    table = read("module/definition.h").split("#define CGWM_GROUP_TABLE(X)")[1]
    table = table.split("enum cgwm_field")[0].replace("\\\n", " ")
    return re.findall(r'X\((\w+), "(\w+)", (\w+),', table)


def other_directives():
    """Those that directives.c lists by themselves: (name, where)."""
    return re.findall(r'AP_INIT_\w+\("(<?CGateway\w+)", \w+, NULL,\s*([\w| ]+?),',
                      read("module/directives.c"))


def all_directives():
    return [d[1] for d in group_directives()] + [d[0] for d in other_directives()]


def test_the_tables_are_found():
    assert len(group_directives()) >= 15
    assert len(other_directives()) >= 5
    assert len(set(all_directives())) == len(all_directives())


def test_every_directive_in_the_sources_is_in_a_table():
    known = {d.lstrip("<") for d in all_directives()}
    for path in MODULE_SOURCES:
        for word in set(re.findall(r"\bCGateway[A-Z]\w*", path.read_text())):
            assert word in known, f"{name(path)} mentions {word}, which is no directive"


@pytest.mark.parametrize("directive", all_directives())
def test_directive_has_an_entry_in_the_reference(directive):
    text = read("docs/directives.md")
    title = directive + ">" if directive.startswith("<") else directive
    found = re.search(rf"^### {re.escape(title)}\n(.*?)(?=^##|\Z)", text, re.M | re.S)
    assert found, f"docs/directives.md has no '### {title}'"
    entry = found[1]
    for row in ("Syntax", "Default", "Context"):
        assert f"| {row} |" in entry, f"{title} has no row {row}"
    assert "```apache" in entry, f"{title} has no example"


def test_the_documents_name_no_directive_that_does_not_exist():
    known = {d.lstrip("<") for d in all_directives()}
    for path in [ROOT / "docs/directives.md", ROOT / "docs/log-messages.md",
                 ROOT / "conf.example", ROOT / "README.md"]:
        if path.exists():
            for word in set(re.findall(r"\bCGateway[A-Z]\w*", path.read_text())):
                assert word in known, f"{name(path)} mentions {word}"


@pytest.mark.parametrize("directive", all_directives())
def test_directive_is_in_the_example(directive):
    assert re.search(rf"^\s*#?{directive}\b", read("conf.example"), re.M), directive


@pytest.mark.parametrize("symbol,directive,setter", group_directives())
def test_group_directive_has_a_setter(symbol, directive, setter):
    assert f"static const char *set_{setter}(const setting *s)" in read(
        "module/settings.c")


@pytest.mark.parametrize("directive", [
    d for _, d, setter in group_directives() if setter in ("number", "duration", "umask")])
def test_number_says_its_range_in_the_reference(directive):
    entry = read("docs/directives.md").split(f"### {directive}\n")[1].split("\n###")[0]
    assert "| Range |" in entry and "| Unit |" in entry


def test_the_example_has_no_comment_behind_a_directive():
    """httpd would take it for words of the directive."""
    for line in read("conf.example").splitlines():
        assert not re.search(r"^\s*[^#\s].*\s#", line), line


def dir_conf_fields():
    body = re.search(r"typedef struct cgwm_dir_conf \{(.*?)\}", read("module/config.h"),
                     re.S)[1]
    return re.findall(r"(\w+);", body)


@pytest.mark.parametrize("field", dir_conf_fields())
def test_request_directive_is_created_merged_and_set(field):
    source = read("module/location.c")
    # a field that is a struct is set member by member
    assert re.search(rf"conf->{field}(\.\w+)? = (-1|NULL);", source), \
        "not set to 'not configured' by create"
    assert re.search(rf"INHERIT(_LIST)?\({field}(\.\w+)?\)", source), \
        "not inherited by merge"
    assert re.search(rf"conf->{field}(\.\w+)? = (?!-1|NULL)", source), \
        "no directive sets it"


def test_every_request_directive_has_a_field():
    per_dir = [d for d, where in other_directives() if "ACCESS_CONF" in where]
    rule = re.search(r"#define CGWM_IN_LOCATIONS\(field\) (.*)", read("module/definition.h"))
    per_dir += re.findall(r"CGWM_\w+", rule[1])
    assert len(per_dir) == len(dir_conf_fields())


def spec_fields():
    text = read("include/cgw_spec.h")
    return re.findall(r"^    X\((\w+)[,)]", text, re.M)


def test_every_directive_of_the_table_fills_a_field_of_the_spec():
    table = read("module/definition.h").split("#define CGWM_GROUP_TABLE(X)")[1]
    table = table.split("enum cgwm_field")[0].replace("\\\n", " ")
    for member in re.findall(r'X\(\w+, "\w+", \w+, \w+, \w+,\s+(\w+),', table):
        assert member in spec_fields()


# ---- log ids ------------------------------------------------------------------

ID = re.compile(r"CGW_LOGNO\((\d{4})\)|\b(CGW\d{4}): ")


def log_ids():
    """id -> places that log it"""
    found = collections.defaultdict(list)
    for path in C_SOURCES + PYTHON_SOURCES:
        for number, line in enumerate(path.read_text().splitlines(), 1):
            for macro, spelled in ID.findall(line):
                found[f"CGW{macro}" if macro else spelled].append(
                    f"{name(path)}:{number}")
    return found


def documented_ids():
    return re.findall(r"^\| (CGW\d{4}) \|", read("docs/log-messages.md"), re.M)


def test_a_log_id_belongs_to_one_message():
    twice = {i: places for i, places in log_ids().items() if len(places) > 1}
    assert not twice


def test_every_log_id_is_documented():
    missing = {i: p for i, p in log_ids().items() if i not in documented_ids()}
    assert not missing


def test_every_documented_log_id_exists_and_is_documented_once():
    ids = documented_ids()
    assert sorted(set(ids)) == sorted(ids)
    assert not sorted(set(ids) - set(log_ids()))


def test_the_documented_rows_are_complete():
    for line in read("docs/log-messages.md").splitlines():
        if line.startswith("| CGW"):
            cells = [c.strip() for c in line.strip("|").split("|")]
            assert len(cells) == 4 and all(cells), line


def test_log_ids_lie_in_their_program_s_range():
    ranges = {"module": (1, 199), "mod_cgateway.c": (1, 199), "daemon": (200, 399),
              "worker": (400, 599)}
    for log_id, places in log_ids().items():
        for place in places:
            low, high = ranges[re.split(r"[/:]", place)[0]]
            assert low <= int(log_id[3:]) <= high, f"{log_id} at {place}"


def test_the_reference_mentions_only_documented_ids():
    for i in set(re.findall(r"CGW\d{4}", read("docs/directives.md"))):
        assert i in documented_ids()


def test_every_warning_or_error_of_the_module_has_an_id():
    call = re.compile(r"ap_log_\w+error\(\s*APLOG_MARK,\s*APLOG_(EMERG|ALERT|CRIT|ERR|"
                      r"WARNING)\b(.*?);", re.S)
    for path in MODULE_SOURCES:
        if path.name == "report.c":
            continue    # its callers' formats have the id, checked below
        for level, rest in call.findall(path.read_text()):
            assert "CGW_LOGNO(" in rest, f"{name(path)}: {level}{rest[:80]}"


def test_every_report_has_an_id():
    for path in MODULE_SOURCES:
        for rest in re.findall(r"cgwm_report_(?:error|warning)\((.*?)\);",
                               path.read_text(), re.S):
            if path.stem != "report":
                assert "CGW_LOGNO(" in rest, f"{name(path)}: {rest[:80]}"


# ---- what includes what -------------------------------------------------------

HTTPD = re.compile(r'#\s*include\s*[<"](httpd|http_\w+|util_\w+|ap_\w+|mpm_\w+|unixd|'
                   r'scoreboard|mod_\w+)\.h[>"]')
PYTHON = re.compile(r'#\s*include\s*[<"]Python\.h[>"]')


def test_only_the_module_includes_httpd():
    for path in C_SOURCES:
        if path not in MODULE_SOURCES:
            assert not HTTPD.search(path.read_text()), name(path)


def test_only_the_worker_includes_python():
    for path in C_SOURCES:
        if path.parent.name != "worker":
            assert not PYTHON.search(path.read_text()), name(path)


@pytest.mark.parametrize("source", ["module/parse.c", "module/parse_env.c", "module/parse_head.c"])
def test_the_parsers_need_no_httpd(source):
    text = read(source) + read(source[:-1] + "h")
    assert not HTTPD.search(text)
    assert '"config.h"' not in text


def test_the_wire_codec_needs_only_libc():
    for path in ("common/wire.c", "include/cgw_wire.h", "common/control.c",
                 "include/cgw_control.h"):
        assert not re.search(r"#\s*include\s*[<\"]apr", read(path)), path


@pytest.mark.parametrize("path", ["worker/bootstrap.py", "tests/fakes/cgatewayd.py",
                                  "tests/unit/worker_harness.py"])
def test_what_cannot_include_the_control_protocol_has_its_version(path):
    version = re.search(r"CGW_CONTROL_VERSION (\d+)", read("include/cgw_control.h"))[1]
    assert re.search(r"^MAGIC, VERSION.* = 0x31574743, (\d+)", read(path), re.M)[1] == version


# ---- sizes and form -----------------------------------------------------------

def functions(path):
    """(name, lines) of every function of a file"""
    out = subprocess.run(["ctags", "--language-force=C", "--c-kinds=f", "--fields=+ne",
                          "-f", "-", str(path)], capture_output=True, text=True,
                         check=True).stdout
    for line in out.splitlines():
        start, end = re.search(r"\tline:(\d+)", line), re.search(r"\tend:(\d+)", line)
        if start and end:
            yield line.split("\t")[0], int(end[1]) - int(start[1]) + 1


def test_ctags_is_there_and_finds_functions():
    assert shutil.which("ctags"), "install universal-ctags"
    assert dict(functions(ROOT / "module/parse.c")).get("cgwm_parse_int")


@pytest.mark.parametrize("path", [p for p in C_SOURCES if p.suffix == ".c"], ids=name)
def test_functions_fit_a_screen(path):
    for function, lines in functions(path):
        assert lines <= LONGEST_FUNCTION, f"{function} has {lines} lines"


def test_most_functions_are_short():
    sizes = sorted(n for p in C_SOURCES if p.suffix == ".c" for _, n in functions(p))
    assert sizes[int(0.9 * len(sizes))] <= 45


@pytest.mark.parametrize("path", C_SOURCES + PYTHON_SOURCES, ids=name)
def test_form_of_a_source_file(path):
    lines = path.read_text().splitlines()
    assert "SPDX-License-Identifier: Apache-2.0" in lines[0]
    assert len(lines) <= LONGEST_FILE
    for number, line in enumerate(lines, 1):
        assert len(line) <= WIDEST_LINE, f"line {number} has {len(line)} columns"
        assert "\t" not in line and line == line.rstrip(), f"line {number}: white space"
        assert not re.search(r"\b(TODO|FIXME|XXX)\b", line), f"line {number}: unfinished"


# ---- promises ----------------------------------------------------------------

PROMISES = "tests/README.md"
NAMED = re.compile(r"`((?:tests|bench)/[\w/.]+)(?:::(\w+))?`")


def test_promises_are_found():
    assert len(NAMED.findall(read(PROMISES))) > 100


@pytest.mark.parametrize("path, test", sorted(set(NAMED.findall(read(PROMISES)))))
def test_each_test_of_a_promise_exists(path, test):
    assert (ROOT / path).is_file(), path
    assert re.search(rf"\b{test}\(", read(path)) or not test, f"{path} has no {test}"
