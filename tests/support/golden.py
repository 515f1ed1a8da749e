"""The golden bytes: a small history of every event type, written once. `python -m tests.support.golden` wrote them, and
adds those of a new version or type at the end.

In `0.9.0/` is the same history as an earlier version would have written it, with the schemas of that version, which was
never released: it lacks fields that were added since, in the envelope, in payloads, and in a record inside of one.
"""

import json
from copy import deepcopy
from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import Any

from ledger.core.bets import BetAuthorized, BetFinalized
from ledger.core.chain import GENESIS, hash_of
from ledger.core.commands import Origin
from ledger.core.events import Event
from ledger.core.limits import LimitSet
from ledger.core.players import PlayerFreed, PlayerRestricted, SessionEnded, SessionStarted
from ledger.core.postings import (
    capture,
    credit,
    debit,
    deposit,
    reinstatement,
    rollback,
    settlement,
    stake,
    win_reversal,
    withdrawal,
)
from ledger.core.rollbacks import BetReinstated, BetRolledBack, BetTombstoned, WinReversed
from ledger.core.rounds import RoundFinished
from ledger.core.wallets import AdjustedDown, AdjustedUp, Deposited, WalletOpened, Withdrawn
from ledger.core.wins import Awarded, BetSettled
from ledger.journal.recording import record
from ledger.streams import StreamHead
from schemas.events import BY_FINGERPRINT, EVENTS, EventSchema
from tests.support.story import replay

FOLDER = Path(__file__).parent.parent / "data" / "golden"
EARLIER = FOLDER / "0.9.0"
ADDED_SINCE = {"operation", "command_fingerprint", "conversion", "jurisdiction", "session_expires_at"}
"""The fields that 0.9.0 lacks."""

INTEGRATION = "acme/eu/spin"
NOW = 1_800_000_000_000_000
CONVERSION = {
    "currency": "USD",
    "exponent": 2,
    "amount_minor": 108,
    "rate_numerator": 12,
    "rate_denominator": 13,
    "source": "bank",
    "as_of": 1_700_000_000_000_000,
}


def history() -> list[tuple[Event, Origin]]:
    """Events in order with who asked for them; the last of each type is written in its present version."""
    facts = [
        (WalletOpened("EUR", 2), ()),
        (Deposited("EUR", 2, 1000, "payment-1", "clerk"), deposit("EUR", 1000)),
        (Withdrawn("EUR", 2, 300, "payment-2", "clerk"), withdrawal("EUR", 300)),
        (
            AdjustedUp("adj_1", "EUR", 2, 50, "goodwill", "ticket-1", "clerk", "chief", None, None),
            credit("EUR", "adjustment", 50, 0),
        ),
        (
            AdjustedDown("adj_2", "EUR", 2, 50, "mistake", "ticket-2", "clerk", "chief", "r0", "dice"),
            debit("EUR", "adjustment", 50, 700),
        ),
        (PlayerRestricted("self_excluded", "asked for it", "clerk"), ()),
        (PlayerFreed("time is over", "clerk"), ()),
        (SessionStarted("s_1", INTEGRATION, "EUR", "real", "dice", "de-DE", 1_900_000_000_000_000, "MT"), ()),
        (
            BetAuthorized(
                "b1", "h_1", "r1", "s_1", "dice", "bet", "EUR", 2, 200, 200, 0, "settlement", "real", None, None
            ),
            stake("EUR", 200, 0, held=True),
        ),
        (
            BetSettled(
                "st_1", None, "b1", "r1", "s_1", "dice", "win", "EUR", 2, 200, 500, True, True, True, 3, "real", None
            ),
            settlement("EUR", 200, 500, 0),
        ),
        (
            BetAuthorized(
                "b2", "h_2", "r2", None, "dice", "tip", "EUR", 2, 100, 100, 0, "settlement", "real", CONVERSION, None
            ),
            stake("EUR", 100, 0, held=True),
        ),
        (
            BetRolledBack("rb_1", "b2", "r2", None, "dice", "EUR", 2, 100, 0, [], True, "void", "real", CONVERSION),
            rollback("EUR", 100, 0, 100, 0, 0, 0),
        ),
        (
            BetReinstated("b2", "rb_1", "r2", None, "dice", "EUR", 2, 100, 100, "not void", "real", CONVERSION),
            reinstatement("EUR", 100, 0, 0, held=True),
        ),
        (
            RoundFinished(
                "r2",
                "dice",
                "EUR",
                2,
                [
                    {
                        "bet_id": "b2",
                        "session_id": None,
                        "game_id": "dice",
                        "mode": "real",
                        "held_minor": 100,
                        "conversion": CONVERSION,
                    }
                ],
            ),
            capture("EUR", 100),
        ),
        (BetFinalized("b2", "r2", None, "dice", "EUR", "real"), ()),
        (
            Awarded("st_2", "a1", "promo", "spring", None, None, "EUR", 2, 70, "bonus_cost"),
            credit("EUR", "bonus_cost", 70, 0),
        ),
        (
            WinReversed(
                "rb_3",
                "a1",
                "st_2",
                None,
                None,
                None,
                None,
                "promo",
                "EUR",
                2,
                70,
                "bonus_cost",
                False,
                0,
                "void",
                "real",
                None,
            ),
            win_reversal("EUR", "bonus_cost", 70, 0, 1000),
        ),
        (SessionEnded("s_1", "EUR", "real", "logout"), ()),
        (BetTombstoned("rb_2", "b3", None, None, "timeout"), ()),
        (SessionStarted("s_2", INTEGRATION, "EUR", "real", "dice", None, 1_900_000_000_000_000, None), ()),
        # Free, so that the balances stay those that earlier versions of the history lead to.
        (
            BetAuthorized(
                "b4",
                "h_4",
                "r4",
                "s_2",
                "dice",
                "free",
                "EUR",
                2,
                100,
                0,
                0,
                "settlement",
                "real",
                None,
                1_900_003_600_000_000,
            ),
            (),
        ),
        (
            LimitSet(
                "loss/week/player",
                "loss",
                "week",
                "player",
                "EUR",
                2,
                10_000,
                25_000,
                1_900_000_000_000_000,
                1_900_000_600_000_000,
                "Europe/Malta@1",
                "pending",
                "the player asked",
                "clerk",
            ),
            (),
        ),
    ]
    asked = []
    for number, (payload, postings) in enumerate(facts):
        operator = isinstance(
            payload,
            WalletOpened
            | Deposited
            | Withdrawn
            | AdjustedUp
            | AdjustedDown
            | PlayerRestricted
            | PlayerFreed
            | LimitSet,
        )
        integration_id, provider_id = (None, None) if operator else (INTEGRATION, "spin")
        player_id = None if isinstance(payload, BetTombstoned) else "ann"
        event = Event(payload, "acme", player_id, integration_id, NOW + number, postings)
        asked.append(
            (
                event,
                Origin(
                    "acme",
                    "eu",
                    integration_id,
                    provider_id,
                    "api",
                    f"key-{number}",
                    f"trace-{number}",
                    None,
                    NOW,
                    "tx-ä€",
                ),
            )
        )
    return asked


def write() -> None:
    """Write what the folder does not have yet of the history."""
    written = json.loads((FOLDER / "history.json").read_text())["events"]
    head, entries, seen = StreamHead(), [*written], {entry["event_type"] for entry in written}
    for entry in written:
        body = (FOLDER / entry["file"]).read_bytes()
        record_then = BY_FINGERPRINT[bytes.fromhex(entry["schema_fingerprint"])].decode(body)
        if entry["stream"] == "player":
            head = StreamHead(record_then["stream_version"], hash_of(body), record_then["occurred_at"])
    for number, (event, origin) in islice(enumerate(history()), len(written), None):
        event_type = event.payload.event_type
        of_player = event.player_id is not None
        recorded = record(event, origin, head if of_player else StreamHead(), bytes(range(32)))
        head = recorded.head() if of_player else head
        path = FOLDER / (f"{event_type}.avro" if event_type not in seen else f"{event_type}.{number}.avro")
        seen.add(event_type)
        assert not path.exists(), f"{path} is there: golden bytes are never written again"
        path.write_bytes(recorded.body)
        entries.append(
            {
                "file": path.name,
                "stream": recorded.stream.stream_type,
                "event_type": event_type,
                "schema_fingerprint": recorded.schema_fingerprint.hex(),
                "sha256": recorded.head().hash.hex(),
                "payload": vars(event.payload),
            }
        )
    wallet = replay([event for event, _ in history()]).wallet("acme", "ann", "EUR")
    assert wallet
    balances = {name: getattr(wallet, name) for name in ("cash_minor", "bonus_minor", "held_minor", "receivable_minor")}
    (FOLDER / "history.json").write_text(json.dumps({"events": entries, "wallet": balances}, indent=1) + "\n")


def today_of(entry: dict[str, Any]) -> dict[str, Any]:
    """The record of an entry of `history.json` as today's version has it."""
    schema = BY_FINGERPRINT[bytes.fromhex(entry["schema_fingerprint"])]
    return schema.decode((FOLDER / entry["file"]).read_bytes())


def without(schema: Any, names: set[str]) -> Any:
    """The schema as it was before these fields were added."""
    if isinstance(schema, list):
        return [without(part, names) for part in schema]
    if not isinstance(schema, dict):
        return schema
    made = {key: without(part, names) for key, part in schema.items() if key != "fields"}
    if "fields" in schema:
        made["fields"] = [without(field, names) for field in schema["fields"] if field["name"] not in names]
    return made


def earlier(event_type: str, names: set[str]) -> EventSchema:
    """A version before today's, as the product would know a released one."""
    today = EVENTS[event_type]
    return replace(today, schema_version="0.9.0", schema=without(deepcopy(today.schema), names), read_as=today)


def write_earlier() -> None:
    """Write the golden history once more, as 0.9.0 would have."""
    entries, previous = [], GENESIS
    for number, entry in enumerate(json.loads((FOLDER / "history.json").read_text())["events"]):
        schema = earlier(entry["event_type"], ADDED_SINCE)
        said = today_of(entry)
        chained = {"previous_hash": previous if entry["stream"] == "player" else GENESIS}
        body = schema.encode(said | chained | {"schema_version": "0.9.0"})
        previous = hash_of(body) if entry["stream"] == "player" else previous
        (EARLIER / f"{number}.avro").write_bytes(body)
        (EARLIER / f"{entry['event_type']}.avsc").write_text(json.dumps(schema.schema, indent=1) + "\n")
        entries.append({"file": f"{number}.avro", "event_type": entry["event_type"], "sha256": hash_of(body).hex()})
    (EARLIER / "history.json").write_text(json.dumps(entries, indent=1) + "\n")


if __name__ == "__main__":
    write()
