"""The SQL of table `sessions`."""

from collections.abc import Iterable, Sequence
from typing import Any

from ledger.core.state import Key, Session
from ledger.store.column_list import ColumnList
from ledger.store.statement import Statement
from runtime.arrays import Text

COLUMNS = ColumnList("""
    session_id text, integration_id text, tenant_id text, player_id text, currency text, mode text, game_id text,
    expires_at bigint, ended boolean, extended_us bigint
""")
"""The fields of an entity, in their order."""
CHANGING = COLUMNS.only("expires_at", "ended", "extended_us")
CHANGED = COLUMNS.only("session_id", *CHANGING)

LOAD = f"""
select {COLUMNS}
from wagerledger.sessions where session_id = any(%b::text[])
"""  # noqa: S608  # our own constants

INSERT = f"""
insert into wagerledger.sessions ({COLUMNS})
select * from {COLUMNS.arrays}
"""  # noqa: S608  # our own constants

UPDATE = f"""
update wagerledger.sessions s set {CHANGING.assigned("n")}
from {CHANGED.rows("n")}
where s.session_id = any(array[n.session_id])
"""  # noqa: S608  # our own constants


def load(keys: Iterable[Key]) -> Statement:
    return Statement(LOAD, [Text(key[1] for key in keys)])


def entity(row: Sequence[Any]) -> Session:
    return Session(*row)


def insert(sessions: Sequence[Session]) -> Statement:
    return Statement(INSERT, COLUMNS.packed(map(COLUMNS.row, sessions)), len(sessions))


def update(sessions: Sequence[Session]) -> Statement:
    return Statement(UPDATE, CHANGED.packed(map(CHANGED.row, sessions)), len(sessions))
