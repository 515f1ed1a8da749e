"""The first command that anybody runs."""

import os
import subprocess
import sys

import pytest


@pytest.mark.slow
@pytest.mark.usefixtures("own_servers")
def test_the_demo_shows_everything_and_ends_well() -> None:
    """`wagerledger demo` starts the whole system, plays, shows each answer, the events, the read models and the auditor's verdict, and ends with 0."""
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAGERLEDGER_")}
    command = [sys.executable, "-m", "cli", "demo"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, f"{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
