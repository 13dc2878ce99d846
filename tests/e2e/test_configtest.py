# SPDX-License-Identifier: Apache-2.0
"""What `apachectl configtest` finds, and says: directive, value, place, remedy.

Nothing is started here: each test writes a configuration and asks httpd about it.
"""

import getpass
import os
import pathlib
import pwd
import re
import shutil
import subprocess
import tempfile

import pytest

from harness import kernel
from harness.paths import AS_ROOT, BUILD, HTTPD, HTTPD_MODULES, ROOT, SOCKET

needs_root = pytest.mark.skipif(not AS_ROOT, reason="httpd changes users only as root")
# An account that is not root's and not httpd's.
OTHER_USER = "daemon"

PREAMBLE = """\
ServerRoot "{root}"
DefaultRuntimeDir "{root}"
ErrorLog "{root}/error.log"
Listen 127.0.0.1:1
LoadModule mpm_event_module {modules}/mod_mpm_event.so
LoadModule authz_core_module {modules}/mod_authz_core.so
LoadModule authz_host_module {modules}/mod_authz_host.so
LoadModule alias_module {modules}/mod_alias.so
{user}
ServerName main.example
LoadModule cgateway_module "{module}"
"""
USER = "User www-data\nGroup www-data"


class Result:
    def __init__(self, status, text):
        self.status = status
        self.text = text

    def messages(self, log_id):
        return [line for line in self.text.splitlines() if log_id in line]

    def ids(self):
        return re.findall(r"CGW\d{4}", self.text)

    def accepted(self):
        assert self.status == 0, self.text
        assert "Syntax OK" in self.text
        assert self.ids() == [], self.text

    def refused(self, log_id, *words):
        """Exactly one such message, with all the words."""
        assert self.status != 0, self.text
        found = self.messages(log_id)
        assert len(found) == 1, self.text
        for word in words:
            assert str(word) in found[0], f"{word!r} is not in {found[0]}"

    def warned(self, log_id, *words):
        assert self.status == 0, self.text
        found = self.messages(log_id)
        assert len(found) == 1, self.text
        for word in words:
            assert str(word) in found[0], f"{word!r} is not in {found[0]}"


class Config:
    """A private ServerRoot; the lines given to test() begin at line 1 of site.conf."""

    def __init__(self, root):
        self.root = root
        # the project may lie where only root looks
        self.module = shutil.copy(BUILD / "mod_cgateway.so", root)
        self.file = root / "site.conf"
        self.user = USER if AS_ROOT else ""

    def at(self, line):
        return f"{self.file}:{line}"

    def test(self, text, env=None, as_user=None, before="", prefix=(), preexec=None):
        main = self.root / "httpd.conf"
        main.write_text(before + PREAMBLE.format(
            root=self.root, modules=HTTPD_MODULES, module=self.module, user=self.user)
            + f'Include "{self.file}"\n')
        self.file.write_text(text)
        environ = {"PATH": "/usr/bin:/bin", "ASAN_OPTIONS": "detect_leaks=0",
                   "LD_PRELOAD": os.environ.get("CGW_TEST_PRELOAD", ""), **(env or {})}
        run = subprocess.run([*prefix, HTTPD, "-t", "-d", self.root, "-f", main], env=environ,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                             timeout=60, preexec_fn=preexec, user=as_user, group=as_user and "nogroup",
                             extra_groups=[] if as_user else None)
        return Result(run.returncode, run.stdout)

    def vhost(self, *lines, name="shop.example"):
        """The lines are those of the file from line 3 on."""
        return "\n".join(["<VirtualHost *:1>", f"ServerName {name}", *lines,
                          "</VirtualHost>", ""])

    def mkdir(self, name, mode=0o755):
        path = self.root / name
        path.mkdir(parents=True)
        path.chmod(mode)
        return path

    def touch(self, name, text="", mode=0o644):
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)
        return path


@pytest.fixture
def config():
    """Below /tmp and not below pytest's own directory, which only its user can enter:
    the group's user has to reach it. With a space in its name."""
    with tempfile.TemporaryDirectory(prefix="cgw config ") as name:
        root = pathlib.Path(name)
        root.chmod(0o755)
        yield Config(root)


# ---- what is right is accepted ------------------------------------------------

def test_one_directive_is_enough(config):
    config.test(config.vhost("CGatewayApplication shop.wsgi")).accepted()


def test_nothing_configured_is_fine(config):
    config.test("").accepted()


def quoted(example, sites):
    """The example's paths, quoted, since the test's directory has a space."""
    return re.sub(r"\$\{CGW_SITES\}[\w/.]*",
                  lambda m: '"' + m[0].replace("${CGW_SITES}", str(sites)) + '"', example)


def test_conf_example_is_accepted(config):
    sites = config.mkdir("sites")
    for name in ("shop/static", "blog", "tools"):
        config.mkdir(f"sites/{name}")
    config.touch("sites/blog/secrets.env", "SECRET_KEY='x'\n", 0o600)
    config.touch("sites/tools/tools.wsgi")
    example = (ROOT / "conf.example").read_text()
    example = re.sub(r"^LoadModule.*$", "", example, flags=re.M)
    config.test("Define CGW_PORT 1\n" + quoted(example, sites)).accepted()


def test_every_form_of_every_directive_is_accepted(config):
    config.mkdir("a b")
    config.mkdir("c")
    config.touch("app.wsgi")
    config.touch("x.env", "A=1\n")
    config.test("\n".join([
        "CGatewayRuntimeDir run/cgw",
        "CGatewayPassAuthorization Off",
        "<CGatewayGroup one>",
        "CGatewayApplication ./app.wsgi",
        "CGatewayPython /usr/bin/python3",
        'CGatewayPath "a b" c',
        "CGatewayPath c",
        "CGatewayWorkingDirectory .",
        "CGatewayUmask 0027",
        "CGatewayEnv A",
        "CGatewayEnv B '#'",
        'CGatewayEnv C "#"',
        "CGatewayEnvFile x.env",
        "CGatewayPassEnv PATH",
        "CGatewayProcesses 1000",
        "CGatewayProcesses 1-1000",
        "CGatewayStart demand",
        "CGatewayMaxMemory 0",
        "CGatewayMaxMemory 512M pss",
        "CGatewayMaxMemory 512M 1G",
        "CGatewayMaxMemory 512M 1G RSS",
        "CGatewayLimit NOFILE 1024",
        "CGatewayLimit core 0 unlimited",
        "CGatewayLimit as 4G 8G",
        "CGatewayNice 19",
        "CGatewayCPUAffinity 0",
        "CGatewayCPUAffinity 0-1023",
        "CGatewayStart Boot",
        "CGatewayIdleTimeout 0",
        "CGatewayIdleTimeout 24h",
        "CGatewayThreads 512",
        "CGatewayStartTimeout 1000ms",
        "CGatewayDrainTimeout 0",
        "CGatewayReloadOnGraceful Changed",
        "CGatewayPreload on",
        "CGatewayPreload Off",
        "CGatewayPreload auto",
        "CGatewayMaxRequests 0",
        "CGatewayMaxRequests 1000000000 1000000000",
        "CGatewayMaxLifetime 0",
        "CGatewayMaxLifetime 8760h",
        "CGatewayWatch on",
        "CGatewayWatch ./reload c/touched",
        "CGatewaySyscallFilter on",
        "CGatewaySyscallFilter Off",
        "CGatewayPrivateTmp 1G",
        "CGatewayPrivateTmp Off",
        "CGatewayReadOnlySystem off",
        'CGatewayAllowRead "a b" x.env',
        "CGatewayAllowWrite c /",
        "</CGatewayGroup>",
        config.vhost("CGatewayMount / one", "CGatewayMount /two one", "<Location /x>",
                     "CGatewayBodyBuffer 1M", "CGatewayPassAuthorization On",
                     "CGatewayErrorOverride 404 500 503", "CGatewayErrorOverride off",
                     "CGatewayErrorOverride ON", "CGatewayAuthGroup main.example_1",
                     "CGatewayAuthFunctions a.b:c d:e", "CGatewayAuthCache 0",
                     "SetHandler cgateway:one", "</Location>"),
    ])).accepted()


def test_directives_inside_ifmodule_and_include_belong_to_the_virtual_host(config):
    config.touch("more.conf", "CGatewayThreads 3\n<IfModule alias_module>\n"
                              "CGatewaySettings shop.settings\n</IfModule>\n")
    config.test(config.vhost("<IfModule alias_module>", "CGatewayApplication shop.wsgi",
                             "</IfModule>", "Include more.conf")).accepted()


def test_the_main_server_can_have_a_group(config):
    config.test("CGatewayApplication shop.wsgi\n" + config.vhost()).accepted()


def test_a_mount_may_come_before_its_group(config):
    config.test(config.vhost("CGatewayMount /x later") +
                "<CGatewayGroup later>\nCGatewayApplication x\n</CGatewayGroup>\n"
                ).accepted()


def test_equal_definitions_merge(config):
    """certbot copies a virtual host to :443."""
    config.test(config.vhost("CGatewayApplication shop.wsgi", "CGatewayEnv A 1",
                             "CGatewayEnv B 2", "CGatewayStartTimeout 2min",
                             name="Shop.example")
                + config.vhost("CGatewayEnv B 2", "CGatewayEnv A 1",
                               "CGatewayStartTimeout 120", "CGatewayThreads 8",
                               "CGatewayApplication shop.wsgi")).accepted()


def test_a_group_of_users_has_a_name(config):
    config.test(config.vhost("<Location />", "Require cgateway-group", "</Location>")
                ).refused("CGW0138", "names no group")


def test_a_watched_file_may_come_later_but_not_its_directory(config):
    config.test(config.vhost("CGatewayApplication shop.wsgi",
                             f'CGatewayWatch "{config.root}/later"')).accepted()
    config.test(config.vhost("CGatewayApplication shop.wsgi",
                             f'CGatewayWatch On "{config.root}/no/later"')).refused(
        "CGW0180", "On", "file")
    config.test(config.vhost("CGatewayApplication shop.wsgi",
                             f'CGatewayWatch "{config.root}/no/later"')).refused(
        "CGW0181", f"CGatewayWatch {config.root}/no/later", config.at(4),
        "not a directory")


@pytest.mark.parametrize("one,other", [
    ("CGatewayWatch Off", "CGatewayWatch On"), ("CGatewayWatch ./a", "CGatewayWatch ./b"),
    ("CGatewayWatch ./a", "CGatewayWatch Off")])
def test_groups_that_watch_other_files_do_not_merge(config, one, other):
    config.test(config.vhost("CGatewayApplication shop.wsgi", one)
                + config.vhost("CGatewayApplication shop.wsgi", other)).refused(
        "CGW0024", one, other)


# ---- one directive: httpd names the line --------------------------------------

@pytest.mark.parametrize("line,log_id,words", [
    ("CGatewayProcesses 0", "CGW0173", ["from 1 to 1000"]),
    ("CGatewayProcesses 1001", "CGW0173", ["from 1 to 1000"]),
    ("CGatewayProcesses many", "CGW0173", ["from 1 to 1000"]),
    ("CGatewayProcesses 4-2", "CGW0173", ["'4-2'", "as 2-8"]),
    ("CGatewayMaxMemory x", "CGW0065", ["rss or pss"]),
    ("CGatewayMaxMemory 1G 1M", "CGW0065", ["a bigger one"]),
    ("CGatewayMaxMemory rss", "CGW0065", ["the size"]),
    ("CGatewayMaxMemory 0 1G", "CGW0065", ["0: none"]),
    ("CGatewayMaxMemory 1 2 3 4", "CGW0012", ["one to three words"]),
    ("CGatewayLimit files 5", "CGW0066", ["nofile", "nproc"]),
    ("CGatewayLimit nofile 1K", "CGW0066", ["unlimited"]),
    ("CGatewayLimit nofile 10 5", "CGW0066", ["the lower one"]),
    ("CGatewayLimit nofile", "CGW0012", ["two or three words"]),
    ("CGatewayNice -21", "CGW0067", ["-20 (first) to 19"]),
    ("CGatewayNice 20", "CGW0067", ["-20 (first) to 19"]),
    ("CGatewayCPUAffinity 3-1", "CGW0068", ["0-3,6"]),
    ("CGatewayCPUAffinity 0,", "CGW0068", ["0-3,6"]),
    ("CGatewayCgroup memory.min 5M", "CGW0069", ["memory.max", "pids.max"]),
    ("CGatewayCgroup cpu.max 2", "CGW0069", ["150%"]),
    ("CGatewayCgroup cpu.max", "CGW0012", ["two words"]),
    ("CGatewayStart never", "CGW0174", ["neither boot", "demand"]),
    ("CGatewayIdleTimeout 10ms", "CGW0170", ["from 1s to 24h", "0 for none"]),
    ("CGatewayThreads 513", "CGW0001", ["from 1 to 512"]),
    ("CGatewayThreads -1", "CGW0001", ["from 1 to 512"]),
    ("CGatewayStartTimeout 0", "CGW0002", ["from 1s to 1h"]),
    ("CGatewayStartTimeout 5x", "CGW0002", ["ms, s, min or h"]),
    ("CGatewayDrainTimeout 25h", "CGW0002", ["from 0s to 24h"]),
    ("CGatewayPreload yes", "CGW0172", ["neither auto", "off"]),
    ("CGatewayRequestTimeout 99ms", "CGW0170", ["from 100ms to 24h", "0 for none"]),
    ("CGatewayRequestTimeout soon", "CGW0170", ["from 100ms to 24h", "0 for none"]),
    ("CGatewayDeadlockTimeout 999ms", "CGW0170", ["from 1s to 24h", "0 for none"]),
    ("CGatewayQueueSize 0", "CGW0001", ["from 1 to 65535"]),
    ("CGatewayQueueSize 65536", "CGW0001", ["from 1 to 65535"]),
    ("CGatewayQueueTimeout 99ms", "CGW0170", ["from 100ms to 24h", "0 for none"]),
    ("CGatewayQueueTimeout never", "CGW0170", ["from 100ms to 24h", "0 for none"]),
    ("CGatewayMaxRequests -1", "CGW0171", ["number of requests"]),
    ("CGatewayMaxRequests 1000000001", "CGW0171", ["1000000000"]),
    ("CGatewayMaxRequests 10 11", "CGW0171", ["up to that number itself"]),
    ("CGatewayMaxRequests 10 x", "CGW0171", ["10 x"]),
    ("CGatewayMaxRequests 1 2 3", "CGW0012", ["one or two words"]),
    ("CGatewayMaxLifetime 999ms", "CGW0170", ["from 1s to 8760h", "0 for none"]),
    ("CGatewayMaxLifetime 8761h", "CGW0170", ["from 1s to 8760h"]),
    ("CGatewayMaxLifetime never", "CGW0170", ["0 for none"]),
    ("CGatewayAuthCache never", "CGW0117", ["up to 24h"]),
    ("CGatewayAuthCache 25h", "CGW0117", ["up to 24h"]),
    ("CGatewayAuthFunctions check", "CGW0134", ["module:function"]),
    ("CGatewayAuthFunctions a:b c", "CGW0134", ["a:b c"]),
    ("CGatewayAuthGroup -x", "CGW0139", ["ServerName"]),
    ("CGatewayUmask 1000", "CGW0003", ["octal", "0777"]),
    ("CGatewayUmask 9", "CGW0003", ["octal"]),
    ("CGatewayBodyBuffer 65M", "CGW0004", ["from 0 to 64M"]),
    ("CGatewayBodyBuffer lots", "CGW0004", ["K or M"]),
    ("CGatewayBodyBuffer 1K much", "CGW0004", ["temporary file"]),
    ("CGatewayApplication shop-wsgi", "CGW0005", ["module", ".wsgi file"]),
    ("CGatewayApplication /srv/shop/", "CGW0005", ["path"]),
    ("CGatewayApplication shop:create_app()", "CGW0005", ["makes the application"]),
    ("CGatewaySettings shop/settings.py", "CGW0006", ["shop.settings"]),
    ("CGatewayEnv A=1", "CGW0007", ["two words, without '='"]),
    ("CGatewayEnv 1A x", "CGW0007", ["digit"]),
    ("CGatewayPassEnv B-C", "CGW0007", ["digit"]),
    ("CGatewayUser :www-data", "CGW0008", ["user:group"]),
    ("CGatewayMount blog", "CGW0011", ["begins with '/'"]),
    ("CGatewayMount /a/../b", "CGW0011", ["segment"]),
    ("CGatewayMount /a%20b", "CGW0011", ["decoded"]),
    ("CGatewayThreads 1 2", "CGW0012", ["one word"]),
    ("CGatewaySettings", "CGW0012", ["one word"]),
    ("CGatewayEnv A b c", "CGW0012", ["quotes"]),
    ("CGatewayRuntimeDir /run/x", "CGW0013", ["out of the <VirtualHost>"]),
    ("CGatewayBatchScheduling Off", "CGW0080", ["out of the <VirtualHost>"]),
    ("CGatewayReloadOnGraceful maybe", "CGW0014", ["always", "changed"]),
    ("CGatewayMount /x a/b", "CGW0015", ["CGatewayGroup"]),
    ("CGatewayWatch of", "CGW0180", ["On, Off", "'/'"]),
    ("CGatewayWatch", "CGW0012", ["one word or more"]),
    ("CGatewayApplication shop.wsgi  # a comment", "CGW0016", ["line of its own"]),
    ("CGatewayPath /srv # a comment", "CGW0016", ["line of its own"]),
    ('CGatewayPath ""', "CGW0012", ["one word or more"]),
    ("CGatewayPath " + "x" * 5000, "CGW0017", ["absolute path"]),
])
def test_value_out_of_range(config, line, log_id, words):
    result = config.test(config.vhost("# a line", line))
    assert f"Syntax error on line 4 of {config.file}" in result.text
    directive = line.split()[0]
    value = line.split()[1].strip('"') if len(line.split()) > 1 else ""
    result.refused(log_id, directive, value, *words)


@pytest.mark.parametrize("section", ["<CGatewayGroup>", "<CGatewayGroup a b>",
                                     "<CGatewayGroup a/b>", "<CGatewayGroup ..>",
                                     f"<CGatewayGroup {'x' * 65}>"])
def test_name_of_a_section(config, section):
    result = config.test(f"{section}\nCGatewayApplication x\n</CGatewayGroup>\n")
    assert f"Syntax error on line 1 of {config.file}" in result.text
    result.refused("CGW0009", "<CGatewayGroup name>", "64")


@pytest.mark.parametrize("line", ["ServerName x", "CGatewayMount /x",
                                  "CGatewayBodyBuffer 1"])
def test_a_section_holds_only_directives_of_a_group(config, line):
    result = config.test(f"<CGatewayGroup a>\nCGatewayApplication x\n{line}\n"
                         "</CGatewayGroup>\n")
    result.refused("CGW0010", line.split()[0], config.at(3), "<CGatewayGroup a>",
                   "out of the section")


def test_an_error_in_a_section_names_its_own_line(config):
    result = config.test("<CGatewayGroup a>\nCGatewayApplication x\nCGatewayThreads 0\n"
                         "</CGatewayGroup>\n")
    assert f"Syntax error on line 3 of {config.file}" in result.text
    result.refused("CGW0001", "CGatewayThreads '0'")


def test_group_directives_do_not_stand_in_a_location(config):
    result = config.test(config.vhost("<Location /x>", "CGatewayApplication x",
                                      "</Location>"))
    assert result.status != 0
    assert "CGatewayApplication not allowed in <Location> context" in result.text


# ---- groups ---------------------------------------------------------------------

def test_directives_without_an_application(config):
    config.test(config.vhost("CGatewayThreads 4")).refused(
        "CGW0020", "CGatewayThreads 4", config.at(3), "Add CGatewayApplication")


def test_the_main_servers_application_is_not_inherited(config):
    config.test("CGatewayApplication shop.wsgi\n" + config.vhost("CGatewayThreads 4")
                ).refused("CGW0020", config.at(4), "nothing over from the main server")


def test_section_without_an_application(config):
    config.test("<CGatewayGroup a>\nCGatewayThreads 4\n</CGatewayGroup>\n").refused(
        "CGW0021", "<CGatewayGroup a>", config.at(1), "CGatewayApplication")


def test_virtual_host_without_server_name(config):
    config.test("<VirtualHost *:1>\nCGatewayApplication x\n</VirtualHost>\n").refused(
        "CGW0022", "CGatewayApplication x", config.at(2), "Add ServerName")


def test_server_name_too_long_for_a_group(config):
    name = "x" * 60 + ".example"
    config.test(config.vhost("CGatewayApplication x", name=name)).refused(
        "CGW0023", name, config.at(3), "<CGatewayGroup name>", "CGatewayMount / name")


@pytest.mark.parametrize("first,second,blamed", [
    ("CGatewayThreads 4", "CGatewayThreads 5",
     ["CGatewayThreads 4 ({4}) against CGatewayThreads 5 ({10})"]),
    ("CGatewayThreads 4", "", ["CGatewayThreads 4 ({4}) against no CGatewayThreads"]),
    ("", "CGatewaySettings shop.b",
     ["no CGatewaySettings", "against CGatewaySettings shop.b ({10})"]),
    ("CGatewayEnv A 1", "CGatewayEnv A 2",
     ["CGatewayEnv A 1 ({4}) against CGatewayEnv A 2 ({10})"]),
    ("CGatewayMaxRequests 9", "CGatewayMaxRequests 9 5",
     ["CGatewayMaxRequests 9 ({4}) against CGatewayMaxRequests 9 5 ({10})"]),
    ("CGatewayPath .", "CGatewayPath ..",
     ["CGatewayPath . ({4}) against CGatewayPath .. ({10})"]),
])
def test_conflicting_definitions(config, first, second, blamed):
    # the timeouts are equal, but written differently: not to blame
    result = config.test(
        config.vhost("CGatewayApplication shop.wsgi", first, "CGatewayStartTimeout 60")
        + config.vhost("CGatewayApplication shop.wsgi", second,
                       "CGatewayStartTimeout 1min"))
    words = [re.sub(r"\{(\d+)\}", lambda m: config.at(m[1]), b) for b in blamed]
    result.refused("CGW0024", "shop.example", config.at(3), config.at(9), "equal",
                   *words)


def test_conflicting_sections(config):
    section = "<CGatewayGroup a>\nCGatewayApplication {}\n</CGatewayGroup>\n"
    config.test(section.format("x") + section.format("y")).refused(
        "CGW0024", f"CGatewayApplication x ({config.at(2)}) against "
        f"CGatewayApplication y ({config.at(5)})")


def test_socket_path_too_long(config):
    long = "/tmp/" + "d" * 90
    result = config.test(f"CGatewayRuntimeDir {long}\n"
                         + config.vhost("CGatewayApplication x"))
    result.refused("CGW0025", "CGatewayRuntimeDir", long, "at most 107", config.at(4))


def test_socket_path_of_just_the_longest_size(config):
    path = "/tmp/" + "d" * (107 - len("/tmp//shop.example" + SOCKET))
    config.test(f"CGatewayRuntimeDir {path}\n"
                + config.vhost("CGatewayApplication x")).accepted()


def test_every_problem_is_reported_not_only_the_first(config):
    result = config.test(
        config.vhost("CGatewayApplication x", "CGatewayPath /no/such/dir",
                     "CGatewayPython /no/such/python")
        + config.vhost("CGatewayThreads 3", name="b.example")
        + config.vhost("CGatewayMount /x nowhere", name="c.example"))
    result.refused("CGW0044", "/no/such/dir")
    result.refused("CGW0040", "/no/such/python")
    result.refused("CGW0020", "CGatewayThreads 3")
    result.refused("CGW0060", "nowhere")


# ---- users ------------------------------------------------------------------------

def test_unknown_user(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayUser nobodyhere")).refused(
        "CGW0030", "shop.example", "CGatewayUser nobodyhere", config.at(4), "adduser")


@needs_root
@pytest.mark.parametrize("words", ["www-data nogrouphere", "www-data:nogrouphere"])
def test_unknown_group(config, words):
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {words}")).refused(
        "CGW0031", f"CGatewayUser {words}", config.at(4), "groupadd")


@needs_root
def test_number_without_account_needs_a_group(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayUser #61234")).refused(
        "CGW0032", "CGatewayUser #61234", config.at(4), "second word")


@needs_root
@pytest.mark.parametrize("words", ["#61234 #61234", "#61234:#61234", "daemon",
                                   "daemon www-data", "daemon:#33"])
def test_forms_of_user(config, words):
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {words}")).accepted()


@needs_root
@pytest.mark.parametrize("user", ["root", "#0"])
def test_workers_do_not_run_as_root(config, user):
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {user}")).refused(
        "CGW0033", f"CGatewayUser {user}", config.at(4), "user of the site's own")


def as_ordinary_user():
    """Whom to run httpd as to be no root; None: as who runs the test."""
    return "nobody" if AS_ROOT else None


def test_without_root_no_other_user(config):
    config.user = ""
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {OTHER_USER}"),
                as_user=as_ordinary_user()).refused(
        "CGW0034", f"CGatewayUser {OTHER_USER}", config.at(4), "as root")


def test_without_root_no_other_group(config):
    config.user = ""
    me = as_ordinary_user() or getpass.getuser()
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {me} {OTHER_USER}"),
                as_user=as_ordinary_user()).refused(
        "CGW0035", f"CGatewayUser {me} {OTHER_USER}", config.at(4), "as root")


def test_without_root_oneself_may_be_named(config):
    config.user = ""
    me = as_ordinary_user() or pwd.getpwuid(os.geteuid()).pw_name
    config.test(config.vhost("CGatewayApplication x", f"CGatewayUser {me}"),
                as_user=as_ordinary_user()).accepted()


@needs_root
def test_no_user_at_all(config):
    config.user = "User #-1\nGroup www-data"
    result = config.test(config.vhost("CGatewayApplication x"))
    result.refused("CGW0036", "shop.example", "CGatewayUser", "User and Group")


# ---- files ------------------------------------------------------------------------

def test_missing_interpreter(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython /no/python3")
                ).refused("CGW0040", "shop.example", "CGatewayPython /no/python3",
                          config.at(4), "No such file", "python3 -m venv")


def test_interpreter_that_is_not_executable(config):
    config.touch("py", mode=0o644)
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython py")).refused(
        "CGW0041", "CGatewayPython py", config.at(4), "not an executable", config.root)


def test_directory_that_is_no_virtual_environment(config):
    config.mkdir("venv/bin")
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython venv")).refused(
        "CGW0043", "CGatewayPython venv", config.at(4), "python3 -m venv")


def test_virtual_environment_whose_python_was_removed(config):
    config.mkdir("venv/bin")
    (config.root / "venv/bin/python3").symlink_to("/no/such/python3")
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython venv")).refused(
        "CGW0043", "CGatewayPython venv", config.at(4), "python3 -m venv")


@pytest.mark.parametrize("name", ["python3", "python"])
def test_virtual_environment(config, name):
    config.mkdir("venv/bin")
    (config.root / "venv/bin" / name).symlink_to("/usr/bin/python3")
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython venv")).accepted()


@pytest.mark.parametrize("directive", ["CGatewayPath", "CGatewayWorkingDirectory"])
def test_missing_directory(config, directive):
    config.test(config.vhost("CGatewayApplication x", f"{directive} /no/dir")).refused(
        "CGW0044", "shop.example", f"{directive} /no/dir", config.at(4), "No such file",
        "Create it")


@pytest.mark.parametrize("directive", ["CGatewayPath", "CGatewayWorkingDirectory"])
def test_file_instead_of_directory(config, directive):
    config.touch("wsgi.py")
    config.test(config.vhost("CGatewayApplication x", f"{directive} wsgi.py")).refused(
        "CGW0045", directive, "wsgi.py", config.at(4), "not a directory")


def test_each_missing_directory_of_one_path_is_named(config):
    result = config.test(config.vhost("CGatewayApplication x",
                                      "CGatewayPath /no/1 /no/2", "CGatewayPath /no/3"))
    assert [i for i in result.ids()] == ["CGW0044"] * 3
    assert f"CGatewayPath /no/3 ({config.at(5)})" in result.text


def test_missing_wsgi_file(config):
    config.test(config.vhost("CGatewayApplication /no/app.wsgi")).refused(
        "CGW0046", "CGatewayApplication /no/app.wsgi", config.at(3), "No such file",
        "correct the path")


def test_wsgi_file_begins_at_the_working_directory(config):
    config.touch("site/app.wsgi")
    config.test(config.vhost("CGatewayApplication ./app.wsgi",
                             "CGatewayWorkingDirectory site")).accepted()


def test_wsgi_file_that_is_a_directory(config):
    config.mkdir("app.wsgi")
    config.test(config.vhost("CGatewayApplication ./app.wsgi")).refused(
        "CGW0048", "CGatewayApplication ./app.wsgi", config.at(3), "CGatewayPath")


def test_request_timeout_of_a_location_is_checked_and_needs_no_group(config):
    location = "<Location /x>\nCGatewayRequestTimeout %s\n</Location>\n"
    config.test(location % "0").accepted()
    config.test(location % "2min").accepted()
    result = config.test(location % "25h")
    assert result.status != 0 and "CGW0170: CGatewayRequestTimeout '25h'" in result.text


@pytest.mark.parametrize("line", ["CGatewayDeadlockTimeout 5s", "CGatewayQueueSize 5"])
def test_what_is_a_group_s_alone_is_refused_in_a_location(config, line):
    result = config.test(f"<Location /x>\n{line}\n</Location>\n")
    assert result.status != 0 and "not allowed" in result.text, result.text


def test_a_queue_longer_than_the_kernel_allows_is_a_warning(config):
    most = int(pathlib.Path("/proc/sys/net/core/somaxconn").read_text())
    if most > 65534:
        pytest.skip("the kernel allows everything that can be configured")
    text = config.vhost("CGatewayApplication shop.wsgi", f"CGatewayQueueSize {most + 2}")
    config.test(text).warned("CGW0162", f"only {most + 1} requests", config.at(4),
                             f"CGatewayQueueSize {most + 2}", "net.core.somaxconn",
                             f"net.core.somaxconn={most + 1}")
    config.test(config.vhost("CGatewayApplication shop.wsgi",
                             f"CGatewayQueueSize {most + 1}")).accepted()


@needs_root
def test_what_the_users_permissions_forbid_is_a_warning(config):
    config.mkdir("closed/in", mode=0o755)
    (config.root / "closed").chmod(0o700)
    config.test(config.vhost("CGatewayApplication x", "CGatewayPath closed/in",
                             "CGatewayUser daemon")).warned(
        "CGW0047", "CGatewayPath", config.at(4), config.root / "closed", "daemon",
        "chmod")


@needs_root
def test_a_link_into_a_closed_directory_is_a_warning(config):
    """A venv of root's own Python: root can run it, the site's user cannot."""
    config.touch("private/python3", mode=0o755)
    (config.root / "private").chmod(0o700)
    config.mkdir("venv/bin")
    (config.root / "venv/bin/python3").symlink_to(config.root / "private/python3")
    config.test(config.vhost("CGatewayApplication x", "CGatewayPython venv")).warned(
        "CGW0047", "CGatewayPython venv", config.at(4), config.root / "private",
        "www-data")


@needs_root
def test_supplementary_groups_count(config):
    config.mkdir("shared", mode=0o750)
    os.chown(config.root / "shared", 0, pwd.getpwnam("www-data").pw_gid)
    config.test(config.vhost("CGatewayApplication x", "CGatewayPath shared")).accepted()


# ---- locations --------------------------------------------------------------------

@pytest.mark.parametrize("words, bad", [
    ("200", "200"), ("404 302", "302"), ("404 On", "On"), ("499", "499"), ("418", "418"),
    ("600", "600"), ("4xx", "4xx"), ("404,500", "404,500"), ("-404", "-404"), ("", "")])
def test_error_override_of_what_is_no_error(config, words, bad):
    config.test(config.vhost("CGatewayApplication x",
                             f"CGatewayErrorOverride {words}")).refused(
        "CGW0150", f"CGatewayErrorOverride '{bad}'", "from 400 to 599", "On", "Off")


def test_sendfile_roots_are_directories(config):
    config.mkdir("files")
    path = config.touch("files/file")
    config.test(config.vhost("CGatewayApplication x", "CGatewaySendfileRoot files",
                             "CGatewaySendfileRoot Off")).accepted()
    config.test(config.vhost("CGatewayApplication x",
                             "CGatewaySendfileRoot files files/nothing")).refused(
        "CGW0155", "CGatewaySendfileRoot files/nothing: ", "is not a directory")
    config.test(config.vhost("CGatewayApplication x",
                             f'CGatewaySendfileRoot "{path}"')).refused(
        "CGW0155", f"CGatewaySendfileRoot {path}: {path} is not a directory")
    config.test(config.vhost("CGatewayApplication x", "CGatewaySendfileRoot")).refused(
        "CGW0152", "CGatewaySendfileRoot '' is not a directory", "Off")


# ---- environment ------------------------------------------------------------------

def test_missing_env_file(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayEnvFile no.env")).refused(
        "CGW0050", "CGatewayEnvFile", config.root / "no.env", config.at(4),
        "No such file", "Create the file")


def test_env_file_that_is_no_file(config):
    os.mkfifo(config.root / "pipe.env")
    config.test(config.vhost("CGatewayApplication x", "CGatewayEnvFile pipe.env")).refused(
        "CGW0050", "not a regular file", config.at(4))


def test_env_file_names_its_own_line(config):
    env = config.touch("x.env", "A=1\n\n# comment\nnonsense\n")
    config.test(config.vhost("CGatewayApplication x", "CGatewayEnvFile x.env")).refused(
        "CGW0051", "CGatewayEnvFile", config.at(4), f"{env}:4: expected NAME=value",
        "Correct the line")


def test_env_file_secrets_are_not_logged(config):
    config.touch("x.env", "KEY='s3cret\n")
    result = config.test(config.vhost("CGatewayApplication x", "CGatewayEnvFile x.env"))
    result.refused("CGW0051", "closing '")
    assert "s3cret" not in result.text


def test_pass_env_of_a_variable_that_httpd_has_not(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayPassEnv HAVE LACK"),
                env={"HAVE": "1"}).warned(
        "CGW0052", "CGatewayPassEnv LACK", config.at(4), "CGatewayEnv")


def test_settings_twice(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewaySettings a.b",
                             "CGatewayEnv DJANGO_SETTINGS_MODULE a.c")).refused(
        "CGW0053", "CGatewayEnv DJANGO_SETTINGS_MODULE", config.at(5),
        f"CGatewaySettings a.b ({config.at(4)})", "Remove one")


# ---- mounts -----------------------------------------------------------------------

def test_mount_of_an_undefined_group(config):
    config.test(config.vhost("CGatewayMount /blog blgo")).refused(
        "CGW0060", "CGatewayMount /blog blgo", config.at(3), "<CGatewayGroup blgo>")


def test_mount_without_a_group_of_its_own(config):
    config.test(config.vhost("CGatewayMount /blog")).refused(
        "CGW0061", "CGatewayMount /blog", config.at(3), "Add CGatewayApplication")


def test_prefix_given_twice(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayMount /a",
                             "CGatewayMount /a/ g")
                + "<CGatewayGroup g>\nCGatewayApplication y\n</CGatewayGroup>\n").refused(
        "CGW0062", "CGatewayMount /a", config.at(4), config.at(5), "Remove one")


def test_root_given_to_another_group(config):
    config.test(config.vhost("CGatewayApplication x", "CGatewayMount / g")
                + "<CGatewayGroup g>\nCGatewayApplication y\n</CGatewayGroup>\n").refused(
        "CGW0062", "CGatewayMount / ", config.at(3), config.at(4), "own group")


# ---- what confines a group beyond its user ------------------------------------------

def test_a_flag_that_is_none(config):
    config.test(config.vhost("CGatewayApplication shop.wsgi", "CGatewaySyscallFilter yes")
                ).refused("CGW0018", "CGatewaySyscallFilter 'yes'")


@pytest.mark.parametrize("size", ["512K", "2048G", "-1", "lots", "0"])
def test_a_private_tmp_of_no_possible_size(config, size):
    config.test(config.vhost("CGatewayApplication shop.wsgi", f"CGatewayPrivateTmp {size}")
                ).refused("CGW0071", f"CGatewayPrivateTmp '{size}'", "512M")


@needs_root
@pytest.mark.parametrize("line", ["CGatewayPrivateTmp On", "CGatewayReadOnlySystem On",
                                  "CGatewayChroot /usr"])
def test_what_only_root_can_do(config, line):
    config.user = ""
    config.root.chmod(0o777)
    config.test(config.vhost("CGatewayApplication shop.wsgi", line), as_user=OTHER_USER
                ).refused("CGW0072", line, config.at(4), "root")


@needs_root
@pytest.mark.parametrize("name", ["CGatewayPrivateTmp", "CGatewayReadOnlySystem"])
def test_mounts_without_the_capability(config, name):
    prefix = ["setpriv", "--bounding-set=-sys_admin"]
    config.test(config.vhost("CGatewayApplication shop.wsgi", f"{name} On"), prefix=prefix
                ).refused("CGW0073", f"{name} On", config.at(4), "CAP_SYS_ADMIN",
                          "Operation not permitted")


@needs_root
def test_a_private_tmp_hides_what_the_group_needs(config):
    config.touch("app.wsgi")
    result = config.test(config.vhost("CGatewayApplication ./app.wsgi", "CGatewayPrivateTmp On"))
    assert any(str(config.root / "app.wsgi") in line and config.at(4) in line
               for line in result.messages("CGW0074")), result.text


@pytest.mark.parametrize("name", ["CGatewayAllowRead", "CGatewayAllowWrite"])
def test_allowed_paths_must_be_there(config, name):
    config.test(config.vhost("CGatewayApplication shop.wsgi", f"{name} /usr nowhere")
                ).refused("CGW0075", name, config.root / "nowhere", config.at(4), "No such file")


@pytest.mark.parametrize("number, line, log_id", [
    (kernel.LANDLOCK_CREATE_RULESET, "CGatewayAllowRead /usr", "CGW0076"),
    (kernel.SECCOMP, "CGatewaySyscallFilter On", "CGW0077"),
    pytest.param(kernel.MOUNT_SETATTR, "CGatewayReadOnlySystem On", "CGW0073",
                 marks=needs_root)])
def test_a_kernel_that_lacks_it(config, number, line, log_id):
    config.test(config.vhost("CGatewayApplication shop.wsgi", line),
                preexec=kernel.without(number)
                ).refused(log_id, line, config.at(4), "Function not implemented", "emove")


@needs_root
def test_a_root_that_is_none(config):
    config.test(config.vhost("CGatewayApplication shop.wsgi", "CGatewayPython /bin/sh",
                             "CGatewayChroot nowhere")
                ).refused("CGW0078", "CGatewayChroot nowhere", config.at(5))


@needs_root
def test_a_root_without_what_a_worker_needs(config):
    jail = config.mkdir("jail")
    config.touch("jail/usr/bin/python3", mode=0o755)
    config.test(config.vhost("CGatewayApplication shop.wsgi", 'CGatewayChroot "jail"')
                ).refused("CGW0079", jail, "bootstrap.py", config.at(4))


@needs_root
def test_paths_of_a_group_are_below_its_root(config):
    config.mkdir("jail")
    config.test(config.vhost("CGatewayApplication shop.wsgi", "CGatewayPython /bin/sh",
                             'CGatewayChroot "jail"')
                ).refused("CGW0040", f"{config.root}/jail/bin/sh")


# ---- CGatewayErrorLog ----------------------------------------------------------------

@pytest.mark.parametrize("value", [
    '"|/usr/bin/logger -t shop"', "shop.log", "syslog.log", "syslog", "syslog:local3",
    "syslog:MAIL:shop", "syslog::shop"])
def test_an_error_log_may_be_a_program_syslog_or_a_file(config, value):
    config.touch("app.wsgi")
    config.test(f"<CGatewayGroup one>\nCGatewayApplication ./app.wsgi\n"
                f"CGatewayErrorLog {value}\n</CGatewayGroup>").accepted()


def test_an_error_log_without_a_program_or_directory_is_refused(config):
    config.touch("app.wsgi")
    group = "<CGatewayGroup one>\nCGatewayApplication ./app.wsgi\n{}\n</CGatewayGroup>"
    result = config.test(group.format('CGatewayErrorLog "|"'))
    assert result.ids() == ["CGW0195"] and "names no program" in result.text
    result = config.test(group.format("CGatewayErrorLog nowhere/shop.log"))
    assert result.ids() == ["CGW0196"]
    assert "CGatewayErrorLog nowhere/shop.log" in result.text
    assert "there is no directory" in result.text


@pytest.mark.parametrize("value", ["syslog:local8", "syslog:loca", "syslog:nothing:shop"])
def test_an_error_log_with_an_unknown_facility_is_refused(config, value):
    config.touch("app.wsgi")
    result = config.test("<CGatewayGroup one>\nCGatewayApplication ./app.wsgi\n"
                         f"CGatewayErrorLog {value}\n</CGatewayGroup>")
    assert result.ids() == ["CGW0197"]
    assert f"CGatewayErrorLog {value}: syslog has no such facility" in result.text
    assert "auth, authpriv, cron," in result.text and "local7" in result.text
