"""What requests and answers are made of: the fields of bodies, JSON and forms read strictly, amounts both ways."""

from collections.abc import Mapping
from datetime import UTC, datetime
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
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from gateway.errors import Rejected
from gateway.strict_json import MalformedJsonError, Number, parse_object
from ledger.core.money import Amount, format_minor, parse_amount
from ledger.currencies import decimals
from ledger.identifiers import CURRENCY, ID, PLAYER_ID, player_id_fault

B = TypeVar("B", bound="Body")

MAX_FORM_FIELDS = 200
MAX_PROVIDER_ID = 200


class Body(BaseModel):
    """Fields that are not listed are ignored and kept nowhere."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", populate_by_name=True)


class CamelBody(Body):
    """Fields that are camelCase on the wire, such as `userId`."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=False)


# Types of fields ----------------------------------------------------------------------------------------------------


def _amount(value: object) -> Amount:
    text = value.token if isinstance(value, Number) else value
    amount = parse_amount(text) if isinstance(text, str) else None
    if amount is None:
        raise PydanticCustomError(
            "amount",
            "must be a plain decimal such as 2.00: no sign, exponent, blank or leading zero, at most 18 digits a side",
        )
    return amount


def _amount_string(value: object) -> Amount:
    if not isinstance(value, str):
        raise PydanticCustomError("amount", "must be a string")
    return _amount(value)


def _amount_number(value: object) -> Amount:
    if not isinstance(value, Number):
        raise PydanticCustomError("amount", "must be a number")
    return _amount(value)


def _player_id(text: str) -> str:
    if fault := player_id_fault(text):
        raise PydanticCustomError("player_id", "{fault}", {"fault": fault})
    return text


def _integer(value: object, digits: int = 18) -> object:
    if isinstance(value, Number) and value.token.removeprefix("-").isdigit() and len(value.token) <= digits:
        return int(value.token)
    return value


def _units(value: object) -> object:
    return _integer(value, 36)


_DECIMAL = {
    "description": "A plain decimal, as a number or as a string; taken exactly as written.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$"},
    ],
    "examples": ["2.00"],
}

Id = Annotated[str, Field(pattern=ID)]
ProviderId = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
"""An id that a provider makes: of a bet, a round, a game. Any printable text."""
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
        raise Rejected("MALFORMED_REQUEST", reason=f"the body is not one plain JSON object: {error}") from error


def peek(raw: bytes, name: str) -> str:
    """The text of a field in a JSON body that may be anything: what a refusal echoes. Empty where there is none."""
    try:
        value = parse_object(raw).get(name)
    except MalformedJsonError:
        return ""
    return value if isinstance(value, str) and len(value) <= MAX_PROVIDER_ID else ""


def form_fields(raw: bytes) -> dict[str, str]:
    """The fields of an application/x-www-form-urlencoded body. Raises Rejected MALFORMED_REQUEST, also for a repeated
    name.
    """
    try:
        pairs = parse_qsl(
            raw.decode("ascii"), keep_blank_values=True, strict_parsing=bool(raw), errors="strict",
            max_num_fields=MAX_FORM_FIELDS,
        )  # fmt: skip
    except (UnicodeDecodeError, ValueError) as error:
        raise Rejected("MALFORMED_REQUEST", reason="the body is no form") from error
    fields = dict(pairs)
    if len(fields) != len(pairs):
        raise Rejected("MALFORMED_REQUEST", reason="a field is repeated")
    return fields


def read_form(model: type[B], raw: bytes) -> B:
    """The form in `raw` as `model`; an empty field counts as absent. Raises Rejected MALFORMED_REQUEST or
    FIELD_INVALID.
    """
    return validated(model, {name: value for name, value in form_fields(raw).items() if value})


def validated(model: type[B], fields: Mapping[str, Any]) -> B:
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        field, reason = field_fault(error)
        raise Rejected("FIELD_INVALID", field=field, reason=reason) from error


def field_fault(error: ValidationError) -> tuple[str, str]:
    """Name of the first bad field, and what is wrong with it. The value itself is not repeated: it may be anything."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"][0].lower() + first["msg"][1:]


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
        raise Rejected("FIELD_INVALID", field="amount", reason="must not be negative, and at most 18 digits a side")
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
        raise Rejected("CURRENCY_NOT_SUPPORTED", currency=currency)
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
