"""Alembic's entry: one connection, one transaction, one migration at a time."""

from alembic import context
from sqlalchemy import text

connection = context.config.attributes["connection"]
context.configure(connection=connection, version_table="alembic_version", version_table_schema="public")
with context.begin_transaction():
    connection.execute(text("select pg_advisory_xact_lock(hashtext('wagerledger migrations'))"))
    context.run_migrations()
