"""Totals of play: what the events of bets and wins add up to, in a round as in a session."""

from collections.abc import Iterable
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


class Played(NamedTuple):
    """The totals that an event adds, with the session and round that they belong to."""

    session_id: str | None
    round_id: str | None
    game_id: str | None
    mode: str
    totals: Totals


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


def plus(one: Iterable[int], other: Iterable[int]) -> Iterable[int]:
    return map(int.__add__, one, other)


def played(record: dict[str, Any]) -> Iterable[Played]:
    """The totals that an event adds, none where it is not of play; one for each bet where it ends a round."""
    event_type, payload = record["event_type"], record["payload"]
    if event_type == "round.finished":
        for bet in payload["bets"]:
            yield Played(bet["session_id"], payload["round_id"], bet["game_id"], bet["mode"], Totals(open_bets=-1))
    elif totals := _totals(event_type, payload):
        session_id, mode = payload.get("session_id"), payload.get("mode", "real")
        yield Played(session_id, payload["round_id"], payload["game_id"], mode, totals)


def _totals(event_type: str, payload: dict[str, Any]) -> Totals | None:
    match event_type:
        case "bet.authorized":
            stake, paid = payload["stake_minor"], payload["stake_cash_minor"] + payload["stake_bonus_minor"]
            free = payload["kind"] == "free"
            staked = 0 if free else stake if payload["mode"] == DEMO else paid
            return Totals(bets=1, open_bets=1, stake_minor=staked, free_stake_minor=stake if free else 0)
        case "bet.settled":
            closed = payload["was_open"] and payload["ends_bet"]
            return Totals(open_bets=-1 if closed else 0, win_minor=payload["win_minor"])
        case "bet.rolled_back":
            taken = payload["win_reversed_minor"]
            return Totals(
                open_bets=-1 if payload["was_open"] else 0, rolled_back_bets=1, win_minor=-taken,
                reversed_win_minor=taken, rolled_back_stake_minor=payload["stake_minor"],
            )  # fmt: skip
        case "bet.reinstated":
            return Totals(open_bets=1, rolled_back_bets=-1, rolled_back_stake_minor=-payload["stake_minor"])
        case "wallet.debit.reversal":
            taken = payload["amount_minor"]
            if payload["account"] != HOUSE or payload["kind"] == "payout":
                return Totals(award_minor=-taken)
            return Totals(open_bets=1 if payload["reopens_bet"] else 0, win_minor=-taken, reversed_win_minor=taken)
        case "wallet.credit.award":
            return Totals(award_minor=payload["amount_minor"])
    return None
