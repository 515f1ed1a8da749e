"""The canonical API's writes: which command each body becomes, and how its outcome is rendered."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, NamedTuple

from pydantic import BaseModel
from pydantic_core import to_json

from gateway.api.answers import BetAuthorized, BetRolledBack, BetSettled, SessionEnded, SessionStarted, render_balances
from gateway.api.bodies import BetAuthorize, BetRollback, BetSettle, BonusState, SessionEnd, SessionStart
from gateway.auth.keys import KeyRing
from gateway.dialect.bodies import Body
from gateway.dialect.errors import error_body
from gateway.dialect.fields import rfc3339
from gateway.dialect.integration import Integration
from gateway.launch import Launch, launch, target_of
from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command, Origin
from ledger.core.players import EndSession, StartSession
from ledger.core.rollbacks import Rollback
from ledger.core.state import DEMO, REAL
from ledger.core.wins import SettleBet
from ledger.outcome import Outcome

OPERATION_CLASS = "api"
"""All writes share it: one idempotency key means one effect, whatever the route."""


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
        """The exact bytes of the answer to a request, from its outcome."""
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
        body=BetAuthorize, answer=BetAuthorized, command=_authorize,
        echoed=("session_id", "bet_id", "round_id"),
        refusals=(
            "INSUFFICIENT_FUNDS", "DUPLICATE", "BET_TOMBSTONED", "SESSION_NOT_FOUND", "SESSION_ENDED",
            "SESSION_EXPIRED", "WALLET_NOT_FOUND", "REGION_MISMATCH", "AMOUNT_NOT_POSITIVE", *_AMOUNT,
        ),
    ),
    Operation(
        "settle_bet", "/v1/bets/settle", "Pay what a bet won, or nothing: the bet ends.",
        body=BetSettle, answer=BetSettled, command=_settle, echoed=("bet_id", "round_id"),
        refusals=(
            "BET_NOT_FOUND", "BET_TOMBSTONED", "BET_ROLLED_BACK", "BET_ALREADY_SETTLED", "ROUND_MISMATCH",
            "BALANCE_TOO_LARGE", *_AMOUNT,
        ),
    ),
    Operation(
        "rollback_bet", "/v1/bets/rollback", "Undo a bet. One that has not arrived yet can then never begin.",
        body=BetRollback, answer=BetRolledBack, command=_rollback, echoed=("bet_id", "round_id"),
        refusals=("BET_ALREADY_SETTLED", "ROUND_MISMATCH"),
    ),
    Operation(
        "start_session", "/v1/sessions", "Let a player into a game, of one's own or of another integration.",
        body=SessionStart, answer=SessionStarted, command=_start_session,
        echoed=("player_id", "game_id", "currency", "mode"),
        refusals=(
            "WALLET_NOT_FOUND", "REGION_MISMATCH", "GAME_NOT_FOUND", "GAME_DISABLED", "JURISDICTION_NOT_ALLOWED",
            "CURRENCY_NOT_SUPPORTED", "LAUNCH_NOT_ALLOWED", "LAUNCH_NOT_POSSIBLE",
        ),
        status=201, prepare=_prepare_session,
    ),
    Operation(
        "end_session", "/v1/sessions/{session_id}/end",
        "End a session: no bet begins in it any more, open ones still end.",
        body=SessionEnd, answer=SessionEnded, command=_end_session, echoed=(),
        refusals=("SESSION_NOT_FOUND",), body_required=False,
    ),
)  # fmt: skip
