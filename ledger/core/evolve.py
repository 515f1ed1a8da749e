"""The fold. `evolve(state, event)` gives the entities that the event touched, as they are after it; the caller puts
them where it keeps its state.

Gateway, auditor and tests run this one function: the stored rows are nothing but its result.
"""

from collections.abc import Callable
from typing import Any

from ledger.core import bets, folds, limits, players, rollbacks, rounds, wallets, wins
from ledger.core.events import Announced, Event, Payload
from ledger.core.folds import Touched
from ledger.core.postings import WALLET_ACCOUNTS, Posting
from ledger.core.state import State


def evolve(state: State, event: Event) -> Touched:
    """The entities that `event` made or changed. Raises KeyError or AssertionError for an event that cannot follow
    `state`: the log is wrong then.
    """
    return FOLDS[type(event.payload)](state, event, event.payload)


def event_of(record: dict[str, Any]) -> Event:
    """The event that a decoded envelope (see schemas/avro/envelope.avsc) carries."""
    known = PAYLOADS.get(record["event_type"])
    payload = object.__new__(known or Announced)
    payload.__dict__.update(record["payload"])  # as __init__ would, at a sixth of its time: a fold does little else
    if known is None:
        payload.__dict__["event_type"] = record["event_type"]
    return Event(
        payload,
        record["tenant_id"],
        record["player_id"],
        record["integration_id"],
        record["occurred_at"],
        tuple([Posting(p["account"], p["amount_minor"], p["currency"]) for p in record["postings"]]),
        record["region"],
    )


def _announced(state: State, event: Event, _: Announced) -> Touched:
    currencies = {posting.currency for posting in event.postings if posting.account in WALLET_ACCOUNTS}
    return tuple([folds.wallet_after(state, event, currency) for currency in sorted(currencies)])


FOLDS: dict[type[Payload], Callable[[State, Event, Any], Touched]] = {
    wallets.WalletOpened: wallets.wallet_opened,
    wallets.Deposited: wallets.deposited,
    wallets.Withdrawn: wallets.withdrawn,
    wallets.AdjustedUp: wallets.adjusted,
    wallets.AdjustedDown: wallets.adjusted,
    players.PlayerRestricted: players.player_restricted,
    players.PlayerFreed: players.player_freed,
    limits.LimitSet: limits.limit_set,
    players.SessionStarted: players.session_started,
    players.SessionEnded: players.session_ended,
    bets.BetAuthorized: bets.bet_authorized,
    wins.BetSettled: wins.bet_settled,
    wins.Awarded: wins.awarded,
    rollbacks.BetRolledBack: rollbacks.bet_rolled_back,
    rollbacks.WinReversed: rollbacks.win_reversed,
    rollbacks.BetTombstoned: rollbacks.bet_tombstoned,
    rollbacks.BetReinstated: rollbacks.bet_reinstated,
    bets.BetFinalized: bets.bet_finalized,
    rounds.RoundFinished: rounds.round_finished,
    Announced: _announced,
}
"""The fold of each type of event."""

PAYLOADS = {payload.event_type: payload for payload in FOLDS if payload is not Announced}
"""The payload class of each event type that a rule writes."""
