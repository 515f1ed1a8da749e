"""Whose folder `wagerledger up` runs on."""

import os

import pytest

from sandbox.run import require_own, running, stop
from sandbox.servers.process import StartError


def test_a_folder_of_one_s_own_is_taken(tmp_path):
    """Also one that does not exist yet."""
    folder = tmp_path / "data"
    with running(folder):
        assert (folder / "up.json").exists()
    (folder / "postgres").mkdir()
    require_own(folder)


def linked(folder):
    elsewhere = folder.parent / "elsewhere"
    elsewhere.mkdir()
    (folder / "secrets").symlink_to(elsewhere)


def open_to_all(folder):
    folder.chmod(0o777)


def of_somebody_else(folder):
    os.chown(folder, 4711, 4711)


def with_something_of_somebody_else(folder):
    (folder / "heads.jsonl").touch()
    os.chown(folder / "heads.jsonl", 4711, 4711)


@pytest.mark.parametrize("lay_out", [linked, open_to_all, of_somebody_else, with_something_of_somebody_else])
def test_what_somebody_else_has_laid_out_is_refused(tmp_path, lay_out):
    """Secrets would be written where they read them, and processes ended that they name. Nothing is written, nothing ended."""
    folder = tmp_path / "data"
    folder.mkdir()
    try:
        lay_out(folder)
    except PermissionError:
        pytest.skip("only root can give a file away")
    before = sorted(folder.iterdir())
    with pytest.raises(StartError, match="choose a folder"), running(folder):
        pass
    with pytest.raises(StartError, match="choose a folder"):
        stop(folder)
    assert sorted(folder.iterdir()) == before
