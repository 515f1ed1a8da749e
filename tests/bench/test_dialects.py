"""The benchmark of dialects runs and counts right. What it measures is never asserted."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("own_servers")

COMMAND = [sys.executable, "-m", "cli", "bench", "bets"]


def test_each_dialect_stands_beside_the_canonical_api():
    """A short run gets nothing but accepted bets in all protocols and finds each of them in the database; a goal is only set where signing is symmetric."""
    options = [
        "--dialect=softswiss",
        "--dialect=hub88",
        "--seconds=1",
        "--concurrency=4",
        "--wallets=20",
        "--gateways=1",
        "--json",
    ]
    done = subprocess.run(
        [*COMMAND, *options], capture_output=True, text=True, timeout=300, check=False, env=os.environ
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {(row["case"], row["who"]) for row in found["figures"]}
    assert rows == {(case, who) for case in ("spread", "hot wallet") for who in ("canonical", "softswiss", "hub88")}
    assert all(row["bets"] > 0 for row in found["figures"]), found["figures"]
    assert found["answered_200"] == found["bets_in_database"] > 0
    assert found["failures"] == {}
    assert {row["goal"] for row in found["ratios"] if row["dialect"] == "hub88"} == {"none: asymmetric"}


def test_an_unknown_dialect_is_named():
    """The message says which there are."""
    done = subprocess.run([*COMMAND, "--dialect=nobody"], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 2
    assert "nobody" in done.stderr
    assert "hub88" in done.stderr
