"""Where the money of a bet went, as a picture: a lane for each account, an arrow for each movement, time going down."""

from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from audit.bet_story import clock
from audit.explanation import Event, Explanation
from ledger.core.postings import Posting
from runtime.html import Markup

WIDTH, TOP, ROW, FOOT = 360, 34, 38, 12
MARGIN = 40
MOST_ARROWS = 24
"""Of a round with more bets the picture shows the first."""
ORDER = ("cash", "bonus", "held", "receivable", "house")


class Arrow(NamedTuple):
    """Money that went from one account to another."""

    from_account: str
    to_account: str
    amount_minor: int
    currency: str
    at_us: int
    changed: bool


def arrows(explanation: Explanation) -> list[Arrow]:
    """The movements of all events, in the order of time."""
    return [
        arrow
        for step in explanation.steps
        for event in step.events
        for arrow in _arrows(event, changed=not explanation.proofs[event.place].whole)
    ]


def _arrows(event: Event, *, changed: bool) -> Iterable[Arrow]:
    at_us = event.record["occurred_at"]
    for currency in {posting.currency: None for posting in event.postings}:
        givers, takers = (_signed(event.postings, currency, sign) for sign in (-1, 1))
        while givers and takers:
            (giver, given), (taker, taken) = givers[0], takers[0]
            amount = min(given, taken)
            yield Arrow(giver, taker, amount, currency, at_us, changed)
            givers[0], takers[0] = (giver, given - amount), (taker, taken - amount)
            givers, takers = ([one for one in ones if one[1]] for ones in (givers, takers))


def _signed(postings: Sequence[Posting], currency: str, sign: int) -> list[tuple[str, int]]:
    return [
        (one.account, one.amount_minor * sign)
        for one in postings
        if one.currency == currency and one.amount_minor * sign > 0
    ]


def picture(explanation: Explanation) -> Markup:
    """The picture as inline SVG; empty where nothing moved."""
    found = arrows(explanation)[:MOST_ARROWS]
    if not found:
        return Markup("")
    used = {account for arrow in found for account in (arrow.from_account, arrow.to_account)}
    lanes = sorted(used, key=lambda name: (ORDER.index(name) if name in ORDER else len(ORDER), name))
    gap = (WIDTH - 2 * MARGIN) / max(len(lanes) - 1, 1)
    places = {name: round(MARGIN + gap * index) for index, name in enumerate(lanes)}
    height = TOP + ROW * len(found) + FOOT
    parts = [
        f'<text class="lane" x="{x}" y="16">{escape(name)}</text><path class="rail" d="M{x} 24V{height - 4}"/>'
        for name, x in places.items()
    ]
    parts += [_drawn(explanation, arrow, places, TOP + ROW * index) for index, arrow in enumerate(found)]
    title = "Where the money went, from account to account"
    return Markup(
        f'<svg class="picture" role="img" viewBox="0 0 {WIDTH} {height}" aria-label="{title}">'
        f"<title>{title}</title>{''.join(parts)}</svg>"
    )


def _drawn(explanation: Explanation, arrow: Arrow, places: dict[str, int], top: int) -> str:
    start, end, y = places[arrow.from_account], places[arrow.to_account], top + 24
    side = 1 if end > start else -1
    amount = escape(explanation.amount(arrow.amount_minor, arrow.currency))
    red = " changed" if arrow.changed else ""
    # A label of a short arrow may be wider than it: it is kept inside of the picture.
    middle = min(max((start + end) // 2, 52), WIDTH - 52)
    return (
        f'<g class="arrow{red}"><title>{clock(arrow.at_us)}</title><circle cx="{start}" cy="{y}" r="3.5"/>'
        f'<path d="M{start} {y}H{end - 7 * side}"/><path class="head" d="M{end} {y}l{-9 * side} -5v10z"/>'
        f'<text x="{middle}" y="{y - 7}">{amount}</text></g>'
    )
