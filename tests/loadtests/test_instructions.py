"""What is read out of profiles: callgrind's dumps by library, the difference of two runs, py-spy's stacks."""

from __future__ import annotations

import pytest

from loadtests.bench.instructions import Count, by_object, difference, short
from loadtests.bench.profiling import folded, function_rows

DUMP = """version: 1
positions: line
events: Ir
ob=(1) /opt/python/lib/libpython3.13.so.1.0
fl=(1) eval.c
fn=(1) evaluate
10 100
+2 50
cob=(2) /site-packages/_fast.cpython-313-x86_64-linux-gnu.so
cfn=(2) quick
calls=7 20
12 9000
* 5
ob=(2)
fn=(2)
20 9000
-1 30
ob=(1)
fn=(3) other
5 1

totals: 9186
"""


def test_a_dump_is_summed_by_library_and_calls_count_where_they_lead() -> None:
    assert by_object(DUMP.splitlines()) == {"libpython3": 156, "fast": 9030}


@pytest.mark.parametrize(
    ("path", "name"), [("/usr/lib/libcrypto.so.3", "libcrypto"), ("/x/_granian.cpython-313.so", "granian"), ("", "?")]
)
def test_libraries_go_by_a_short_name(path: str, name: str) -> None:
    assert short(path) == name


def test_what_happens_once_falls_out_of_the_difference() -> None:
    """5,000 in all for starting, 100 an answer, of which the library has 25."""
    runs = [Count(answers, 5_000 + 100 * answers, by_object([])) for answers in (50, 150)]
    for run in runs:
        run.objects.update({"lib": 25 * run.answers, "rest": 5_000 + 75 * run.answers})
    cost = difference(*runs)
    assert cost.instructions == 100
    assert cost.shares == [("rest", 0.75), ("lib", 0.25)]


def test_stacks_are_counted_once_for_a_function_that_calls_itself_and_not_for_one_that_waits() -> None:
    stacks = folded(
        [
            "main (a.py:1);walk (b.py:2);walk (b.py:2) 30",
            "main (a.py:1) 10",
            "run (t.py:1);_worker (concurrent/futures/thread.py:69) 500",
            "",
            "no number",
        ]
    )
    assert [stack.seen for stack in stacks] == [30, 10]
    assert function_rows(stacks)[1:] == [["75.0%", "75.0%", "walk (b.py:2)"], ["25.0%", "100.0%", "main (a.py:1)"]]
