"""How the entries that are there differ from those that were sealed, and what each is called."""

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from ledger.entry import COMMAND, EVENT, REFUSAL, Entry
from ledger.streams import StreamKey
from schemas.events import BY_FINGERPRINT

CHANGED, MISSING, ADDED, MOVED = "entry_changed", "entry_missing", "entry_added", "entry_moved"


class EntryDifference(NamedTuple):
    """Where it is among the sealed leaves, and in what is there; what is missing or added would stand there."""

    code: str
    leaf: int
    found_at: int


def differences(sealed: Sequence[bytes], found: Sequence[bytes]) -> Iterator[EntryDifference]:
    """Walk along both side by side. What follows one difference is not taken for another."""
    gone, new = Counter(sealed), Counter(found)
    gone, new = gone - new, new - gone
    at, there = 0, 0
    while at < len(sealed) and there < len(found):
        if sealed[at] == found[there]:
            at, there = at + 1, there + 1
            continue
        is_gone, is_new = gone[sealed[at]] > 0, new[found[there]] > 0
        code = (CHANGED if is_new else MISSING) if is_gone else (ADDED if is_new else MOVED)
        yield EntryDifference(code, at, there)
        if code != ADDED:
            gone[sealed[at]] -= is_gone
            at += 1
        if code != MISSING:
            new[found[there]] -= is_new
            there += 1
    yield from (EntryDifference(MISSING, left, there) for left in range(at, len(sealed)))
    yield from (EntryDifference(ADDED, at, left) for left in range(there, len(found)))


class EntryName(NamedTuple):
    """What to call an entry."""

    stream: StreamKey | None
    version: int | None
    text: str


def name_of(entry: Entry) -> EntryName:
    """Kind and key; an entry that cannot be read is named by its database transaction."""
    try:
        return _event(entry) if entry.kind == EVENT else _other(entry)
    except (ValueError, LookupError, TypeError) as error:
        return EntryName(
            None, None, f"{entry.kind} of database transaction {entry.xid}, which cannot be read ({error!r})"
        )


def _event(entry: Entry) -> EntryName:
    record = BY_FINGERPRINT[entry.fingerprint].decode(entry.body)
    stream = StreamKey(record["tenant_id"], record["stream_type"], record["stream_id"])
    return EntryName(stream, record["stream_version"], f"event {record['event_id']} ({record['event_type']})")


def _other(entry: Entry) -> EntryName:
    content = json.loads(entry.body)
    if entry.kind not in (COMMAND, REFUSAL):
        return EntryName(None, None, f"act {content['act_id']} ({content['action']} of {content['subject']})")
    stream = StreamKey(content["tenant_id"], content["stream_type"] or "", content["stream_id"] or "")
    key = " ".join((content["scope"], content["operation"], content["idempotency_key"]))
    return EntryName(stream if stream.stream_id else None, None, f"{entry.kind} {key}")
