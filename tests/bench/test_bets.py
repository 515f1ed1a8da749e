"""The benchmark of bets runs and counts right. What it measures is never asserted."""

import json
import os
import subprocess
import sys

import pytest

from bench.stages import REST, STAGES

pytestmark = pytest.mark.usefixtures("own_servers")


def test_every_row_is_there_and_every_bet_is_counted():
    """A short run measures all contestants in both cases, gets nothing but 200, and finds each of them in the database."""
    command = [
        sys.executable,
        "-m",
        "cli",
        "bench",
        "bets",
        "--seconds=1",
        "--concurrency=8",
        "--wallets=50",
        "--profile",
        "--json",
    ]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    rows = {(row["case"], row["who"], row["concurrency"]) for row in found["figures"]}
    contestants = ("wagerledger over HTTP", "pgbench: transaction", "pgbench: function")
    assert rows == {(case, who, 8) for case in ("spread", "hot wallet") for who in contestants}
    assert all(row["bets"] > 0 for row in found["figures"]), found["figures"]
    assert found["answered_200"] == found["bets_in_database"] > 0
    assert found["failures"] == {}
    assert len(found["ratios"]) == 4
    assert found["environment"]["fsync"] == "on"
    assert set(found["load_ceiling"]) == {"8"}
    shares = {row["stage"]: row["us_per_bet"] for row in found["stages"]}
    assert shares.keys() <= {*STAGES, REST}
    assert all(shares[stage] > 0 for stage in ("HTTP", "signature", "exchange with PostgreSQL", "rules and folds"))
