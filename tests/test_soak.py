"""What the soak counts, and how it plans."""

from itertools import product

from tests.soak import WORKERS, Run, failed_in, plan, summary, what_failed

PYTHONS = (3, 11, 7), (3, 12, 1), (3, 13, 0)
RESULTS = """<?xml version="1.0" encoding="utf-8"?><testsuites><testsuite name="pytest" errors="2" failures="1" tests="5">
<testcase classname="tests.ledger.core.test_bets" name="test_green[a.b]" time="0.1"/>
<testcase classname="tests.ledger.core.test_bets" name="test_red[1.5-EUR]"><failure message="no">...</failure></testcase>
<testcase classname="tests.ledger.core.test_bets" name="test_red[1.5-EUR]"><error message="tear-down">...</error></testcase>
<testcase classname="tests.crash.test_kills" name="test_crashed"><error message="worker">...</error></testcase>
<testcase classname="" name="tests.cli.test_cli"><error message="collection failure">...</error></testcase>
<testcase classname="tests.ledger.core.test_wins" name="test_skipped"><skipped/></testcase>
</testsuite></testsuites>"""


def test_what_failed_is_told_once_by_its_id():
    """Failures, errors around a test, workers that ended, and files that could not be read; not what was skipped."""
    assert failed_in(RESULTS) == [
        "tests/cli/test_cli.py", "tests/crash/test_kills.py::test_crashed", "tests/ledger/core/test_bets.py::test_red[1.5-EUR]",
    ]  # fmt: skip


def test_a_run_that_broke_off_is_not_green(tmp_path):
    """Without results, or with an exit code that no test explains, it has failed as a run."""
    results = tmp_path / "results.xml"
    assert what_failed(0, results) == []
    assert what_failed(2, results) == ["(the run itself, which ended with 2)"]
    results.write_text(RESULTS)
    assert what_failed(1, results) == failed_in(RESULTS)


def test_every_python_meets_every_number_of_workers():
    """In nine runs of three Pythons, each run with numbers of its own, the same ones from the same seed."""
    runs = plan(9, PYTHONS, seed=1)
    assert {(run.python, run.workers) for run in runs} == set(product(PYTHONS, WORKERS))
    assert [run.python for run in runs[:3]] == list(PYTHONS)
    assert len({run.seed for run in runs}) == 9
    assert (runs == plan(9, PYTHONS, seed=1), runs == plan(9, PYTHONS, seed=2)) == (True, False)


def test_the_summary_counts_by_test():
    """The one that fails most comes first, with the runs where it did."""
    one, two = (Run(number, PYTHONS[0], 1, 7) for number in (1, 2))
    assert summary({one: ["a", "b"], two: ["b"]}, 10) == [
        "2 of 10 runs failed", "  2 of 10 (run 1, 2): b", "  1 of 10 (run 1): a",
    ]  # fmt: skip
    assert summary({}, 10) == ["0 of 10 runs failed"]
