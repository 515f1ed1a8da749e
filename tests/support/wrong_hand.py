"""Somebody who has become the owner of the tables, and changes what nobody may: the guards of the database are off."""

from typing import Any

from psycopg import Connection

# Triggers stand in every session, also in one that plays the replica, which only passes foreign keys by.
DISARM = """
set session_replication_role = replica;
do $$
declare
    guarded regclass;
begin
    perform set_config('role', 'wagerledger_owner', true);
    for guarded in select oid::regclass from pg_class where relnamespace = 'wagerledger'::regnamespace and relkind in ('r', 'p') loop
        execute format('alter table %s disable trigger user', guarded);
    end loop;
    perform set_config('role', 'none', true);
end $$
"""


def disarm(connection: Connection[Any]) -> None:
    """Switch the ledger's triggers off: in this transaction, and from its commit on for all."""
    connection.execute(DISARM)
