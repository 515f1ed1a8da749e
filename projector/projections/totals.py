"""Totals of play: what the events of bets and wins add up to, in a round as in a session."""

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from ledger.core.postings import HOUSE
from ledger.core.state import DEMO
from projector.projections.views import Column, amount


class Totals(NamedTuple):
    """Counts of bets, and sums of amounts in minor units."""

    bets: int = 0
    open_bets: int = 0
    rolled_back_bets: int = 0
    stake_minor: int = 0
    """Stakes paid for all bets, also for those rolled back; in demo mode, what was staked."""
    free_stake_minor: int = 0
    """Stakes of free bets, which nobody paid."""
    win_minor: int = 0
    """Wins, less what was taken back."""
    reversed_win_minor: int = 0
    """Wins that were taken back."""
    award_minor: int = 0
    """Awards (promotions, jackpots and the like), less what was taken back."""
    rolled_back_stake_minor: int = 0
    """Stakes given back by rollbacks, less what was taken again."""


BETS, OPEN, ROLLED_BACK, STAKE, FREE_STAKE, WIN, REVERSED_WIN, AWARD, ROLLED_BACK_STAKE = range(len(Totals._fields))
"""The places of the totals."""
Change = dict[int, int]
"""What an event adds to totals, by their places."""


class Played(NamedTuple):
    """What an event adds to totals, with the session and round that they belong to."""

    session_id: str | None
    round_id: str | None
    game_id: str | None
    mode: str
    change: Change


COLUMNS = ", ".join(f"{name} {'integer' if name.endswith('bets') else 'bigint'}" for name in Totals._fields)
"""The columns of the totals with their SQL types, as `projection.incoming` wants them."""

DDL = ",\n    ".join(f"{column} not null" for column in COLUMNS.split(", "))


def view_columns(exponent: str = "exponent") -> list[Column]:
    """The columns in which a view shows the totals; awards only where it has some."""
    return [
        Column("bets", "Bets that began, rolled back or not."),
        Column("open_bets", "Bets without an end."),
        Column("rolled_back_bets", "Bets that were rolled back."),
        *amount("stake", "Paid for all bets, also for those rolled back; in demo mode, staked.", exponent=exponent),
        *amount("free_stake", "What free bets are worth; nobody paid it.", exponent=exponent),
        *amount("win", "Wins, less those taken back.", exponent=exponent),
        *amount("reversed_win", "Wins that were taken back.", exponent=exponent),
        *amount(
            "rolled_back_stake",
            "Stakes that went back to the player. The house's result: stake - rolled_back_stake - win.",
            exponent=exponent,
        ),
    ]


def added(table: str, row: str) -> str:
    """The set-clauses that add a row's totals to those of `table`."""
    return ",\n    ".join(f"{name} = {table}.{name} + {row}.{name}" for name in Totals._fields)


def add(row: list[Any], first: int, change: Change) -> None:
    """Add a change to the totals that begin at the place `first` of a row."""
    for place, number in change.items():
        row[first + place] += number


def played(record: dict[str, Any]) -> Sequence[Played]:
    """What an event adds to totals: nothing where it is not of play; one for each bet where it ends a round."""
    event_type, payload = record["event_type"], record["payload"]
    if change_by := CHANGES.get(event_type):
        session_id, mode = payload.get("session_id"), payload.get("mode", "real")
        return (Played(session_id, payload["round_id"], payload["game_id"], mode, change_by(payload)),)
    if event_type == "round.finished":
        round_id = payload["round_id"]
        return [Played(bet["session_id"], round_id, bet["game_id"], bet["mode"], {OPEN: -1}) for bet in payload["bets"]]
    return ()


def _authorized(payload: dict[str, Any]) -> Change:
    stake = payload["stake_minor"]
    if payload["kind"] == "free":
        return {BETS: 1, OPEN: 1, FREE_STAKE: stake}
    paid = stake if payload["mode"] == DEMO else payload["stake_cash_minor"] + payload["stake_bonus_minor"]
    return {BETS: 1, OPEN: 1, STAKE: paid}


def _settled(payload: dict[str, Any]) -> Change:
    won = payload["win_minor"]
    return {OPEN: -1, WIN: won} if payload["was_open"] and payload["ends_bet"] else {WIN: won}


def _rolled_back(payload: dict[str, Any]) -> Change:
    taken = payload["win_reversed_minor"]
    return {
        OPEN: -1 if payload["was_open"] else 0, ROLLED_BACK: 1, WIN: -taken, REVERSED_WIN: taken,
        ROLLED_BACK_STAKE: payload["stake_minor"],
    }  # fmt: skip


def _reinstated(payload: dict[str, Any]) -> Change:
    return {OPEN: 1, ROLLED_BACK: -1, ROLLED_BACK_STAKE: -payload["stake_minor"]}


def _reversed(payload: dict[str, Any]) -> Change:
    taken = payload["amount_minor"]
    if payload["account"] != HOUSE or payload["kind"] == "payout":
        return {AWARD: -taken}
    return {OPEN: 1 if payload["reopens_bet"] else 0, WIN: -taken, REVERSED_WIN: taken}


def _awarded(payload: dict[str, Any]) -> Change:
    return {AWARD: payload["amount_minor"]}


CHANGES: dict[str, Callable[[dict[str, Any]], Change]] = {
    "bet.authorized": _authorized,
    "bet.settled": _settled,
    "bet.rolled_back": _rolled_back,
    "bet.reinstated": _reinstated,
    "wallet.debit.reversal": _reversed,
    "wallet.credit.award": _awarded,
}
