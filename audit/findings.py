"""What an audit says: findings as values, counted all, kept up to a limit."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from audit.finding_codes import RUNBOOK, codes, counters
from ledger.streams import PLAYER, StreamKey
from patience import Trouble

KEPT = 1000
"""Findings kept with their text; the rest is counted. A wrong database must not fill the memory."""

SHOWN = 20
"""Findings of one code that people see; programs get all that were kept."""


class CannotCheckError(Trouble):
    """The audit could not be done: nothing is known to be wrong or right. The message says what to do. It may pass
    where its cause may.
    """


class Finding(NamedTuple):
    """Something that must not be. `stream` is tenant/type/id."""

    code: str
    stream: str | None
    version: int | None
    text: str

    @property
    def whose(self) -> str:
        """The stream and the version, as people call them; empty where it is nobody's."""
        if self.stream is None:
            return ""
        tenant_id, stream_type, stream_id = self.stream.split("/", 2)
        version = "" if self.version is None else f", version {self.version}"
        return f"{stream_type} {stream_id} of {tenant_id}{version}"

    def __str__(self) -> str:
        version = "" if self.version is None else f" version {self.version}"
        return f"{self.code}: {self.stream + version + ': ' if self.stream else ''}{self.text}"


@dataclass
class AuditReport:
    """What an audit checked, and what it found. `ok` is the verdict."""

    findings: list[Finding] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)
    """Findings by code, also of those that were not kept."""
    checked: dict[str, int] = field(default_factory=dict)
    """How much was looked at, such as `database.events`."""
    accounts: Counter[tuple[str, str, str]] = field(default_factory=Counter)
    """The tenants' own accounts by (tenant, currency, account): the sums of their postings, minor units."""
    notes: list[str] = field(default_factory=list)
    """What is no finding and still should be known."""
    elapsed_s: float = 0.0

    @property
    def ok(self) -> bool:
        return not self.counts

    def add(self, other: "AuditReport") -> None:
        """Take over what another audit of the same found, its counts added to those here."""
        self.findings += other.findings[: KEPT - len(self.findings)]
        self.counts += other.counts
        self.notes += other.notes
        for name, count in other.checked.items():
            self.checked[name] = self.checked.get(name, 0) + count
        for account, balance_minor in other.accounts.items():  # += would leave out what is negative
            self.accounts[account] += balance_minor

    def to_dict(self) -> dict[str, Any]:
        """The report as plain values, for JSON."""
        return {
            "ok": self.ok,
            "elapsed_s": round(self.elapsed_s, 3),
            "checked": self.checked,
            "accounts": [
                {"tenant_id": tenant_id, "currency": currency, "account": account, "balance_minor": balance_minor}
                for (tenant_id, currency, account), balance_minor in sorted(self.accounts.items())
            ],
            "counts": dict(self.counts),
            "findings": [finding._asdict() for finding in self.findings],
            "notes": self.notes,
        }

    def text(self) -> str:
        """For people: each kind of finding with whose it is and what to do, what was looked at, the verdict."""
        lines = [line for code, _ in self.counts.most_common() for line in self._of_code(code)]
        lines += [f"{name}: {count:,}  {counters().get(name, '')}".rstrip() for name, count in self.checked.items()]
        lines += self.notes
        if self.ok:
            lines.append(f"Everything agrees ({self.elapsed_s:.1f} s).")
        else:
            kinds = len(self.counts)
            many = self.counts.total()
            lines.append(
                f"The books do not agree: {many} finding{'s' * (many > 1)} of {kinds} kind{'s' * (kinds > 1)}. "
                f"What to do: {RUNBOOK}"
            )
        return "\n".join(lines)

    def _of_code(self, code: str) -> Iterator[str]:
        entry, count = codes()[code], self.counts[code]
        found = [finding for finding in self.findings if finding.code == code]
        yield f"{code}, {count} time{'s' * (count > 1)}: {entry.meaning}"
        for finding in found[:SHOWN]:
            yield f"  - {finding.whose}: {finding.text}" if finding.stream else f"  - {finding.text}"
        if count > len(found[:SHOWN]):
            yield f"  - … and {count - len(found[:SHOWN])} more"
        yield f"  How it comes about: {entry.cause}"
        yield f"  True copy: {entry.truth}"
        yield f"  Next: {_filled_in(entry.next, found)}"
        yield ""

    def find(self, code: str, stream: StreamKey | None, version: int | None, text: str) -> None:
        """Add a finding; beyond the limit it is only counted."""
        assert code in codes(), f"{code} is not a code of a finding"
        self.counts[code] += 1
        if len(self.findings) < KEPT:
            self.findings.append(Finding(code, "/".join(stream) if stream else None, version, text))


def _filled_in(command: str, findings: Sequence[Finding]) -> str:
    """A command with the player's names in it, where all findings are of one."""
    streams = {finding.stream for finding in findings}
    tenant_id, stream_type, stream_id = (next(iter(streams)) or "//").split("/", 2) if len(streams) == 1 else [""] * 3
    if stream_type != PLAYER:
        return command
    return command.replace("TENANT", tenant_id).replace("PLAYER", stream_id)
