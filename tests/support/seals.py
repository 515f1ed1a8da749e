"""Sealing without a sealer's process, topic or file, and archives of what was sealed."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from itertools import count
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psycopg
import pytest
from psycopg import IsolationLevel

from evidence import anchors, keys
from evidence.archive.export import Options, export
from evidence.archive.manifest import Manifest
from evidence.archive.reader import Archive, open_archive
from evidence.heads import SignedHead
from ledger.journal.writer import Journal
from tests.support.commands import Asks
from tests.support.journals import accepted, ask_one, settings_of

KEY = keys.new_key()
TRUSTED = {keys.key_id(KEY.public_key()): KEY.public_key()}


def deposit(url: str, times: int = 3, player: str = "p0", *, opens: str | None = None) -> None:
    """More events, and a refusal."""

    async def run() -> None:
        async with Journal(settings_of(url)) as journal:
            if opens:
                await accepted(journal, Asks("acme", None).open_wallet(opens))
            for _ in range(times):
                await accepted(journal, Asks("acme", None).deposit("5", opens or player))
            assert (await ask_one(journal, Asks("acme", None).withdraw("9999999", opens or player))).refusal_code

    asyncio.run(run())


@contextmanager
def past_month(url: str) -> Iterator[date]:
    """What happens inside is recorded in a month that is over."""
    month = date(2026, 1, 1)
    with psycopg.connect(url) as connection:
        connection.execute("set role wagerledger_owner")
        connection.execute("select wagerledger.add_event_log_partition(%s)", [month])
    clock = count(1_768_000_000_000_000_000, 1_000_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("ledger.journal.transaction.time", SimpleNamespace(time_ns=lambda: next(clock)))
        yield month


def seal(url: str) -> SignedHead:
    """Seal what is in the log, and sign a head over all of it."""
    with psycopg.connect(url, autocommit=True) as reader, psycopg.connect(url, autocommit=True) as writer:
        reader.isolation_level = IsolationLevel.REPEATABLE_READ
        tree = anchors.load(writer)
        list(anchors.extend(tree, reader, writer))
        return anchors.anchor(tree, writer, KEY, "tests")


def archive(url: str, folder: Path, *, segment_leaves: int = 64, **options: Any) -> Manifest | None:
    return export(url, folder, Options(KEY, TRUSTED, segment_leaves=segment_leaves, **options))


def opened(folder: Path) -> Archive:
    return open_archive(folder, TRUSTED)
