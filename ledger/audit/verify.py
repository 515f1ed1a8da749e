"""The whole audit: what `wagerledger audit verify` runs."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from ledger.audit.database import verify_database
from ledger.audit.findings import Progress, Report, silent
from ledger.audit.read_models import ReadBalances
from ledger.audit.snapshot import Snapshot, snapshot
from ledger.audit.topics import TopicsAudit
from ledger.settings import Settings


def verify(
    settings: Settings,
    *,
    database: bool = True,
    topics: bool = True,
    bi: bool = False,
    strict: bool = False,
    progress: Progress = silent,
) -> Report:
    """Check what was asked for, and report everything that is wrong.

    Without `database` the topics are checked by themselves; `bi` compares the read model of balances with it. `strict`
    takes what is not published yet for lost: for a system at rest. Raises CannotCheckError where something could not be
    read to its end.
    """
    report = Report()
    started = time.monotonic()
    published = TopicsAudit(settings, report, progress) if topics else None
    if published:
        published.read()
    if database:
        # The ledger's snapshot comes last: then it knows all that topics and read model know.
        with (
            _read_model(settings, wanted=bi) as read_model,
            snapshot(settings.database_url, "WAGERLEDGER_DATABASE_URL") as ledger,
        ):
            verify_database(ledger, ReadBalances(read_model, report), report, progress)
            if published:
                published.compare(ledger, strict=strict)
    report.elapsed_s = time.monotonic() - started
    return report


@contextmanager
def _read_model(settings: Settings, *, wanted: bool) -> Iterator[Snapshot | None]:
    if not wanted:
        yield None
        return
    with snapshot(settings.bi_database_url, "WAGERLEDGER_BI_DATABASE_URL") as opened:
        yield opened
