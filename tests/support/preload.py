"""What every command is forked with: all that commands import when they run."""

# ruff: noqa: F401

import alembic.command
import confluent_kafka.admin
import confluent_kafka.schema_registry
import psycopg
import sqlalchemy

import audit.explain
import audit.reconcile.stores
import audit.replay
import audit.verify
import cli.main
import gateway.host.dialects
import ledger.store.migrate
import outbox_relay.recover
import projector.grants
import projector.rebuild
import projector.replay
import sealer.sealer
