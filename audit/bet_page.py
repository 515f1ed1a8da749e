"""An explanation of a bet or a round as lines for a terminal, and as a page for a browser."""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from audit.explain import Command, CommandEvents, Event, Explanation
from ledger.core.chain import hash_of
from runtime import html

NO_COMMAND = "no command explains this event: run `wagerledger audit verify`"


def lines(explanation: Explanation) -> Iterator[str]:
    """Plain text, in the order of time."""
    yield explanation.title
    for step in explanation.steps:
        yield ""
        yield from _step(explanation, step)
    for title, rows in _tables(explanation):
        yield ""
        yield f"{title}:"
        for row in rows:
            yield "  " + ", ".join(f"{name} {value}" for name, value in row.items() if value is not None)
    if explanation.notes:
        yield ""
        yield from explanation.notes


def _step(explanation: Explanation, step: CommandEvents) -> Iterator[str]:
    command = step.command
    yield f"{step.at}  trace {step.trace_id}"
    if command is None:
        yield f"  {NO_COMMAND}"
    else:
        yield f"  {command.kind} → {command.outcome_text}"
        for name, value in _facts(command).items():
            yield f"    {name}: {value}"
    for event in step.events:
        yield f"  {event.record['event_type']}  {'/'.join(event.stream)} version {event.version}"
        yield f"    event {event.record['event_id']}, position {event.position}, hash {hash_of(event.body).hex()}"
        yield f"    previous hash {event.record['previous_hash'].hex()}"
        yield f"    {_payload(event)}"
        for posting in event.postings:
            amount = explanation.amount(posting.amount_minor, posting.currency)
            yield f"      {_owner(event, posting.account):<40} {amount:>22}"


def as_html(explanation: Explanation) -> str:
    """One page that needs nothing else. What others sent is escaped."""
    parts: list[str] = [html.heading("What happened, in the order of time")]
    parts.append(html.table(("time", "trace", "command", "events and postings"), _rows(explanation)))
    for title, rows in _tables(explanation):
        names = list(rows[0])
        parts += [html.heading(title), html.table(names, ([row[name] for name in names] for row in rows))]
    parts.append(html.notes(explanation.notes))
    return html.page(explanation.title, *parts)


def _rows(explanation: Explanation) -> Iterator[tuple[object, ...]]:
    for step in explanation.steps:
        yield step.at, step.trace_id, _command_cell(step.command), _events_cell(explanation, step)


def _command_cell(command: Command | None) -> html.Markup:
    if command is None:
        return html.verdict(NO_COMMAND, ok=False)
    title = html.verdict(f"{command.kind} → {command.outcome_text}", ok=command.refusal is None)
    return html.Markup(title + html.table(("", ""), _facts(command).items()))


def _events_cell(explanation: Explanation, step: CommandEvents) -> html.Markup:
    cells = []
    for event in step.events:
        facts = {
            "event": f"{event.record['event_type']} {event.record['event_id']}",
            "stream": f"{'/'.join(event.stream)} version {event.version}, position {event.position}",
            "hash": hash_of(event.body).hex(),
            "previous hash": event.record["previous_hash"].hex(),
            "traceparent": event.traceparent,
            "payload": _payload(event),
        }
        postings = (
            (_owner(event, posting.account), explanation.amount(posting.amount_minor, posting.currency))
            for posting in event.postings
        )
        cells += [html.table(("", ""), facts.items()), html.table(("account", "amount"), postings, numbers=(1,))]
    return html.Markup("".join(cells))


def _facts(command: Command) -> dict[str, str]:
    facts = {
        "key": f"{command.scope} {command.operation} {command.idempotency_key}",
        "command": command.command_id,
        "signed with": command.kid or "no key on record: the operator's own command, or restored",
        "fingerprint": command.fingerprint.hex() if command.fingerprint else "unknown: restored from the topics",
        "asked": _json(command.command_json) if command.command_json is not None else "what its events say",
        "outcome": _json(command.outcome),
        "answer": command.to_dict()["answer"] or "outcome_text from the outcome, in the provider's own words",
    }
    if command.refusal and not command.remembered:
        facts["afterwards"] = "the key stayed free: a repeat is decided anew"
    return facts


def _payload(event: Event) -> str:
    return _json({name: value for name, value in event.record["payload"].items() if value is not None})


def _owner(event: Event, account: str) -> str:
    """Whose account it is: the wallet's, or the tenant's."""
    owner = event.record["wallet_id"] if account in {"cash", "bonus", "held", "receivable"} else event.stream.tenant_id
    return f"{owner} {account}"


def _tables(explanation: Explanation) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    for name, rows in explanation.stored.items():
        if rows:
            yield f"Ledger table {name}", rows
    for name, rows in explanation.read_models.items():
        if rows:
            yield f"Read model {name}", rows


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps(content, ensure_ascii=False, default=str)
