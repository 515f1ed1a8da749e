"""What an audit says: findings as values, counted all, kept up to a limit."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ledger.streams import StreamKey
from patience import Trouble

KEPT = 1000
"""Findings kept with their text; the rest is counted. A wrong database must not fill the memory."""

CODES = {
    "version_missing": "A stream's versions have a hole: an event is gone.",
    "version_repeated": "Two events claim one version of a stream.",
    "chain_broken": "An event does not carry the hash of the one before it: one of the two was changed.",
    "time_backwards": "An event was recorded before its predecessor.",
    "schema_unknown": "An event names a schema that this version of the code does not have.",
    "body_undecodable": "An event's bytes are not a record of the schema that it names.",
    "column_differs": "A column of the event log says something else than the bytes beside it.",
    "event_id_repeated": "Two events have the same id.",
    "postings_unbalanced": "The postings of an event do not sum to zero (I1).",
    "books_unbalanced": "All accounts of a tenant in a currency do not sum to zero (I2).",
    "fold_refused": "An event cannot follow the events before it.",
    "region_differs": "An event is of another region than its player, whose first wallet fixed it.",
    "held_differs": "A wallet's held money is not the sum of its open bets' uncaptured stakes (I3).",
    "account_negative": "An account of a wallet falls below zero (I3).",
    "head_differs": "The stream's row names another end than its last event has.",
    "state_differs": "A stored row is not what the events lead to.",
    "state_missing": "The events lead to a row that is not stored.",
    "state_unexplained": "A row is stored that no event explains.",
    "command_missing": "An event has no command that caused it.",
    "command_differs": "A command says something else than the events it caused.",
    "command_unexplained": "A command names events that do not exist.",
    "command_shared": "Two commands claim the same event.",
    "setting_differs": "A brand, integration, key, game, rate or generation is not what the last act on it says.",
    "setting_unexplained": "A brand, integration, key, game, rate or generation is there, and no act says who made it.",
    "topic_undecodable": "A record of a topic cannot be read as an event.",
    "topic_version_missing": "A stream in the events topic has a hole.",
    "topic_disordered": "A stream's events are in the topic in another order than they happened.",
    "topic_chain_broken": "An event in the topic does not carry the hash of the one before it.",
    "topic_not_in_database": "The topic holds an event that the database lacks, or has with other bytes.",
    "topic_unpublished": "An event of the database should be in the topic and is not.",
    "type_topic_missing": "An event is in the events topic and not in its type topic.",
    "type_topic_extra": "A type topic holds an event that the events topic lacks.",
    "refusal_differs": "The topic says something else of a refusal than the table, or than another record.",
    "refusal_not_in_database": "The topic holds a refusal that the database does not have.",
    "refusal_unpublished": "A refusal of the database should be in the topic and is not.",
    "archive_changed": "A file of the archive is not the one that its manifest names.",
    "archive_behind": "Heads were signed over more entries than the archive holds (with --strict).",
    "archive_unreadable": "A file of the archive cannot be read to its end.",
    "archive_differs": "A manifest says something else than the entries that it describes.",
    "archive_not_anchored": "The entries are not those over which a head was signed.",
    "entry_unreadable": "A command in the log of entries cannot be read.",
    "anchor_unreadable": "A line among the tree heads is none.",
    "anchor_forged": "A tree head has no valid signature of a trusted key, or its row says otherwise.",
    "anchor_missing": "A tree head names one before it that is not in the topic.",
    "anchor_forked": "Two tree heads of one size have different roots: two histories were signed.",
    "anchor_contradicted": "The log has another root than was signed over as many entries: it was changed afterwards.",
    "anchor_ahead": "A tree head was signed over more entries than the log has: entries are gone.",
    "entry_changed": "An entry is not what was sealed.",
    "entry_missing": "An entry was sealed and is gone.",
    "entry_added": "An entry stands among sealed ones and was not sealed.",
    "entry_moved": "Entries stand in another order than they were sealed in.",
    "sealed_leaves_broken": "The stored leaf hashes have a hole or overlap.",
    "sealed_leaves_changed": "The stored leaf hashes are not those that were signed, although the entries are.",
    "balance_differs": "A balance of the read model is not what the events lead to.",
    "balance_unexplained": "A balance of the read model belongs to no event.",
}
"""Every code with its meaning."""


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
        """For people: the findings, what was checked, the verdict."""
        lines = [str(finding) for finding in self.findings]
        if (hidden := self.counts.total() - len(self.findings)) > 0:
            lines.append(f"... and {hidden} more")
        lines += [f"{CODES[code]} ({code}: {count})" for code, count in self.counts.most_common()]
        lines += [f"{name}: {count:,}" for name, count in self.checked.items()]
        lines += self.notes
        lines.append("verdict: all in order" if self.ok else f"verdict: {self.counts.total()} findings")
        return "\n".join(lines)

    def find(self, code: str, stream: StreamKey | None, version: int | None, text: str) -> None:
        """Add a finding; beyond the limit it is only counted."""
        assert code in CODES, f"{code} is not a code of a finding"
        self.counts[code] += 1
        if len(self.findings) < KEPT:
            self.findings.append(Finding(code, "/".join(stream) if stream else None, version, text))
