"""The examples of the documentation, run as a reader would: in one shell, against a system that they start and stop themselves."""

import contextlib
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest

from tests.support.pages import ROOT, blocks

HOW_TO = ROOT / "docs" / "how-to"
FIRST_BET = HOW_TO / "first-bet.md"
API = ROOT / "docs" / "reference" / "api.md"
BEHIND = [
    API,
    *(HOW_TO / f"{name}.md" for name in ("launch-a-game", "bet-in-another-currency", "close-abandoned-bets")),
    *(HOW_TO / f"{name}.md" for name in ("explain-a-bet", "reconcile", "debug")),
]
TIMEOUT_S = 800


def script() -> str:
    """The blocks of first-bet.md; before its last one, which stops the system, those of the pages that build on it."""
    *road, down = _steps(FIRST_BET)
    return "\n".join([*road, *(step for page in BEHIND for step in _steps(page)), down])


def _steps(page: Path) -> list[str]:
    steps = []
    for number, (language, code) in enumerate(blocks(page, "sh", "python"), 1):
        command = code if language == "sh" else f"python - <<'END_OF_EXAMPLE'\n{code}END_OF_EXAMPLE\n"
        steps.append(f"echo '--- {page.name}, block {number}'\n{command}")
    return steps


@pytest.mark.slow
@pytest.mark.usefixtures("own_servers")
def test_the_examples_run(tmp_path: Path) -> None:
    """Every shell block of `first-bet.md` and every example of the pages behind it works, in order, exactly as printed."""
    missing = [tool for tool in ("bash", "curl", "openssl") if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"the examples need {', '.join(missing)} on the path")
    if not (ROOT / ".venv" / "bin" / "wagerledger").exists():
        pytest.skip("the examples need the checkout's own .venv: run `make setup`")
    environment = {name: value for name, value in os.environ.items() if not name.startswith("WAGERLEDGER_")}
    output = tmp_path / "output"
    with output.open("w") as file:
        shell = subprocess.Popen(
            ["bash", "-euo", "pipefail", "-c", script()],
            cwd=ROOT, env=environment | {"TMPDIR": str(tmp_path)}, stdout=file, stderr=subprocess.STDOUT, start_new_session=True,
        )  # fmt: skip
        try:
            code = shell.wait(TIMEOUT_S)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(shell.pid, signal.SIGTERM)  # what a failed example left behind
    logs = "".join(path.read_text()[-2000:] for path in tmp_path.glob("*/up.log"))
    assert code == 0, f"{output.read_text()[-4000:]}\nup.log:\n{logs}"
