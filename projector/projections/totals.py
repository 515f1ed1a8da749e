"""What the events of bets add up to, in a round as in a session."""

from typing import Any, NamedTuple


class Totals(NamedTuple):
    """Counts of bets, and sums of minor units."""

    bets: int
    open_bets: int
    rolled_back_bets: int
    stake_minor: int
    """Of all bets, also of those rolled back."""
    win_minor: int
    """Less what was taken back."""
    rolled_back_stake_minor: int


def totals_of(record: dict[str, Any]) -> Totals | None:
    """What an event adds; None where it is not of a bet that began."""
    event_type, payload = record["event_type"], record["payload"]
    if event_type == "bet.authorized":
        return Totals(1, 1, 0, payload["stake_minor"], 0, 0)
    if event_type == "bet.settled":
        return Totals(0, -1, 0, 0, payload["win_minor"], 0)
    if event_type == "bet.rolled_back":
        # One that undoes a settlement finds the bet closed.
        return Totals(0, 0 if payload["undoes"] else -1, 1, 0, -payload["win_reversed_minor"], payload["stake_minor"])
    return None
