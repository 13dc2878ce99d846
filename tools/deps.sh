#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Installs what is missing, by apt: deps.sh build|demo|test|page|bench|lint|package|vm
#
# build  what compiles mod_cgateway        demo   and what `make demo` serves with
# test   and what `make check` needs       bench  demo and the peers of `make bench`
# page   browser and Prometheus for the tests of the status page
# lint   build and clang-format, clang-tidy, cppcheck
# package  test and what builds and checks the Debian package
# vm     what makes and runs the virtual machine of tests/vm
#
# Says what it installs. As an ordinary user it asks sudo, without a password;
# where that is refused, it prints the command for root. What is there in
# another way than by apt counts as there. Nothing to do: no word, at once.
set -u

# Lines "package: command that succeeds where the thing is there anyway".
BUILD='gcc: command -v gcc
libc6-dev: has_header stdio.h
make: command -v make
apache2-dev: command -v apxs || command -v apxs2
python3-dev: has_python_header'

# apache2-bin, not apache2: that one would start a server on port 80. Debian's Django
# has links to the files of libjs-jquery, without which no collectstatic works.
DEMO='apache2-bin: command -v apache2 || command -v httpd
media-types: test -f /etc/mime.types
python3: test -x /usr/bin/python3
python3-django: /usr/bin/python3 -c "import django"
libjs-jquery: test -e /usr/share/javascript/jquery/jquery.js'

TEST='libcmocka-dev: has_header cmocka.h
clang: command -v clang
LIBCLANG_RT: has_fuzzer
curl: command -v curl
wrk: command -v wrk
nghttp2-client: command -v h2load
git: command -v git
litmus: command -v litmus
openssl: command -v openssl
universal-ctags: ctags --version | grep Universal
python3-pytest: /usr/bin/python3 -c "import pytest"
python3-pytest-xdist: /usr/bin/python3 -c "import xdist"
python3-venv: /usr/bin/python3 -c "import ensurepip"
python3-pip: /usr/bin/python3 -m pip --version
haproxy: command -v haproxy
iproute2: command -v ip
procps: command -v ps
python3-yaml: /usr/bin/python3 -c "import yaml"
python3-h2: /usr/bin/python3 -c "import h2"
libapache2-mod-wsgi-py3: test -f "$(apxs -q LIBEXECDIR)/mod_wsgi.so"
python3-dbg: command -v python3-dbg'

BENCH='wrk: command -v wrk
curl: command -v curl
nghttp2-client: command -v h2load
strace: command -v strace
python3-venv: /usr/bin/python3 -c "import ensurepip"
python3-pip: /usr/bin/python3 -m pip --version
python3-matplotlib: /usr/bin/python3 -c "import matplotlib"
libapache2-mod-wsgi-py3: false
gunicorn: command -v gunicorn
uwsgi-core: command -v uwsgi
uwsgi-plugin-python3: false'

# What shows the status page to a browser and to Prometheus. Those tests are skipped
# without; Debian's prometheus starts a server where services are started.
PAGE='prometheus: command -v prometheus && command -v promtool
chromium: command -v chromium'

LINT='clang-format: command -v clang-format
clang-tidy: command -v clang-tidy
cppcheck: command -v cppcheck'

PACKAGE='dpkg-dev: command -v dpkg-buildpackage
debhelper: command -v dh
fakeroot: command -v fakeroot
lintian: command -v lintian
debootstrap: command -v debootstrap
systemd: command -v systemd-analyze
apparmor: command -v apparmor_parser'

VM='qemu-system-x86: command -v qemu-system-x86_64
debootstrap: command -v debootstrap
e2fsprogs: command -v mke2fs'

has_header() {
    printf '#include <setjmp.h>\n#include <stdarg.h>\n#include <stddef.h>\n%s\n' \
        "#include <$1>" | gcc -E -x c - -o /dev/null
}

has_python_header() {
    test -f "$(/usr/bin/python3 -c \
        'import sysconfig; print(sysconfig.get_paths()["include"])')/Python.h"
}

has_fuzzer() {
    test -f "$(clang -print-file-name=libclang_rt.fuzzer-"$(uname -m)".a)" ||
        test -f "$(clang -print-file-name=libclang_rt.fuzzer.a)"
}

# The fuzzers' runtime is packaged under the version of clang, which apt knows
# once its lists are there.
resolve() { # resolve <names...>
    version=$(apt-cache depends clang 2>/dev/null |
        sed -n 's/^ *Depends: clang-\([0-9]*\)$/\1/p' | head -n 1)
    printf '%s\n' "$*" | sed "s/LIBCLANG_RT/libclang-rt-${version:-14}-dev/"
}

packages() { # packages <table>: the names
    printf '%s\n' "$1" | sed 's/: .*//'
}

# Prints the packages of a table that are neither installed nor there
# otherwise.
missing() { # missing <table>
    installed=$(packages "$1" | xargs dpkg-query -W \
        -f '${binary:Package} ${db:Status-Status}\n' 2>/dev/null |
        sed -n 's/^\([^ :]*\)[^ ]* installed$/\1/p')
    printf '%s\n' "$1" | while IFS= read -r line; do
        package=${line%%: *}
        printf '%s\n' "$installed" | grep -qxF "$package" && continue
        (eval "${line#*: }") >/dev/null 2>&1 </dev/null && continue
        printf '%s\n' "$package"
    done
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo -n "$@"
    fi
}

apt_get() {
    as_root env DEBIAN_FRONTEND=noninteractive \
        apt-get -q -o DPkg::Lock::Timeout=300 "$@"
}

install() { # install <names...>
    command="apt-get install -y --no-install-recommends"
    printf 'deps: missing: %s\n' "$(resolve "$@")"
    if ! command -v apt-get >/dev/null; then
        printf 'deps: this is no Debian; install their equivalents\n' >&2
        return 1
    fi
    if [ "$(id -u)" != 0 ] && ! sudo -n true 2>/dev/null; then
        printf 'deps: only root can install them. Run as root:\n    %s\n' \
            "apt-get update && $command $(resolve "$@")" >&2
        return 1
    fi
    printf 'deps: running: apt-get update\n'
    apt_get update || printf 'deps: going on with the lists that are there\n'
    packages=$(resolve "$@")
    printf 'deps: running: %s %s\n' "$command" "$packages"
    # shellcheck disable=SC2086
    apt_get install -y --no-install-recommends $packages
}

main() {
    PATH=$PATH:/usr/sbin:/sbin
    case ${1-} in
    build) table=$BUILD ;;
    demo) table="$BUILD
$DEMO" ;;
    test) table="$BUILD
$DEMO
$TEST" ;;
    bench) table="$BUILD
$DEMO
$BENCH" ;;
    page) table=$PAGE ;;
    vm) table=$VM ;;
    lint) table="$BUILD
$LINT" ;;
    package) table="$BUILD
$DEMO
$TEST
$PACKAGE" ;;
    *)
        printf 'usage: deps.sh build|demo|test|page|bench|lint|package|vm\n' >&2
        return 2
        ;;
    esac
    wanted=$(missing "$table")
    [ -z "$wanted" ] && return 0
    # shellcheck disable=SC2086
    install $wanted || return 1
    wanted=$(missing "$table")
    [ -z "$wanted" ] && return 0
    # shellcheck disable=SC2086
    printf 'deps: still missing: %s\n' "$(resolve $wanted)" >&2
    return 1
}

main "$@"
