"""The canonical API: what its bodies look like, which command each operation becomes, and how an outcome is told."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, Literal, NamedTuple

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
from pydantic_core import PydanticCustomError, to_json

from gateway.errors import error_body
from gateway.strict_json import Number
from ledger.callback import Balances, Outcome
from ledger.core.commands import (
    DEMO,
    REAL,
    AuthorizeBet,
    Command,
    EndSession,
    Origin,
    RollbackBet,
    SettleBet,
    StartSession,
)
from ledger.core.money import Amount, format_minor, parse_amount
from ledger.identifiers import CURRENCY, ID, player_id_fault

OPERATION_CLASS = "api"
"""All writes share it: one idempotency key means one effect, whatever the route."""

# What bodies are made of --------------------------------------------------------------------------------------------


def _amount(value: object) -> Amount:
    text = value.token if isinstance(value, Number) else value
    amount = parse_amount(text) if isinstance(text, str) else None
    if amount is None:
        raise PydanticCustomError(
            "amount",
            "must be a plain decimal such as 2.00: no sign, exponent, blank or leading zero, at most 18 digits a side",
        )
    return amount


def _player_id(text: str) -> str:
    if fault := player_id_fault(text):
        raise PydanticCustomError("player_id", "{fault}", {"fault": fault})
    return text


def _integer(value: object) -> object:
    return int(value.token) if isinstance(value, Number) and value.token.isdigit() and len(value.token) < 10 else value


_DECIMAL = {
    "description": "A plain decimal, as a number or as a string; taken exactly as written.",
    "anyOf": [
        {"type": "number", "minimum": 0},
        {"type": "string", "pattern": r"^(0|[1-9][0-9]{0,17})(\.[0-9]{1,18})?$"},
    ],
    "examples": ["2.00"],
}

Id = Annotated[str, Field(pattern=ID)]
PlayerId = Annotated[
    Id,
    AfterValidator(_player_id),
    Field(description="The operator's own opaque id; never an e-mail address or a phone number."),
]
CurrencyCode = Annotated[str, Field(pattern=CURRENCY, examples=["EUR"])]
Decimal = Annotated[Amount, PlainValidator(_amount), WithJsonSchema(_DECIMAL)]
Count = Annotated[int, BeforeValidator(_integer), Field(ge=0, le=999_999_999)]
Reason = Annotated[
    str, Field(pattern=r"^[^\x00-\x1f\x7f@]{1,128}$", description="In the caller's words; no personal data.")
]


class Body(BaseModel):
    """Fields that are not listed are ignored and kept nowhere."""

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")


class Money(Body):
    amount: Decimal
    currency: CurrencyCode


class BonusState(Body):
    in_bonus: bool = False
    freespins_left: Count | None = None


class SessionStart(Body):
    player_id: PlayerId
    game_id: Id
    currency: CurrencyCode
    locale: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,35}$", examples=["de-DE"])] | None = None
    mode: Literal["real", "demo"] = Field("real", description="A demo session moves no money.")


class SessionEnd(Body):
    reason: Reason = "requested"


class BetAuthorize(Body):
    session_id: Id
    bet_id: Id
    round_id: Id
    amount: Money


class BetSettle(Body):
    bet_id: Id
    round_id: Id
    win: Money = Field(description="All that the bet pays; 0 closes it without a win.")
    bonus_state: BonusState | None = None


class BetRollback(Body):
    bet_id: Id
    round_id: Id | None = None
    session_id: Id | None = Field(None, description="Tells the player of a bet that has not arrived yet.")
    reason: Reason = "unspecified"


# What answers are made of -------------------------------------------------------------------------------------------


class WalletBalances(BaseModel):
    """After the command. Decimals as strings, and the same in minor units; `available` is what a bet may stake: cash
    and bonus.
    """

    currency: str
    exponent: int
    cash: str
    bonus: str
    held: str
    receivable: str
    available: str
    cash_minor: int
    bonus_minor: int
    held_minor: int
    receivable_minor: int
    available_minor: int


class SessionStarted(BaseModel):
    status: Literal["started"]
    session_id: str
    expires_at: datetime
    player_id: str
    game_id: str
    currency: str
    mode: Literal["real", "demo"]
    balances: WalletBalances


class SessionEnded(BaseModel):
    status: Literal["ended"]
    session_id: str
    balances: WalletBalances


class BetAuthorized(BaseModel):
    status: Literal["authorized"]
    hold_id: str
    session_id: str
    bet_id: str
    round_id: str
    balances: WalletBalances


class BetSettled(BaseModel):
    status: Literal["credited"]
    settlement_id: str
    bet_id: str
    round_id: str
    balances: WalletBalances


class BetRolledBack(BaseModel):
    status: Literal["rolled_back", "tombstoned"]
    rollback_id: str
    bet_id: str
    round_id: str | None = None
    balances: WalletBalances | None = Field(description="Null where the bet is not known and nothing names its player.")


class Wallet(BaseModel):
    player_id: str
    balances: WalletBalances


def tell_balances(balances: Balances) -> dict[str, str | int]:
    currency, exponent, cash, bonus, held, receivable = balances
    available = cash + bonus
    return {
        "currency": currency,
        "exponent": exponent,
        "cash": format_minor(cash, exponent),
        "bonus": format_minor(bonus, exponent),
        "held": format_minor(held, exponent),
        "receivable": format_minor(receivable, exponent),
        "available": format_minor(available, exponent),
        "cash_minor": cash,
        "bonus_minor": bonus,
        "held_minor": held,
        "receivable_minor": receivable,
        "available_minor": available,
    }


def tell_time(microseconds: int) -> str:
    """RFC 3339, UTC, whole seconds."""
    return datetime.fromtimestamp(microseconds // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


# From body to command, from outcome to answer -----------------------------------------------------------------------


class Asked(NamedTuple):
    """A verified and well-formed request. Times are microseconds since the epoch."""

    origin: Origin
    command_id: str
    received_at: int
    session_expires_at: int
    session_id: str | None
    """From the path, where the path has one."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One write: `echoed` are the fields of the body that the answer repeats."""

    name: str
    path: str
    summary: str
    body: type[Body]
    answer: type[BaseModel]
    command: Callable[[Asked, Any], Command]
    echoed: tuple[str, ...]
    refusals: tuple[str, ...]
    status: int = 200
    body_required: bool = True

    @property
    def names_session(self) -> bool:
        """Whether the path carries a session's id."""
        return "{session_id}" in self.path

    def tell(self, trace_id: str, body: Body, outcome: Outcome) -> bytes:
        """The exact answer."""
        if outcome.refusal_code:
            return error_body(outcome.refusal_code, outcome.details, trace_id)
        answer: dict[str, Any] = dict(outcome.result)
        if "expires_at" in answer:
            answer["expires_at"] = tell_time(int(answer["expires_at"]))
        for name in self.echoed:
            if (value := getattr(body, name)) is not None:
                answer[name] = value
        answer["balances"] = tell_balances(outcome.balances) if outcome.balances else None
        return to_json(answer)


def _start_session(asked: Asked, body: SessionStart) -> Command:
    mode = DEMO if body.mode == "demo" else REAL
    return StartSession(
        asked.origin,
        asked.command_id,
        asked.received_at,
        body.player_id,
        body.currency,
        body.game_id,
        body.locale,
        mode,
        asked.session_expires_at,
    )


def _end_session(asked: Asked, body: SessionEnd) -> Command:
    assert asked.session_id, "the route has a session id"
    return EndSession(asked.origin, asked.command_id, asked.received_at, asked.session_id, body.reason)


def _authorize(asked: Asked, body: BetAuthorize) -> Command:
    money = body.amount
    return AuthorizeBet(
        asked.origin,
        asked.command_id,
        asked.received_at,
        body.session_id,
        body.bet_id,
        body.round_id,
        money.amount,
        money.currency,
    )


def _settle(asked: Asked, body: BetSettle) -> Command:
    bonus = body.bonus_state or _NO_BONUS
    return SettleBet(
        asked.origin, asked.command_id, asked.received_at, body.bet_id, body.round_id,
        body.win.amount, body.win.currency, bonus.in_bonus, bonus.freespins_left,
    )  # fmt: skip


def _rollback(asked: Asked, body: BetRollback) -> Command:
    return RollbackBet(
        asked.origin, asked.command_id, asked.received_at, body.bet_id, body.round_id, body.reason, body.session_id
    )


_NO_BONUS = BonusState()
_AMOUNT = "AMOUNT_SCALE", "AMOUNT_TOO_LARGE", "CURRENCY_MISMATCH"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "authorize_bet", "/v1/bets/authorize", "Reserve a stake: the bet begins.",
        BetAuthorize, BetAuthorized, _authorize, ("session_id", "bet_id", "round_id"),
        ("INSUFFICIENT_FUNDS", "DUPLICATE", "BET_TOMBSTONED", "SESSION_NOT_FOUND", "SESSION_ENDED", "SESSION_EXPIRED",
         "WALLET_NOT_FOUND", "AMOUNT_NOT_POSITIVE", *_AMOUNT),
    ),
    Operation(
        "settle_bet", "/v1/bets/settle", "Pay what a bet won, or nothing: the bet ends.",
        BetSettle, BetSettled, _settle, ("bet_id", "round_id"),
        ("BET_NOT_FOUND", "BET_TOMBSTONED", "BET_ROLLED_BACK", "BET_ALREADY_SETTLED", "ROUND_MISMATCH",
         "BALANCE_TOO_LARGE", *_AMOUNT),
    ),
    Operation(
        "rollback_bet", "/v1/bets/rollback", "Undo a bet. One that has not arrived yet can then never begin.",
        BetRollback, BetRolledBack, _rollback, ("bet_id", "round_id"),
        ("BET_ALREADY_SETTLED", "ROUND_MISMATCH"),
    ),
    Operation(
        "start_session", "/v1/sessions", "Let a player into a game.",
        SessionStart, SessionStarted, _start_session, ("player_id", "game_id", "currency", "mode"),
        ("WALLET_NOT_FOUND",), status=201,
    ),
    Operation(
        "end_session", "/v1/sessions/{session_id}/end",
        "End a session: no bet begins in it any more, open ones still end.",
        SessionEnd, SessionEnded, _end_session, (),
        ("SESSION_NOT_FOUND",), body_required=False,
    ),
)  # fmt: skip


def field_fault(error: ValidationError) -> tuple[str, str]:
    """Name of the first bad field, and what is wrong with it. The value itself is not repeated: it may be anything."""
    first = error.errors(include_input=False, include_url=False, include_context=False)[0]
    return ".".join(map(str, first["loc"])), first["msg"][0].lower() + first["msg"][1:]
