"""Table `games`: each integration's catalogue, our ids beside the provider's codes."""

LOAD = """
select integration_id, game_id, provider_game_id, name, enabled
from wagerledger.games order by integration_id, game_id
"""

STAMP = """
select count(*), coalesce(sum(xmin::text::bigint), 0)::bigint from wagerledger.games
"""
"""Another one after every change: whoever keeps the catalogue asks this first."""

LIST = """
select integration_id, game_id, provider_game_id, name, enabled
from wagerledger.games
where (%(integration_id)s::text is null or integration_id = %(integration_id)s)
    and (%(game)s::text is null or %(game)s in (game_id, provider_game_id))
order by integration_id, game_id
"""

COUNT = """
select count(*) from wagerledger.games where integration_id = %s
"""

INSERT = """
insert into wagerledger.games (integration_id, game_id, provider_game_id, name, enabled)
values (%s, %s, %s, %s, %s)
on conflict (integration_id, game_id) do update
set provider_game_id = excluded.provider_game_id, name = excluded.name, enabled = excluded.enabled
"""
"""A known game of ours changes. Two games of ours with one code of the provider are a unique violation."""

DELETE = """
delete from wagerledger.games where integration_id = %s and game_id = any(%s)
"""

DELETE_ALL = """
delete from wagerledger.games where integration_id = %s
"""
