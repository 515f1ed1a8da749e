"""Revenue per UTC day of real money, folded from the log alone: what bi.revenue_by_day must show.

A stake belongs to the day of its bet, a win or award to its own day; what undoes one changes the day of what it undoes.
Amounts are in the wallet's currency. See the rule in the read model's own words in docs/reference/read-models.md.
"""

from collections.abc import Iterator
from datetime import date
from typing import Any, NamedTuple

from audit.reconcile.comparison import Item
from audit.snapshot import Snapshot
from ledger.core.postings import ADJUSTMENT, BONUS_COST, HOUSE
from ledger.core.state import DEMO, FREE
from runtime.clock import to_datetime

STAKE, FREE_STAKE, ROLLED_BACK_STAKE, WIN, REVERSED_WIN, PAYOUT, GGR, BONUS, JACKPOT, ADJUSTED = KINDS = (
    *("stake", "free_stake", "rolled_back_stake", "win", "reversed_win", "payout", "ggr"),
    *("bonus_cost", "jackpot", "adjustment"),
)
"""The columns of the read model, without `_minor`."""

IN_GGR = {STAKE: 1, ROLLED_BACK_STAKE: -1, WIN: -1, REVERSED_WIN: 1, PAYOUT: -1}
PAID_FROM = {HOUSE: PAYOUT, BONUS_COST: BONUS, ADJUSTMENT: ADJUSTED}
"""Where an award counts, by the account that pays it; all others are jackpots."""

READ_MODEL = f"""
select tenant_id, region, coalesce(provider_id, ''), coalesce(game_id, ''), currency, day::text, exponent::bigint,
    {", ".join(f"{kind}_minor::text" for kind in KINDS)}
from bi.revenue_by_day
"""  # noqa: S608  # our own constants


class RevenueKey(NamedTuple):
    """What a sum is of."""

    tenant_id: str
    region: str
    provider_id: str
    game_id: str
    currency: str
    day: date


class Origin(NamedTuple):
    """A bet or a win: where it counts, as what, and how much."""

    key: RevenueKey
    kind: str
    amount_minor: int


class Revenue:
    """Takes the events of one stream after the other, each stream in its order."""

    def __init__(self) -> None:
        self.sums: dict[tuple[RevenueKey, str], int] = {}
        self._bets: dict[tuple[str, str], RevenueKey] = {}
        self._wins: dict[tuple[str, str], Origin] = {}

    def begin(self) -> None:
        """What corrects a bet or a win is in its own stream: those of the last one can be forgotten."""
        self._bets.clear()
        self._wins.clear()

    def take(self, record: dict[str, Any]) -> None:
        payload, integration_id = record["payload"], record["integration_id"]
        if payload.get("mode") == DEMO:
            return
        match record["event_type"]:
            case "bet.authorized":
                key = self._bets[integration_id, payload["bet_id"]] = _key(record)
                paid_minor = payload["stake_cash_minor"] + payload["stake_bonus_minor"]
                free = payload["kind"] == FREE
                self._add(key, FREE_STAKE if free else STAKE, payload["stake_minor"] if free else paid_minor)
            case "bet.settled":
                win_id = payload["win_id"] or payload["settlement_id"]
                self._won((integration_id, win_id), Origin(_key(record), WIN, payload["win_minor"]))
            case "wallet.credit.award":
                kind = PAID_FROM.get(payload["account"], JACKPOT)
                self._won((integration_id, payload["win_id"]), Origin(_key(record), kind, payload["amount_minor"]))
            case "bet.rolled_back":
                key = self._bets[integration_id, payload["bet_id"]]
                self._add(key, ROLLED_BACK_STAKE, payload["stake_minor"])
                for win_id in payload["undoes"]:
                    self._undo((integration_id, win_id))
            case "bet.reinstated":
                self._add(self._bets[integration_id, payload["bet_id"]], ROLLED_BACK_STAKE, -payload["stake_minor"])
            case "wallet.debit.reversal":
                self._undo((integration_id, payload["win_id"]))
            case "wallet.credit.adjustment":
                self._add(_key(record), ADJUSTED, payload["amount_minor"])
            case "wallet.debit.adjustment":
                self._add(_key(record), ADJUSTED, -payload["amount_minor"])
            case "bonus.issued" | "bonus.consumed":
                cost = [one["amount_minor"] for one in record["postings"] if one["account"] == BONUS_COST]
                self._add(_key(record), BONUS, -sum(cost))

    def items(self) -> Iterator[Item]:
        """What is not zero."""
        for (key, kind), amount_minor in self.sums.items():
            yield from _item(key, kind, amount_minor)

    def _won(self, win: tuple[str, str], origin: Origin) -> None:
        self._wins[win] = origin
        self._add(*origin)

    def _undo(self, win: tuple[str, str]) -> None:
        key, kind, amount_minor = self._wins[win]
        if kind == WIN:
            self._add(key, REVERSED_WIN, amount_minor)
        else:
            self._add(key, kind, -amount_minor)

    def _add(self, key: RevenueKey, kind: str, amount_minor: int) -> None:
        for name, change in ((kind, amount_minor), (GGR, IN_GGR.get(kind, 0) * amount_minor)):
            self.sums[key, name] = self.sums.get((key, name), 0) + change


def _key(record: dict[str, Any]) -> RevenueKey:
    payload, day = record["payload"], to_datetime(record["occurred_at"]).date()
    provider_id, game_id = record["provider_id"] or "", payload.get("game_id") or ""
    return RevenueKey(record["tenant_id"], record["region"], provider_id, game_id, payload["currency"], day)


def of_read_model(bi: Snapshot, exponents: dict[str, int]) -> Iterator[Item]:
    """The rows of bi.revenue_by_day."""
    for tenant_id, region, provider_id, game_id, currency, day, exponent, *amounts in bi.rows(READ_MODEL):
        exponents[currency] = exponent
        key = RevenueKey(tenant_id, region, provider_id, game_id, currency, date.fromisoformat(day))
        for kind, amount_minor in zip(KINDS, amounts, strict=True):
            yield from _item(key, kind, int(amount_minor))


def _item(key: RevenueKey, kind: str, amount_minor: int) -> Iterator[Item]:
    if amount_minor:
        yield Item(kind, " ".join(str(part) or "-" for part in key), key.currency, amount_minor)
