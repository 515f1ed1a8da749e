"""Table `sessions`."""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Any

from ledger.core.state import Key, Session
from ledger.store.statement import Statement
from runtime.arrays import Bool, Int8, Text, columns

LOAD = """
select session_id, integration_id, tenant_id, player_id, currency, mode, game_id, expires_at, ended,
    extended_us
from wagerledger.sessions where session_id = any(%b::text[])
"""

INSERT = """
insert into wagerledger.sessions (session_id, integration_id, tenant_id, player_id, currency, mode, game_id,
    expires_at, ended, extended_us)
select * from unnest(%b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::text[], %b::bigint[],
    %b::boolean[], %b::bigint[])
"""

UPDATE = """
update wagerledger.sessions s set expires_at = n.expires_at, ended = n.ended, extended_us = n.extended_us
from unnest(%b::text[], %b::bigint[], %b::boolean[], %b::bigint[]) n(session_id, expires_at, ended, extended_us)
where s.session_id = any(array[n.session_id])
"""

_inserted = attrgetter(
    "session_id", "integration_id", "tenant_id", "player_id", "currency", "mode", "game_id", "expires_at", "ended",
    "extended_us",
)  # fmt: skip
_updated = attrgetter("session_id", "expires_at", "ended", "extended_us")


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, [Text(key[1] for key in keys)])


def entity(row: Sequence[Any]) -> Session:
    return Session(*row)


def insert(sessions: Sequence[Session]) -> Statement:
    return Statement(
        INSERT,
        columns((Text, Text, Text, Text, Text, Text, Text, Int8, Bool, Int8), map(_inserted, sessions)),
        len(sessions),
    )


def update(sessions: Sequence[Session]) -> Statement:
    return Statement(UPDATE, columns((Text, Int8, Bool, Int8), map(_updated, sessions)), len(sessions))
