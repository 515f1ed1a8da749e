"""The read model of balances, compared with the fold while it is made: a row must be right at the version it names."""

from collections.abc import Iterator
from dataclasses import replace

from audit.findings import AuditReport
from audit.snapshot import STREAM, Merged, Row, Snapshot
from ledger.core.folds import Touched
from ledger.core.state import Wallet
from ledger.core.tallies import Tallies
from ledger.store import wallets
from ledger.streams import StreamKey

BALANCES = f"""
select * from (
    select tenant_id as stream_tenant, 'player'::text as stream_kind, player_id as stream_name, as_of_version,
        {wallets.MONEY}
    from bi.balances
) s
{{part}}
order by {STREAM}
"""  # noqa: S608  # our own constants


class ReadBalances:
    """The rows of `bi.balances`; none at all where no snapshot is given, and then nothing is checked."""

    def __init__(self, snapshot: Snapshot | None, report: AuditReport) -> None:
        self._rows = Merged(snapshot.rows(BALANCES)) if snapshot else None
        self._report = report
        if snapshot:
            report.checked |= {"bi.balances": 0, "bi.balances_behind": 0}

    def of(self, stream: StreamKey) -> "StreamBalances | None":
        """What the read model knows of this stream's wallets."""
        return StreamBalances(stream, self._rows.of(stream), self._report) if self._rows else None

    def report_before(self, stream: StreamKey | None) -> None:
        """Rows of streams that the log does not have."""
        for row in self._rows.before(stream) if self._rows else ():
            text = f"bi.balances has {Wallet(*row[4:])}, and the log has no event of this stream"
            self._report.find("balance_unexplained", StreamKey(*row[:3]), row[3], text)


class StreamBalances:
    """The read model's rows of one stream. One that names an earlier version than the wallet's last is only behind."""

    def __init__(self, stream: StreamKey, rows: Iterator[Row], report: AuditReport) -> None:
        self._stream = stream
        self._report = report
        self._rows = {row[6]: (row[3], Wallet(*row[4:])) for row in rows}
        self._compared: set[str] = set()
        self._moved: dict[str, tuple[int, Wallet]] = {}

    def take(self, version: int, touched: Touched) -> None:
        """Compare the wallet that the event at `version` moved."""
        for entity in touched:
            if isinstance(entity, Wallet):
                self._take(version, replace(entity, tallies=Tallies()))  # which the read model does not have

    def _take(self, version: int, wallet: Wallet) -> None:
        currency = wallet.currency
        before = self._moved.get(currency)
        if before is None or before[1] != wallet:
            self._moved[currency] = version, wallet
        row = self._rows.get(currency)
        if row and row[0] == version:
            self._compared.add(currency)
            if row[1] != wallet:
                text = f"bi.balances has {row[1]} at version {version}; the events lead to {wallet}"
                self._report.find("balance_differs", self._stream, version, text)

    def finish(self) -> None:
        """After the stream's last event."""
        checked = self._report.checked
        checked["bi.balances"] += len(self._rows)
        for currency, (version, _) in self._moved.items():
            row = self._rows.get(currency)
            if row is None or row[0] < version:
                checked["bi.balances_behind"] += 1
        for currency in self._rows.keys() - self._compared:
            version, wallet = self._rows[currency]
            text = f"bi.balances has {wallet} at version {version}, at which no event moved this wallet"
            self._report.find("balance_unexplained", self._stream, version, text)
