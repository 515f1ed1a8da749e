"""What requests and answers are made of: the fields of bodies, JSON and forms read strictly, amounts both ways."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Annotated, Any, TypeVar
from urllib.parse import parse_qsl

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    ValidationError,
    ValidationInfo,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from gateway import metrics
from gateway.dialect.errors import Unreadable
from gateway.dialect.strict_json import MalformedJsonError, Number, parse_object
from ledger.core.currencies import decimals
from ledger.core.money import MAX_DIGITS, Amount, format_minor, parse_amount, parse_number
from runtime.identifiers import CURRENCY, ID, PLAYER_ID, player_id_fault

B = TypeVar("B", bound="Body")
T = TypeVar("T")

MAX_FORM_FIELDS = 3_000
"""More than the longest list that a body has room for."""
MAX_PROVIDER_ID = 200


class Body(BaseModel):
    """Fields that are not listed are ignored and kept nowhere."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)


class CamelBody(Body):
    """Fields that are camelCase on the wire, such as `userId`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


# Types of fields ----------------------------------------------------------------------------------------------------


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
    """A number or a text as whether it is below zero, and how much. Raises what a validator raises."""
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
    """Some languages have no other truth than 1 and 0, and forms have only texts."""
    text = digits(value)
    return _FLAGS.get(text.lower(), value) if isinstance(text, str) else value


_FLAGS = {"1": True, "true": True, "0": False, "false": False}

YEAR_2000_US, YEAR_2200_US = 946_684_800_000_000, 7_258_118_400_000_000


def _moment(value: object) -> int:
    """Seconds, ms and µs of these two centuries are of different lengths, so a number tells its unit by itself."""
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
"""What languages without a type for it write for what is not there."""


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
"""What only informs, and stands in no money's way: kept where it can be read, else left out and counted."""
Units = Annotated[int, BeforeValidator(_units), Field(ge=0)]
"""An amount in a provider's minor units: up to 18 digits on each side of the point that they leave out."""
Count = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=999_999_999)]
Reason = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f@]{1,128}$", description="In the caller's words; no personal data.")
]

# Reading ------------------------------------------------------------------------------------------------------------


def read_json(model: type[B], raw: bytes) -> B:
    """The JSON object in `raw` as `model`. Raises Rejected MALFORMED_REQUEST or FIELD_INVALID."""
    try:
        return validated(model, parse_object(raw))
    except MalformedJsonError as error:
        raise Unreadable("MALFORMED_REQUEST", reason=f"the body is not one plain JSON object: {error}") from error


def peek_object(raw: bytes) -> Mapping[str, Any]:
    """The JSON object in a body that may be anything; empty where there is none."""
    try:
        return parse_object(raw)
    except MalformedJsonError:
        return {}


def peek(raw: bytes, name: str) -> str:
    """The text of a field in a JSON body that may be anything: what a refusal echoes. Empty where there is none."""
    value = peek_object(raw).get(name)
    return value if isinstance(value, str) and len(value) <= MAX_PROVIDER_ID else ""


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of an application/x-www-form-urlencoded body; an empty pair, as in `a=1&&b=2&`, is none. Raises
    Rejected MALFORMED_REQUEST, also for a repeated name.
    """
    sent = b"&".join(filter(None, raw.split(b"&")))
    try:
        pairs = parse_qsl(
            sent.decode("ascii"), keep_blank_values=True, strict_parsing=bool(sent), errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )  # fmt: skip
    except (UnicodeDecodeError, ValueError) as error:
        raise Unreadable("MALFORMED_REQUEST", reason="the body is no form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Unreadable("MALFORMED_REQUEST", reason="a field is repeated")
    return fields


def read_form(model: type[B], raw: bytes) -> B:
    """The form in `raw` as `model`; an empty field counts as absent. Raises Rejected MALFORMED_REQUEST or
    FIELD_INVALID.
    """
    return validated(model, {name: value for name, value in form_fields(raw).items() if value})


def validated(model: type[B], fields: Mapping[str, Any]) -> B:
    """Raises Rejected FIELD_INVALID. Fields that only inform and cannot be read are counted by dialect."""
    left_out: list[str] = []
    try:
        body = model.model_validate(fields, context=left_out)
    except ValidationError as error:
        field, reason = field_fault(error)
        raise Unreadable("FIELD_INVALID", field=field, reason=reason) from error
    for name in left_out:
        metrics.LEFT_OUT.labels(dialect_of(model), name).inc()
    return body


def dialect_of(model: type[Body]) -> str:
    """By the folder that it stands in."""
    _, _, below = model.__module__.partition("providers.")
    return below.partition(".")[0] or "canonical"


def field_fault(error: ValidationError) -> tuple[str, str]:
    """Name of the first bad field, and what is wrong with it. The value itself is not repeated: it may be anything."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    said = _WORDS.get(first["type"], first["msg"])
    return ".".join(map(str, first["loc"])), said[0].lower() + said[1:]


_WORDS = {"string_pattern_mismatch": "has characters that are not allowed here, or too few or too many of them"}
"""For people: a regular expression tells them nothing."""


# Times --------------------------------------------------------------------------------------------------------------


def rfc3339(microseconds: int) -> str:
    """Microseconds since the epoch as RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# Amounts ------------------------------------------------------------------------------------------------------------


def scaled(units: int, exponent: int) -> Amount:
    """A provider's whole units at its own `exponent` as an amount: (1150, 2) is 11.5. Raises Rejected for a negative
    one.
    """
    amount = parse_amount(format_minor(units, exponent))
    if amount is None:
        raise Unreadable("FIELD_INVALID", field="amount", reason="must not be negative, and at most 18 digits a side")
    return amount


_EXPONENT = r"[A-Z][A-Z0-9_]{2,15}:(?:[0-9]|1[0-8])"
MINOR_EXPONENTS = rf"(?:{_EXPONENT}(?:,{_EXPONENT})*)?"
"""The form of an option that lists them."""


@cache
def minor_exponent(currency: str, listed: str = "") -> int:
    """Decimals of a provider's own minor units: as `listed` for our currencies ("JPY:0,BTC:8"), else those of the
    currency itself. The wallet's own may be others. Raises Rejected CURRENCY_NOT_SUPPORTED where nobody says them.
    """
    for entry in filter(None, listed.split(",")):
        code, _, said = entry.partition(":")
        if code.strip() == currency:
            return int(said)
    places = decimals(currency)
    if places is None:
        raise Unreadable("CURRENCY_NOT_SUPPORTED", currency=currency, field="currency", reason="has no known decimals")
    return places


def rescaled(amount_minor: int, exponent: int, to_exponent: int) -> int:
    """Minor units at another exponent, rounded down: what a balance is told as to a provider with other decimals."""
    if to_exponent >= exponent:
        return int(amount_minor * 10 ** (to_exponent - exponent))
    return int(amount_minor // 10 ** (exponent - to_exponent))


def decimal(amount_minor: int, exponent: int, places: int | None = None) -> str:
    """Minor units as a plain decimal, with `places` decimals (rounded down) where the provider fixes them."""
    if places is None:
        return format_minor(amount_minor, exponent)
    return format_minor(rescaled(amount_minor, exponent, places), places)
