"""The benchmark of the audit runs and counts right. What it measures is never asserted."""

import json
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.usefixtures("own_servers")


def test_the_audit_of_the_benchmark_s_own_events_finds_nothing():
    """A short run fills a log and an archive by the rule book and verifies all of each."""
    command = [sys.executable, "-m", "cli", "bench", "verify", "--events=1000", "--json"]
    command += ["--source=database", "--source=archive"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=os.environ)
    assert done.returncode == 0, done.stderr
    figures = json.loads(done.stdout)
    assert figures["database"]["events"] >= 900
    assert figures["archive"]["events"] >= 900
