# SPDX-License-Identifier: Apache-2.0
"""The benchmark's arithmetic."""

import pathlib
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]


@pytest.fixture(autouse=True)
def modules(monkeypatch):
    for part in ("bench", "tools", "tests"):
        monkeypatch.syspath_prepend(str(ROOT / part))


def test_a_table_of_strace_is_counted_with_and_without_errors():
    import procs
    assert procs.count_calls("""\
% time     seconds  usecs/call     calls    errors syscall
------ ----------- ----------- --------- --------- ----------------
 60.00    0.003000           3      1000        12 futex
 40.00    0.002000           2       999           read
------ ----------- ----------- --------- --------- ----------------
100.00    0.005000           2      1999        12 total
""") == {"futex": 1000, "read": 999}


def test_a_ratio_is_the_median_of_the_rounds_own_ratios():
    import measure
    rounds = measure.Rounds(["a", "b"])
    rounds.figures = {"a": [{"rate": 20}, {"rate": 2}, {"rate": 30}],
                      "b": [{"rate": 10}, {"rate": 1}, {"rate": 10}]}
    assert rounds.ratio("a", "b") == 2
    assert rounds.ratio("a", "nobody") is None


def test_a_goal_that_was_not_measured_is_left_out():
    import goals
    import measure
    rounds = measure.Rounds(["mod_cgateway", "uwsgi"])
    rounds.figures = {"mod_cgateway": [{"rate": 26, "p99": 3}],
                      "uwsgi": [{"rate": 10, "p99": 2}]}
    assert goals.judge({goals.TRIVIAL: rounds}, {}, {}) == [
        ("trivial, c=16: rate / uwsgi's", 2.6, "≥ 1.3", True),
        ("trivial, c=16: p99 / best peer's", 1.5, "≤ 1.0", False)]


def test_times_of_wrk_have_units():
    import client
    assert [client.to_ms(t) for t in ["250us", "1.50ms", "2s"]] == [0.25, 1.5, 2000]
