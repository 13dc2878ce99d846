#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Runs every test and counts them: check.sh <build directory>
#
# Environment: CHECK_ASAN=1 also runs the end-to-end tests on a sanitizer
# build; FUZZ_SECONDS (30) for each fuzzer, 0: none; CHECK_JOBS (4) end-to-end
# tests at a time. The last line is "N passed, N failed".
set -u

build=$1
make=${MAKE:-make}
export CGW_TEST_BUILD="$build"
results=$(mktemp -d)
trap 'rm -rf "$results"' EXIT
passed=0
failed=0

say() {
    printf '\n=== %s\n' "$*"
}

count() { # count <passed> <failed>
    passed=$((passed + $1))
    failed=$((failed + $2))
}

# Reads the counts of a JUnit file; a runner that died wrote none.
count_junit() { # count_junit <file> <exit code>
    counts=$(/usr/bin/python3 - "$1" <<'PY'
import sys
import xml.etree.ElementTree as tree
try:
    root = tree.parse(sys.argv[1]).getroot()
except (OSError, tree.ParseError):
    print("0 1")
    sys.exit()
total = bad = skipped = 0
for suite in root.iter("testsuite"):
    total += int(suite.get("tests", 0))
    bad += int(suite.get("failures", 0)) + int(suite.get("errors", 0))
    skipped += int(suite.get("skipped", 0))
print(max(total - bad - skipped, 0), bad)
PY
)
    # shellcheck disable=SC2086
    count $counts
    if [ "$2" -ne 0 ] && [ "${counts#* }" = 0 ]; then
        count 0 1
    fi
}

run_pytest() { # run_pytest <name> <arguments...>
    name=$1
    shift
    say "$name"
    # -p no:cacheprovider: nothing is written beside the tests
    /usr/bin/python3 -m pytest -q -p no:cacheprovider \
        --junitxml="$results/$name.xml" "$@"
    count_junit "$results/$name.xml" $?
}

run_cmocka() {
    say "unit tests (C)"
    if ! $make -f Makefile.apxs BUILD="$build" unit-build; then
        count 0 1
        return
    fi
    for test in "$build"/unit/test_*; do
        case $test in *.d) continue ;; esac
        if CMOCKA_MESSAGE_OUTPUT=XML CMOCKA_XML_FILE="$results/%g.xml" \
            "$test" 2>"$results/stderr"; then
            rc=0
        else
            rc=$?
            cat "$results/stderr"
        fi
        name=$(basename "$test")
        mv "$results/tests.xml" "$results/$name.xml" 2>/dev/null
        printf '%s: exit code %d\n' "$name" "$rc"
        count_junit "$results/$name.xml" "$rc"
    done
}

run_fuzzers() {
    say "fuzzers, ${FUZZ_SECONDS:-30} s each"
    if $make -j2 -f Makefile.apxs BUILD="$build" \
        FUZZ_SECONDS="${FUZZ_SECONDS:-30}" check-fuzz >"$results/fuzz" 2>&1; then
        count 1 0
    else
        tail -n 60 "$results/fuzz"
        count 0 1
    fi
}

run_asan() {
    say "sanitizer build"
    if ! $make -f Makefile.apxs BUILD="$build/asan" \
        SANITIZE=address,undefined CFLAGS='-O1 -g' all >"$results/asan" 2>&1; then
        tail -n 40 "$results/asan"
        count 0 1
        return
    fi
    CGW_TEST_BUILD="$build/asan"
    CGW_TEST_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)"
    export CGW_TEST_PRELOAD
    run_pytest e2e-asan -n "${CHECK_JOBS:-4}" tests/e2e
    unset CGW_TEST_PRELOAD
    CGW_TEST_BUILD=$build
}

run_cmocka
run_pytest unit-python -n "${CHECK_JOBS:-4}" tests/unit
run_pytest guards tests/guards
if [ "${FUZZ_SECONDS:-30}" != 0 ]; then
    run_fuzzers
fi
run_pytest e2e -n "${CHECK_JOBS:-4}" tests/e2e
if [ "${CHECK_ASAN:-0}" = 1 ]; then
    run_asan
fi

printf '\n%d passed, %d failed\n' "$passed" "$failed"
[ "$failed" -eq 0 ] && [ "$passed" -gt 0 ]
