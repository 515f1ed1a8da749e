"""Wins and awards: one row for each that moved money or, in demo mode, would have; and whether it was taken back."""

from collections.abc import Sequence
from typing import Any

from ledger.core.postings import HOUSE
from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections.views import (
    AS_OF,
    AS_OF_VERSION,
    CURRENCY,
    EXPONENT,
    GAME,
    INTEGRATION,
    MODE,
    PLAYER,
    PROVIDER,
    REGION,
    TENANT,
    TRACE,
    Column,
    amount,
    fenced,
    view,
)
from projector.tables import Tables

TABLES = f"""
create table wins (
    integration_id text not null,
    win_id text not null, -- the provider's, or where it has none our settlement_id
    settlement_id text not null,
    tenant_id text not null,
    region text not null,
    player_id text not null,
    provider_id text,
    mode text not null,
    award boolean not null,
    kind text not null,
    account text not null,
    bet_id text,
    round_id text,
    session_id text,
    game_id text,
    currency text not null,
    exponent smallint not null,
    amount_minor bigint not null,
    asked_currency text,
    asked_exponent smallint,
    asked_amount_minor bigint,
    won_at timestamptz not null,
    reversed_at timestamptz,
    rollback_id text,
    stream_version bigint not null,
    occurred_at timestamptz not null,
    trace_id text not null,
    primary key (integration_id, win_id)
) with (fillfactor = 90);
{lookups.indexes("wins", "player_id", "won_at")}
"""

VIEWS = view(
    "bi.wins",
    "One row per win or award above zero, also where it was taken back. Sums of money: only where mode = 'real'.",
    [
        TENANT, REGION, INTEGRATION, PROVIDER,
        Column("win_id", "The provider's id of the win, unique within the integration; our settlement_id without one."),
        Column("settlement_id", "Our id of the settlement or award."),
        PLAYER, MODE,
        Column("award", "True for an award: a promotion, tournament, jackpot, payout or the like, outside bets."),
        Column("kind", "win, jackpot, free, cash_out or correction; an award's: promo, tournament, jackpot, ..."),
        Column("account", "Account of the tenant that paid: house, bonus_cost, adjustment, or jackpot:<provider>."),
        Column("bet_id", "The provider's id of the bet; null for a win of a round as such, and for an award."),
        Column("round_id", "The provider's id of the round; null where there is none."),
        Column("session_id", "Session of the bet; null where it named none."),
        GAME, CURRENCY, EXPONENT,
        *amount("amount", "What was won, also where it was taken back."),
        Column("asked_currency", "Currency that it was won in, where that is not the wallet's."),
        Column("asked_exponent", "Decimals of that currency."),
        *amount("asked_amount", "The win in that currency.", exponent="asked_exponent"),
        Column("won_at", "When the ledger recorded it (timestamptz, UTC)."),
        Column("reversed_at", "When the ledger recorded that it was taken back; null where it was not."),
        Column("rollback_id", "Our id of the rollback that took it back."),
        AS_OF_VERSION, AS_OF, TRACE,
    ],
    f"from {fenced('wins')}",
)  # fmt: skip

WON = f"""
insert into wins (
    integration_id, win_id, settlement_id, tenant_id, region, player_id, provider_id, mode, award, kind, account,
    bet_id, round_id, session_id, game_id, currency, exponent, amount_minor, asked_currency, asked_exponent,
    asked_amount_minor, stream_version, occurred_at, trace_id, won_at
)
select *, occurred_at from {
    incoming('''
    integration_id text, win_id text, settlement_id text, tenant_id text, region text, player_id text, provider_id text,
    mode text, award boolean, kind text, account text, bet_id text, round_id text, session_id text, game_id text,
    currency text, exponent smallint, amount_minor bigint, asked_currency text, asked_exponent smallint,
    asked_amount_minor bigint, stream_version bigint, occurred_at moment, trace_id text
''')
}
"""  # noqa: S608  # our own constants

# A rollback names wins of zero too, which have no row.
REVERSED = f"""
update wins w set
    reversed_at = e.occurred_at,
    rollback_id = e.rollback_id,
    stream_version = e.stream_version,
    occurred_at = e.occurred_at,
    trace_id = e.trace_id
from {
    incoming('''
    integration_id text, win_id text, rollback_id text, stream_version bigint, occurred_at moment, trace_id text
''')
}
where w.integration_id = e.integration_id and w.win_id = e.win_id
"""  # noqa: S608  # our own constants


def apply(events: Sequence[Admitted], tables: Tables) -> None:
    won: list[list[Any]] = []
    reversed_: list[tuple[Any, ...]] = []
    for record, _ in events:
        match record["event_type"]:
            case "bet.settled":
                if record["payload"]["win_minor"]:
                    won.append(_win(record))
            case "wallet.credit.award":
                if record["payload"]["amount_minor"]:
                    won.append(_award(record))
            case "bet.rolled_back":
                reversed_ += [_reversal(record, win_id) for win_id in record["payload"]["undoes"]]
            case "wallet.debit.reversal":
                reversed_.append(_reversal(record, record["payload"]["win_id"]))
    tables.write(WON, won)
    tables.write(REVERSED, reversed_)


def _win(record: dict[str, Any]) -> list[Any]:
    payload = record["payload"]
    source = payload["conversion"]
    return [
        record["integration_id"], payload["win_id"] or payload["settlement_id"], payload["settlement_id"],
        record["tenant_id"], record["region"], record["player_id"], record["provider_id"], payload["mode"], False,
        payload["kind"], HOUSE, payload["bet_id"], payload["round_id"], payload["session_id"], payload["game_id"],
        payload["currency"], payload["exponent"], payload["win_minor"],
        *((source["currency"], source["exponent"], source["amount_minor"]) if source else (None, None, None)),
        record["stream_version"], record["occurred_at"], record["trace_id"],
    ]  # fmt: skip


def _award(record: dict[str, Any]) -> list[Any]:
    payload = record["payload"]
    return [
        record["integration_id"], payload["win_id"], payload["settlement_id"],
        record["tenant_id"], record["region"], record["player_id"], record["provider_id"], "real", True,
        payload["kind"], payload["account"], None, payload["round_id"], None, payload["game_id"],
        payload["currency"], payload["exponent"], payload["amount_minor"], None, None, None,
        record["stream_version"], record["occurred_at"], record["trace_id"],
    ]  # fmt: skip


def _reversal(record: dict[str, Any], win_id: str) -> tuple[Any, ...]:
    rollback_id = record["payload"]["rollback_id"]
    place = record["stream_version"], record["occurred_at"], record["trace_id"]
    return record["integration_id"], win_id, rollback_id, *place


WINS = Projection("wins", 3, TABLES, VIEWS, apply)
