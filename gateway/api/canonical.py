"""The canonical API: what its bodies look like, the command of each operation, its outcome as bytes."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple

from pydantic import BaseModel, Field
from pydantic_core import to_json

from gateway.auth.keys import KeyRing
from gateway.dialect.errors import error_body
from gateway.dialect.fields import Body, Count, CurrencyCode, Decimal, Id, PlayerId, Reason, rfc3339
from gateway.dialect.integration import Integration
from gateway.launch import Launch, launch, target_of
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command, Origin
from ledger.core.money import format_minor
from ledger.core.players import EndSession, StartSession
from ledger.core.rollbacks import Rollback
from ledger.core.state import DEMO, REAL
from ledger.core.wins import SettleBet
from ledger.outcome import Balances, Outcome

OPERATION_CLASS = "api"
"""All writes share it: one idempotency key means one effect, whatever the route."""

_INTEGRATION_ID = r"^[A-Za-z0-9_:.\-]{1,128}(/[A-Za-z0-9_:.\-]{1,128}){2}$"
_RETURN_URL = r"^https?://[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%\-]{1,1024}$"

# What bodies are made of --------------------------------------------------------------------------------------------


class Money(Body):
    amount: Decimal
    currency: CurrencyCode


class BonusState(Body):
    in_bonus: bool = False
    freespins_left: Count | None = None


class SessionStart(Body):
    player_id: PlayerId
    game_id: Id = Field(description="The operator's id, as the catalogue has it.")
    currency: CurrencyCode
    locale: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{1,35}$", examples=["de-DE"])] | None = None
    mode: Literal["real", "demo"] = Field("real", description="A demo session moves no money.")
    integration_id: Annotated[str, Field(pattern=_INTEGRATION_ID, examples=["brand-7/EU/studio"])] | None = Field(
        None, description="Launch into this integration's game. Default: the one whose catalogue has it, or one's own."
    )
    jurisdiction: Annotated[str, Field(pattern=r"^[A-Za-z0-9_\-]{2,35}$", examples=["MT"])] | None = Field(
        None, description="ISO 3166 or the operator's word; a must where the provider has a list."
    )
    return_url: Annotated[str, Field(pattern=_RETURN_URL, examples=["https://brand.example/lobby"])] | None = Field(
        None, description="Where the game lets the player out."
    )


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
    integration_id: str = Field(description="Whose session it is: only this integration bets in it.")
    token: str | None = Field(description="What the provider sends back as its session token. None in demo mode.")
    launch_url: str | None = Field(description="Signed. None where the integration has no address.")
    launch_expires_at: datetime | None
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


def render_balances(balances: Balances) -> dict[str, str | int]:
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


# From body to command, from outcome to answer -----------------------------------------------------------------------


class ApiRequest(NamedTuple):
    """A verified and well-formed request. Times are microseconds since the epoch."""

    origin: Origin
    command_id: str
    received_at: int
    session_expires_at: int
    session_id: str | None
    """From the path, where the path has one."""
    by_operator: bool
    """Whether the caller may launch sessions for others."""
    launch: Launch | None = None
    """Where the operation prepares one."""


Prepare = Callable[[KeyRing, Integration, float, Any], Awaitable[Launch]]


@dataclass(frozen=True, slots=True)
class Operation:
    """One write: `echoed` are the fields of the body that the answer repeats; `prepare` judges what the ledger's rules
    do not know.
    """

    name: str
    path: str
    summary: str
    body: type[Body]
    answer: type[BaseModel]
    command: Callable[[ApiRequest, Any], Command]
    echoed: tuple[str, ...]
    refusals: tuple[str, ...]
    status: int = 200
    body_required: bool = True
    prepare: Prepare | None = None

    @property
    def names_session(self) -> bool:
        """Whether the path carries a session's id."""
        return "{session_id}" in self.path

    def render(self, request: ApiRequest, body: Body, outcome: Outcome) -> bytes:
        """The exact answer."""
        if outcome.refusal_code:
            return error_body(outcome.refusal_code, outcome.details, request.origin.trace_id)
        answer: dict[str, Any] = dict(outcome.result)
        if "expires_at" in answer:
            answer["expires_at"] = rfc3339(int(answer["expires_at"]))
        for name in self.echoed:
            if (value := getattr(body, name)) is not None:
                answer[name] = value
        if request.launch:
            answer |= _render_launch(request.launch, None if answer["mode"] == DEMO else outcome.result["session_id"])
        answer["balances"] = render_balances(outcome.balances) if outcome.balances else None
        return to_json(answer)


async def _prepare_session(keys: KeyRing, caller: Integration, now: float, body: SessionStart) -> Launch:
    return launch(
        await target_of(keys, caller, body.game_id, body.integration_id), now,
        game_id=body.game_id, player_id=body.player_id, currency=body.currency, mode=body.mode,
        jurisdiction=body.jurisdiction, locale=body.locale, return_url=body.return_url,
    )  # fmt: skip


def _render_launch(launch: Launch, token: str | None) -> dict[str, str | None]:
    url = launch.url(token)
    return {
        "integration_id": launch.integration.integration_id,
        "token": token,
        "launch_url": url,
        "launch_expires_at": rfc3339(launch.expires_at_s * 1_000_000) if url else None,
    }


def _start_session(request: ApiRequest, body: SessionStart) -> Command:
    assert request.launch, "prepared"
    integration_id = request.launch.integration.integration_id
    return StartSession(
        request.origin, request.command_id, request.received_at, player=body.player_id, currency=body.currency,
        game_id=body.game_id, locale=body.locale, mode=DEMO if body.mode == "demo" else REAL,
        expires_at=request.session_expires_at,
        for_integration=None if integration_id == request.origin.integration_id else integration_id,
        jurisdiction=body.jurisdiction,
    )  # fmt: skip


def _end_session(request: ApiRequest, body: SessionEnd) -> Command:
    assert request.session_id, "the route has a session id"
    return EndSession(
        request.origin, request.command_id, request.received_at, request.session_id, body.reason, request.by_operator
    )


def _authorize(request: ApiRequest, body: BetAuthorize) -> Command:
    return AuthorizeBet(
        request.origin, request.command_id, request.received_at, session_id=body.session_id, bet_id=body.bet_id,
        round_id=body.round_id, amount=body.amount.amount, currency=body.amount.currency,
    )  # fmt: skip


def _settle(request: ApiRequest, body: BetSettle) -> Command:
    bonus = body.bonus_state or _NO_BONUS
    return SettleBet(
        request.origin, request.command_id, request.received_at, bet_id=body.bet_id, round_id=body.round_id,
        win=body.win.amount, currency=body.win.currency, in_bonus=bonus.in_bonus, freespins_left=bonus.freespins_left,
    )  # fmt: skip


def _rollback(request: ApiRequest, body: BetRollback) -> Command:
    return Rollback(
        request.origin, request.command_id, request.received_at, body.bet_id, round_id=body.round_id,
        reason=body.reason, session_id=body.session_id,
    )  # fmt: skip


_NO_BONUS = BonusState()
_AMOUNT = "AMOUNT_SCALE", "AMOUNT_TOO_LARGE", "CURRENCY_MISMATCH"

OPERATIONS: tuple[Operation, ...] = (
    Operation(
        "authorize_bet", "/v1/bets/authorize", "Reserve a stake: the bet begins.",
        body=BetAuthorize, answer=BetAuthorized, command=_authorize, echoed=("session_id", "bet_id", "round_id"),
        refusals=("INSUFFICIENT_FUNDS", "DUPLICATE", "BET_TOMBSTONED", "SESSION_NOT_FOUND", "SESSION_ENDED", "SESSION_EXPIRED",
                  "WALLET_NOT_FOUND", "REGION_MISMATCH", "AMOUNT_NOT_POSITIVE", *_AMOUNT),
    ),
    Operation(
        "settle_bet", "/v1/bets/settle", "Pay what a bet won, or nothing: the bet ends.",
        body=BetSettle, answer=BetSettled, command=_settle, echoed=("bet_id", "round_id"),
        refusals=("BET_NOT_FOUND", "BET_TOMBSTONED", "BET_ROLLED_BACK", "BET_ALREADY_SETTLED", "ROUND_MISMATCH",
                  "BALANCE_TOO_LARGE", *_AMOUNT),
    ),
    Operation(
        "rollback_bet", "/v1/bets/rollback", "Undo a bet. One that has not arrived yet can then never begin.",
        body=BetRollback, answer=BetRolledBack, command=_rollback, echoed=("bet_id", "round_id"),
        refusals=("BET_ALREADY_SETTLED", "ROUND_MISMATCH"),
    ),
    Operation(
        "start_session", "/v1/sessions", "Let a player into a game, of one's own or of another integration.",
        body=SessionStart, answer=SessionStarted, command=_start_session, echoed=("player_id", "game_id", "currency", "mode"),
        refusals=("WALLET_NOT_FOUND", "REGION_MISMATCH", "GAME_NOT_FOUND", "GAME_DISABLED", "JURISDICTION_NOT_ALLOWED",
                  "CURRENCY_NOT_SUPPORTED", "LAUNCH_NOT_ALLOWED", "LAUNCH_NOT_POSSIBLE"),
        status=201, prepare=_prepare_session,
    ),
    Operation(
        "end_session", "/v1/sessions/{session_id}/end",
        "End a session: no bet begins in it any more, open ones still end.",
        body=SessionEnd, answer=SessionEnded, command=_end_session, echoed=(),
        refusals=("SESSION_NOT_FOUND",), body_required=False,
    ),
)  # fmt: skip
