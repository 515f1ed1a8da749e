"""Loose maps, taken strictly: which names mean which field. Two names of one field must agree; names that are not here
mean nothing.
"""

from collections.abc import Mapping
from typing import Any

from gateway.dialect.errors import Unreadable
from gateway.dialect.fields import digits
from gateway.dialect.strict_json import MalformedJsonError, Number, parse_object
from ledger.core.money import parse_number

SPELLINGS: Mapping[str, tuple[str, ...]] = {
    "session_id": ("sessionId", "session_id", "sessionToken", "session_token", "token", "sid"),
    "player_id": ("playerId", "player_id", "userId", "user_id"),
    "game_id": ("gameId", "game_id", "gameCode", "game_code"),
    "round_id": ("roundId", "round_id", "gameRoundId", "game_round_id"),
    "transaction_id": (
        "providerTransactionId", "provider_transaction_id", "transactionId", "transaction_id", "txId", "tx_id",
    ),
    "bet_amount": ("betAmount", "bet_amount", "bet", "stake"),
    "win_amount": ("winAmount", "win_amount", "win", "payout"),
    "amount": ("amount", "value"),
    "currency": ("currency", "currencyCode", "currency_code"),
    "transaction_type": ("transactionType", "transaction_type", "type", "operation"),
    "round_status": ("roundStatus", "round_status", "status"),
    "jackpot_id": ("jackpotId", "jackpot_id"),
    "jackpot_type": ("jackpotType", "jackpot_type"),
    "error_code": ("errorCode", "error_code", "code"),
}  # fmt: skip

FIELDS = {name: field for field, names in SPELLINGS.items() for name in names}

IDS = {"session_id", "player_id", "game_id", "round_id", "transaction_id", "jackpot_id", "error_code"}
"""These may come as whole numbers, and are then their digits."""


def read(raw: bytes) -> dict[str, Any]:
    """The fields in a loose map, by the names of `SPELLINGS`. Raises Rejected."""
    try:
        sent = parse_object(raw)
    except MalformedJsonError as error:
        raise Unreadable("MALFORMED_REQUEST", reason=f"the body is not one plain JSON object: {error}") from error
    found: dict[str, Any] = {}
    for name, said in sent.items():
        field = FIELDS.get(name)
        if field is None or said is None:
            continue
        value = _plain(field, said)
        if field in found and _value(found[field]) != _value(value):
            raise Unreadable("FIELD_INVALID", field=field, reason=f"is there more than once, as {name} too")
        found.setdefault(field, value)
    return found


def _plain(field: str, value: object) -> object:
    return digits(value) if field in IDS else value


def _value(value: object) -> object:
    """Two spellings of one number are one value."""
    text = value.token if isinstance(value, Number) else value
    return (parse_number(text) if isinstance(text, str) else None) or text
