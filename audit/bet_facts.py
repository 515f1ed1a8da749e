"""The details of a bet's page as names and values: of a command, of an event, of a row."""

from collections.abc import Iterator, Mapping
from typing import Any

from audit.bet_story import amount_or, label
from audit.explanation import Command, Event, EventProof, Explanation

Facts = Iterator[tuple[str, str]]


def of_command(explanation: Explanation, command: Command) -> Facts:
    """Who asked for it, under which key, and what was answered."""
    yield "command", f"{command.kind} → {command.outcome_text}"
    yield "key", f"{command.scope} {command.operation} {command.idempotency_key}"
    yield "signed with", command.kid or "no key on record: the operator's own command, or restored"
    yield "trace", command.trace_id
    if command.command_json is not None:
        currency = command.command_json.get("currency")
        yield "asked", _joined(explanation, command.command_json, currency)
    yield "answer", command.answer_text or "made from the outcome, in the provider's own words"
    if command.refusal and not command.remembered:
        yield "afterwards", "the key stayed free: a repeat is decided anew"
    fingerprint = command.fingerprint.hex() if command.fingerprint else "unknown: restored from the topics"
    yield "fingerprint", fingerprint
    yield "command id", command.command_id


def of_event(explanation: Explanation, event: Event, proof: EventProof) -> Facts:
    """What it says, where it stands, and how it is proven."""
    yield "event", f"{event.record['event_type']} {event.record['event_id']}"
    yield "stream", f"{'/'.join(event.stream)} version {event.version}, position {event.position}"
    payload = event.record["payload"]
    for name, value in payload.items():
        if value is not None and name not in {"currency", "exponent"}:
            yield label(name), amount_or(explanation, name, value, payload.get("currency"))
    if event.record.get("provider_transaction_id"):
        yield "provider's transaction", event.record["provider_transaction_id"]
    yield "sealed", _seal(proof)
    yield "hash", proof.hash.hex()
    if not proof.followed:
        yield "carried by what follows", proof.carried.hex() if proof.carried else "cannot be read"
    yield "previous hash", event.record["previous_hash"].hex()
    if event.traceparent:
        yield "traceparent", event.traceparent


def postings(explanation: Explanation, event: Event) -> Facts:
    """Each account with what it moved by."""
    for posting in event.postings:
        own = posting.account in {"cash", "bonus", "held", "receivable"}
        owner = event.record["wallet_id"] if own else event.stream.tenant_id
        yield f"{owner} {posting.account}", explanation.amount(posting.amount_minor, posting.currency)


def of_row(explanation: Explanation, row: Mapping[str, Any]) -> Facts:
    """What a row has, but what it has none of, and amounts once."""
    for name, value in row.items():
        twice = name.endswith("_minor") and name.removesuffix("_minor") in row
        if value is None or twice or name == "exponent" or (name.endswith("_at") and value == 0):
            continue
        yield label(name), amount_or(explanation, name, value, row.get("currency"))


def tables(explanation: Explanation) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The rows that the ledger and the read models have, by where they stand."""
    for name, rows in explanation.stored.items():
        if rows:
            yield f"Ledger table {name}", rows
    for name, rows in explanation.read_models.items():
        if rows:
            yield f"Read model {name}", rows


def _joined(explanation: Explanation, content: Mapping[str, Any], currency: str | None) -> str:
    told = ((name, value) for name, value in content.items() if value is not None)
    return "; ".join(f"{label(name)} {amount_or(explanation, name, value, currency)}" for name, value in told)


def _seal(proof: EventProof) -> str:
    if not proof.sealed:
        return "not yet"
    return "with another content" if proof.leaf is None else f"as leaf {proof.leaf}"
