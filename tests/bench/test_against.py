"""The benchmark beside another commit runs both, each by its own code. What it measures is never asserted."""

import json
import shutil
from pathlib import Path

import pytest

from bench import against, contestant, large_tables
from patience.trouble import Trouble

CODE = "bench", "cli", "gateway", "ledger", "patience", "runtime", "sandbox", "schemas"


@pytest.mark.usefixtures("own_servers")
def test_both_are_measured_by_their_own_code(monkeypatch, capsys):
    """Another commit's gateways run its files, and every cell has both figures and their ratio."""
    logs = []

    def unpacked(revision: str, folder: Path) -> Path:
        for name in CODE:
            shutil.copytree(contestant.CHECKOUT / name, folder / name)
        log = folder.parent / "started"
        with (folder / "gateway" / "app.py").open("a") as app:
            app.write(f"\nopen({str(log)!r}, 'a').write(__file__ + '\\n')\n")
        logs.append((log, folder))
        return folder

    measured = contestant.Contestant.__exit__

    def last_look(self, *error: object) -> None:
        ((log, folder),) = logs
        assert set(log.read_text().split()) == {str(folder / "gateway" / "app.py")}
        measured(self, *error)

    monkeypatch.setattr(against, "unpacked", unpacked)
    monkeypatch.setattr(contestant.Contestant, "__exit__", last_look)
    against.run(revision="other", seconds=1, concurrency=[2], wallets=20, gateways=1, as_json=True)
    rows = json.loads(capsys.readouterr().out)
    assert [(row["case"], row["clients"]) for row in rows] == [("spread", 2), ("hot wallet", 2)]
    assert all(row["ratio of bets_per_s"] > 0 and " / " in row["bets_per_s"] for row in rows)


@pytest.mark.usefixtures("own_servers")
def test_large_tables_are_measured_beside_small_ones(capsys):
    """The filled ledger has so many bets, commands and events more, each under a key of its own, and still takes bets."""
    large_tables.run(filled=1000, seconds=1, concurrency=[2], wallets=20, gateways=1, as_json=True)
    found = json.loads(capsys.readouterr().out)
    (row,) = found["bets"]
    assert row["ratio of bets_per_s"] > 0
    assert [one["table"] for one in found["disk"]] == ["bets", "commands", "event_log", "all"]
    assert all(one["rows"] > 0 and one["indexes"] > 0 for one in found["disk"])


def test_a_commit_that_is_not_there_is_named(tmp_path):
    """Nothing is started, and the message says what to do."""
    with pytest.raises(Trouble, match="no commit nonsense"):
        contestant.unpacked("nonsense", tmp_path)
