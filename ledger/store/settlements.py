"""Table `settlements`: every win and award, and what undid it."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Key, Settlement
from ledger.store.conversions import from_text, to_text
from ledger.store.statement import Statement, by_key
from runtime.arrays import Column, Int8, Text, columns

COLUMNS = """
    s.integration_id, s.win_id, s.settlement_id, s.tenant_id, s.player_id, s.currency, s.bet_id, s.round_id,
    s.session_id, s.game_id, s.kind, s.win_minor, s.account, s.mode, s.undone_by, s.conversion::text
"""
"""The fields of an entity, in their order."""

LOAD = f"""
select {COLUMNS}
from unnest(%b::text[], %b::text[]) k(integration_id, win_id)
{by_key("settlements", "integration_id", "win_id")}
"""  # noqa: S608  # our own constants

# A win that names a bet has the bet's round; a bet without a round has its wins under its own id.
LOAD_BESIDE_BETS = f"""
with b as (
    select b.integration_id, b.bet_id, b.player_id, b.round_id
    from unnest(%b::text[], %b::text[]) k(integration_id, bet_id)
    {by_key("bets", "integration_id", "bet_id")}
)
select {COLUMNS}
from b
{by_key("settlements", "integration_id", "round_id", "player_id", of="b")}
where s.undone_by is null and (s.bet_id is null or s.bet_id = b.bet_id)
union all
select {COLUMNS}
from b
cross join lateral (
    select * from wagerledger.settlements s
    where s.integration_id = b.integration_id and s.bet_id = b.bet_id and s.round_id is null offset 0
) s
where b.round_id is null and s.undone_by is null
"""  # noqa: S608  # our own constants

INSERT = """
insert into wagerledger.settlements (integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id,
    round_id, session_id, game_id, kind, win_minor, account, mode, undone_by, conversion)
select integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id, round_id, session_id, game_id,
    kind, win_minor, account, mode, undone_by, conversion::json
from unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[],
    %b::text[], %b::text[], %b::text[], %b::bigint[], %b::text[], %b::text[], %b::text[], %b::text[])
    n(integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id, round_id, session_id, game_id,
    kind, win_minor, account, mode, undone_by, conversion)
"""

UPDATE = """
update wagerledger.settlements s set undone_by = n.undone_by
from unnest(%b::text[], %b::text[], %b::text[]) n(integration_id, win_id, undone_by)
where s.integration_id = any(array[n.integration_id]) and s.win_id = any(array[n.win_id])
"""

_KINDS: tuple[type[Column], ...] = (*[Text] * 11, Int8, Text, Text, Text)
_inserted = attrgetter(
    "integration_id", "win_id", "settlement_id", "tenant_id", "player_id", "currency", "bet_id", "round_id",
    "session_id", "game_id", "kind", "win_minor", "account", "mode", "undone_by",
)  # fmt: skip
_updated = attrgetter("integration_id", "win_id", "undone_by")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, columns((Text, Text), (key[1:] for key in keys)))


def load_beside_bets(keys: Iterable[Key]) -> Statement:
    """For keys (WinsBesideBet, integration, bet)."""
    return Statement(LOAD_BESIDE_BETS, columns((Text, Text), (key[1:] for key in keys)))


def entity(row: Sequence[Any]) -> Settlement:
    fields = [*row[:-1], from_text(row[-1])]
    return Settlement(*fields)


def insert(settlements: Sequence[Settlement]) -> Statement:
    conversions = Text(to_text(win.conversion) for win in settlements)
    return Statement(INSERT, [*columns(_KINDS, map(_inserted, settlements)), conversions], len(settlements))


def update(settlements: Sequence[Settlement]) -> Statement:
    """Settlements can only be undone."""
    return Statement(UPDATE, columns((Text, Text, Text), map(_updated, settlements)), len(settlements))
