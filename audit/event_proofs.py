"""Whether events of the log are what was written: against the hash that the next event of their stream carries, and
against the sealed leaves; and which copy is true where one is not.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
from confluent_kafka import KafkaException, Message

from audit.explanation import Event, EventCopy, EventProof, Explanation, Place
from audit.snapshot import Snapshot
from audit.sources import Sources
from evidence.anchors import AnchorsError
from evidence.heads import HeadError
from evidence.keys import AnchorKeyError, Keys, trusted_keys
from evidence.proof import ProofError, SealedEntries, sealed_entries
from ledger.core.chain import hash_of
from ledger.entry import EVENT, Entry
from ledger.streams import StreamKey
from runtime.settings import Settings
from runtime.topics_reader import TopicsReader
from schemas.events import BY_FINGERPRINT
from schemas.registry import PREFIX

# The next event, or where the stream ends.
FOLLOWING = """
select k.*, n.body, n.schema_fingerprint, s.version, s.head_hash
from unnest(%s::text[], %s::text[], %s::text[], %s::bigint[]) k(tenant_id, stream_type, stream_id, version)
left join lateral (
    select body, schema_fingerprint from wagerledger.event_log e
    where e.tenant_id = k.tenant_id and e.stream_type = k.stream_type and e.stream_id = k.stream_id
        and e.stream_version = k.version + 1
    offset 0
) n on true
left join lateral (
    select version, head_hash from wagerledger.streams s
    where s.tenant_id = k.tenant_id and s.stream_type = k.stream_type and s.stream_id = k.stream_id
    offset 0
) s on true
"""

MANY_RECORDS = 20_000
"""So many of a partition are looked through for a copy: it was published soon after it was recorded."""
EARLIER_MS = 60_000
"""Clocks of hosts differ."""
NO_SEAL = "The seal could not be checked"


def add_proofs(explanation: Explanation, ledger: Snapshot, settings: Settings) -> None:
    """Say of each event how it stands against what follows it, and against the sealed leaves."""
    events = [event for step in explanation.steps for event in step.events]
    carried = _carried(ledger, events)
    sealed = _sealed(explanation, ledger, events, settings)
    for event in events:
        entries = sealed.get(event.xid)
        leaf = entries.leaf_of(Entry(event.xid, EVENT, event.body, event.fingerprint)) if entries else None
        proof = EventProof(carried.get(event.place), leaf, entries is not None, hash_of(event.body))
        explanation.proofs[event.place] = proof


def _carried(ledger: Snapshot, events: Sequence[Event]) -> dict[Place, bytes]:
    columns = [list(column) for column in zip(*((*one.stream, one.version) for one in events), strict=True)]
    found = {}
    for *key, version, body, fingerprint, end, head_hash in ledger.all(FOLLOWING, columns or [[]] * 4):
        place = (StreamKey(*key), version)
        if body is None and end == version:
            found[place] = head_hash
        schema = BY_FINGERPRINT.get(fingerprint) if body is not None else None
        if schema:
            try:
                found[place] = schema.decode(body)["previous_hash"]
            except ValueError:
                continue  # what follows cannot be read; the seal still tells
    return found


def _sealed(
    explanation: Explanation, ledger: Snapshot, events: Sequence[Event], settings: Settings
) -> dict[int, SealedEntries | None]:
    """What was sealed, by database transaction."""
    trusted: Keys | None = None
    try:
        trusted = trusted_keys(settings)
    except AnchorKeyError:
        explanation.notes.append("Nobody vouches for the signatures of tree heads: set WAGERLEDGER_ANCHOR_PUBLIC_KEYS.")
    try:
        return {xid: sealed_entries(ledger.connection, xid, trusted) for xid in {event.xid for event in events}}
    except (ProofError, AnchorsError, HeadError) as error:
        explanation.damages.append(f"{NO_SEAL}: {error}.")
    except psycopg.errors.InsufficientPrivilege as error:
        explanation.notes.append(f"{NO_SEAL}: {str(error).strip()}.")
    return {}


# Copies


def add_copies(explanation: Explanation, settings: Settings) -> None:
    """Look into the events topic for what was changed in the log."""
    changed = {
        event.record["event_id"]: event
        for step in explanation.steps
        for event in step.events
        if explanation.proofs[event.place].changed
    }
    if not changed:
        return
    topic = Sources(settings).topics.events
    try:
        for message in _records(settings, topic, min(one.record["occurred_at"] for one in changed.values())):
            headers: Any = message.headers() or ()
            event = changed.pop(next((value.decode() for name, value in headers if name == "ce_id"), ""), None)
            if event:
                explanation.copies[event.place] = _copy(message, event, explanation.proofs[event.place])
            if not changed:
                break
    except KafkaException as error:
        explanation.notes.append(f"The topic {topic} was not compared: {error.args[0].str()}.")


def _records(settings: Settings, topic: str, recorded_at: int) -> Iterator[Message]:
    reader = TopicsReader(settings.kafka_bootstrap_servers)
    begins = reader.since(topic, recorded_at // 1000 - EARLIER_MS)
    ends = {at: min(span.end, begins[at] + MANY_RECORDS) for at, span in reader.spans([topic]).items() if at in begins}
    return reader.read(ends, begins=begins)


def _copy(message: Message, event: Event, proof: EventProof) -> EventCopy:
    body = (message.value() or b"")[PREFIX.size :]
    where = f"{message.topic()}, partition {message.partition()}, offset {message.offset()}"
    true = None if proof.carried is None else hash_of(body) == proof.carried
    return EventCopy(where, BY_FINGERPRINT[event.fingerprint].decode(body), true)
