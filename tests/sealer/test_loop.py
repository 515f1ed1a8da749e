"""The sealer's loop where no server answers: what it needs, what it waits for, and how it ends."""

import threading

import psycopg
import pytest

from evidence import keys
from evidence.keys import AnchorKeyError
from runtime.service import STOPPED
from runtime.settings import Settings
from sealer import metrics
from sealer.sealer import Sealer
from tests.support.waiting import until

NOBODY = "postgresql://nobody@127.0.0.1:1/none"


def settings(tmp_path, **changes) -> Settings:
    return Settings(
        **(
            {"database_url": NOBODY, "anchor_key": keys.to_text(keys.new_key()), "anchor_path": str(tmp_path / "heads")}
            | changes
        )
    )


def test_no_sealer_without_a_key(tmp_path):
    """It is missed before anything is read."""
    with pytest.raises(AnchorKeyError):
        Sealer(settings(tmp_path, anchor_key=""))


def test_once_raises_what_does_not_get_better(tmp_path):
    """After the time of WAGERLEDGER_PATIENCE_S, so that whoever runs it by the clock hears of it."""
    with pytest.raises(psycopg.OperationalError, match="refused"):
        Sealer(settings(tmp_path, patience_s=0)).run(threading.Event(), once=True)


def test_a_sealer_waits_for_its_database_and_ends_when_it_is_told(tmp_path):
    """Each attempt is counted by what went wrong; nothing is sealed meanwhile, and the end is in order."""
    counter, stop, codes = metrics.RESTARTS.labels("OperationalError"), threading.Event(), []
    before = counter._value.get()
    running = threading.Thread(target=lambda: codes.append(Sealer(settings(tmp_path)).run(stop)), daemon=True)
    running.start()
    try:
        until(lambda: counter._value.get() > before, "an attempt that failed")
        assert metrics.SEALING._value.get() == 0
    finally:
        stop.set()
        running.join(30)
    assert codes == [STOPPED]
