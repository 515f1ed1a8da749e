"""The command that each call becomes."""

from uuid import uuid4

from gateway.dialect.amounts import minor_exponent, scaled
from gateway.dialect.call import Call
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.casino.bodies import Launch
from ledger.core.bets import AuthorizeBet
from ledger.core.money import Amount
from ledger.core.players import StartSession
from ledger.core.rollbacks import Rollback
from ledger.core.state import REAL, Session
from ledger.core.wins import SettleBet

TRANSACTION, LAUNCH = "transaction", "launch"
"""Classes of operations: a transactionId is unique over debits, credits and rollbacks."""


def debit(call: Call, session: Session, transaction_id: str, round_id: str, units: int) -> AuthorizeBet:
    return call.command(
        AuthorizeBet, TRANSACTION, transaction_id, session_id=session.session_id, bet_id=transaction_id,
        round_id=round_id, amount=_amount(call, session.currency, units), currency=session.currency,
        player=session.player_id, game_id=session.game_id,
    )  # fmt: skip


def credit(call: Call, session: Session, transaction_id: str, round_id: str, units: int) -> SettleBet:
    """A payout of the round, so that none of its bets can be rolled back any more."""
    return call.command(
        SettleBet, TRANSACTION, transaction_id, bet_id=None, round_id=round_id,
        win=_amount(call, session.currency, units), currency=session.currency, player=session.player_id,
        win_id=transaction_id, game_id=session.game_id, ends_bet=False,
    )  # fmt: skip


def rollback(call: Call, session: Session, transaction_id: str, original_transaction_id: str) -> Rollback:
    return call.command(
        Rollback, TRANSACTION, transaction_id, target_id=original_transaction_id, round_id=None, reason="rollback",
        player=session.player_id, currency=session.currency, target="any",
    )  # fmt: skip


def start_session(call: Call, body: Launch, currency: str) -> StartSession:
    """A launch moves no money and each one is a session of its own, hence its key of ours."""
    expires_at = call.received_at + int(call.option("session_ttl_s")) * 1_000_000
    return call.command(
        StartSession, LAUNCH, uuid4().hex, player=body.user_id, currency=currency, game_id=call.game(body.game_id),
        locale=None, mode=REAL, expires_at=expires_at,
    )  # fmt: skip


async def currency_of(call: Call, ledger: TenantLedger, body: Launch) -> str:
    """The wallet that the launch names, else the user's only one."""
    return call.currency(body.currency) if body.currency else await ledger.currency_of(body.user_id)


def _amount(call: Call, currency: str, units: int) -> Amount:
    return scaled(units, minor_exponent(currency, call.option("subunits")))
