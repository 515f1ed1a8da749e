"""The fields that bodies are made of: types that are read strictly, and say what is wrong."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, TypeVar

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic_core import PydanticCustomError

from gateway.dialect.strict_json import Number
from ledger.core.money import MAX_DIGITS, Amount, parse_number
from runtime.identifiers import CURRENCY, ID, PLAYER_ID, player_id_fault

T = TypeVar("T")

MAX_PROVIDER_ID = 200
"""Characters of a provider's id at most."""


def _token(value: object) -> object:
    return value.token if isinstance(value, Number) else value


def _amount(value: object) -> Amount:
    text = _token(value)
    number = parse_number(text) if isinstance(text, str) else None
    if number is None or number[0]:
        raise PydanticCustomError(
            "amount", "must be a decimal such as 2.00: not below zero, no blanks, at most 18 digits a side"
        )
    return number[1]


def _amount_string(value: object) -> Amount:
    if not isinstance(value, str):
        raise PydanticCustomError("amount", "must be a string")
    return _amount(value)


def _amount_number(value: object) -> Amount:
    if not isinstance(value, Number):
        raise PydanticCustomError("amount", "must be a number")
    return _amount(value)


def signed_amount(value: object) -> tuple[bool, Amount]:
    """Whether a number, or a text that is one, is below zero, and how much it is. For validators: raises as they do."""
    text = _token(value)
    number = parse_number(text) if isinstance(text, str) else None
    if number is None:
        raise PydanticCustomError("amount", "must be a decimal such as 2.00 or -2.00: at most 18 digits a side")
    return number


def _player_id(text: str) -> str:
    if fault := player_id_fault(text):
        raise PydanticCustomError("player_id", "{fault}", {"fault": fault})
    return text


def _integer(value: object, max_digits: int = MAX_DIGITS) -> object:
    """A whole number by its value: 100.0 and 1E2 are 100."""
    number = parse_number(value.token, max_digits) if isinstance(value, Number) else None
    if number is None or number[1].scale:
        return value
    return -number[1].unscaled if number[0] else number[1].unscaled


def digits(value: object) -> object:
    """A whole number as its digits, for texts that some write as numbers; anything else as it is."""
    whole = _integer(value)
    return str(whole) if isinstance(whole, int) and not isinstance(whole, bool) and whole >= 0 else value


def _flag(value: object) -> object:
    """True or false of what some languages and all forms write for it: 1, 0, and texts."""
    text = digits(value)
    return _FLAGS.get(text.lower(), value) if isinstance(text, str) else value


_FLAGS = {"1": True, "true": True, "0": False, "false": False}

YEAR_2000_US, YEAR_2200_US = 946_684_800_000_000, 7_258_118_400_000_000


def _moment(value: object) -> int:
    """Seconds, ms and µs of these two centuries are of different lengths, so a number shows its unit by itself."""
    text = _token(value)
    number = parse_number(text) if isinstance(text, str) else None
    for at_us in _unix_times(number[1]) if number and not number[0] else _iso_times(text):
        if YEAR_2000_US <= at_us < YEAR_2200_US:
            return at_us
    raise PydanticCustomError("time", "must be a time of the years 2000 to 2199")


def _unix_times(number: Amount) -> list[int]:
    """In microseconds, taken as s, ms and µs."""
    return [number.unscaled * 10**decimals // 10**number.scale for decimals in (6, 3, 0)]


def _iso_times(text: object) -> list[int]:
    try:
        at = datetime.fromisoformat(text if isinstance(text, str) else "")
    except ValueError:
        return []
    return [((at if at.tzinfo else at.replace(tzinfo=UTC)) - _EPOCH) // timedelta(microseconds=1)]


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def _noted(value: object, read: ValidatorFunctionWrapHandler, info: ValidationInfo) -> object:
    if value in _NOTHING:
        return None
    try:
        return read(value)
    except ValidationError:
        if info.context is not None:
            info.context.append(info.field_name)
        return None


_NOTHING: tuple[object, ...] = (None, "", [], {})
"""What languages without a type for it write for a field that is not there."""


def _units(value: object) -> object:
    return _integer(value, 36)


_DECIMAL = {
    "description": "A decimal, as a number or as a string; it counts by its value, exactly.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^[0-9]{1,18}(\.[0-9]{1,18})?$"},
    ],
    "examples": ["2.00"],
}

Id = Annotated[str, Field(pattern=ID)]
ProviderId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$"), BeforeValidator(digits)]
"""An id that a provider makes: of a bet, a round, a game. Any printable text; a whole number is its digits."""
PlayerId = Annotated[
    str,
    Field(pattern=PLAYER_ID),
    AfterValidator(_player_id),
    Field(description="The operator's own opaque id; never an e-mail address or a phone number."),
]
CurrencyCode = Annotated[str, Field(pattern=CURRENCY, examples=["EUR"])]
ProviderCurrency = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f:,*/]{1,32}$")]
"""A provider's code of a currency, such as VND(K): option `currencies` says what it is here."""
Decimal = Annotated[Amount, PlainValidator(_amount), WithJsonSchema(_DECIMAL)]
DecimalString = Annotated[Amount, PlainValidator(_amount_string), WithJsonSchema(_DECIMAL["anyOf"][1])]
DecimalNumber = Annotated[Amount, PlainValidator(_amount_number), WithJsonSchema(_DECIMAL["anyOf"][0])]
Integer = Annotated[int, BeforeValidator(_integer)]
"""A whole JSON number, possibly negative, of at most 18 digits."""
Natural = Annotated[int, BeforeValidator(_integer), Field(ge=0)]
Flag = Annotated[bool, BeforeValidator(_flag)]
"""True and false, also as 1 and 0 or as texts."""
Moment = Annotated[int, PlainValidator(_moment)]
"""A provider's time as microseconds since the epoch: Unix time in s, ms or µs, or ISO 8601 (without a zone: UTC).
Of the years 2000 to 2199.
"""
Noted = Annotated[T | None, WrapValidator(_noted)]
"""A field that only informs, and stands in no money's way: kept where it can be read, else left out and counted."""
Units = Annotated[int, BeforeValidator(_units), Field(ge=0)]
"""An amount in a provider's minor units: up to 18 digits on each side of the point that they leave out."""
Count = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=999_999_999)]
Reason = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f@]{1,128}$", description="In the caller's words; no personal data.")
]


def rfc3339(microseconds: int) -> str:
    """Microseconds since the epoch as RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
