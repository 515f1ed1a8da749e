"""Table `games`: each integration's catalogue, our ids beside the provider's codes."""

from ledger.store.column_list import ColumnList

COLUMNS = ColumnList("integration_id text, game_id text, provider_game_id text, name text, enabled boolean")
CHANGING = COLUMNS.only("provider_game_id", "name", "enabled")

LOAD = f"""
select {COLUMNS}
from wagerledger.games order by integration_id, game_id
"""  # noqa: S608  # our own constants

STAMP = """
select count(*), coalesce(sum(xmin::text::bigint), 0)::bigint from wagerledger.games
"""
"""Another one after every change: whoever keeps the catalogue reads this first."""

LIST = f"""
select {COLUMNS}
from wagerledger.games
where (%(integration_id)s::text is null or integration_id = %(integration_id)s)
    and (%(game)s::text is null or %(game)s in (game_id, provider_game_id))
order by integration_id, game_id
"""  # noqa: S608  # our own constants

COUNT = """
select count(*) from wagerledger.games where integration_id = %s
"""

INSERT = f"""
insert into wagerledger.games ({COLUMNS})
values ({COLUMNS.values})
on conflict (integration_id, game_id) do update
set {CHANGING.assigned("excluded")}
"""  # noqa: S608  # our own constants
"""A known game of ours changes. Two games of ours with one code of the provider are a unique violation."""

DELETE = """
delete from wagerledger.games where integration_id = %s and game_id = any(%s)
"""

DELETE_ALL = """
delete from wagerledger.games where integration_id = %s
"""
