"""Refusals: commands that were decided with no. They come from a topic of their own, in no order with the events."""

from collections.abc import Sequence
from typing import Any

from projector import lookups
from projector.projection import Admitted, Projection, incoming
from projector.projections.views import (
    AS_OF,
    INTEGRATION,
    PLAYER,
    PROVIDER,
    REGION,
    TENANT,
    Column,
    fenced,
    view,
)
from projector.tables import Tables

TABLES = f"""
create table refusals (
    command_id uuid primary key,
    tenant_id text not null,
    region text not null,
    integration_id text,
    provider_id text,
    player_id text,
    kind text not null,
    code text not null,
    details jsonb not null,
    operation text not null,
    idempotency_key text not null,
    asked jsonb,
    kid text,
    occurred_at timestamptz not null,
    trace_id text not null
);
{lookups.indexes("refusals", "player_id", "occurred_at")}
"""

CODE = Column("code", "Why not: a code of the error catalogue.")
COMMAND_KIND = Column("kind", "What was asked, such as AuthorizeBet.")
WHO = [INTEGRATION._replace(meaning="Integration that asked; null for the operator's own commands."), PROVIDER]

VIEWS = view(
    "bi.refusals",
    "One row per refused command. It moved no money and left no event.",
    [
        TENANT, REGION, *WHO,
        PLAYER._replace(meaning="The operator's opaque id of the player; null where none is known."),
        Column("command_id", "UUIDv7 of the command. A repeat of the callback is another command."),
        COMMAND_KIND, CODE,
        Column("details", "What the decision says besides (jsonb): the values that the code is about."),
        Column("operation", "Class of operation: with integration_id and idempotency_key it names the command."),
        Column("idempotency_key", "Key of the command, as the caller gave it."),
        Column("asked", "What was asked (jsonb), listed fields only."),
        Column("kid", "Key that proved the caller; null for the operator's own commands."),
        Column("refused_at", "When the ledger decided (timestamptz, UTC).", "occurred_at"),
        AS_OF._replace(meaning="The same as refused_at: the row never changes."),
        Column("trace_id", "Trace of the callback."),
    ],
    f"from {fenced('refusals')}",
) + view(
    "bi.refusals_by_day",
    "Refused commands per UTC day, integration, kind of command and code.",
    [
        TENANT, REGION, *WHO, COMMAND_KIND, CODE,
        Column("day", "UTC day (date).", "(occurred_at at time zone 'UTC')::date"),
        Column("refusals", "Refused commands.", "count(*)"),
        Column("players", "Players that are named in them.", "count(distinct player_id)"),
        AS_OF._replace(expression="max(occurred_at)", meaning="When the last of them was decided (timestamptz, UTC)."),
    ],
    f"from {fenced('refusals')} group by tenant_id, region, integration_id, provider_id, kind, code, day",
)  # fmt: skip

INSERT = f"""
insert into refusals
select command_id, tenant_id, region, integration_id, provider_id, player_id, kind, code, details::jsonb, operation,
    idempotency_key, asked::jsonb, kid, occurred_at, trace_id
from {
    incoming('''
    command_id uuid, tenant_id text, region text, integration_id text, provider_id text, player_id text, kind text,
    code text, details text, operation text, idempotency_key text, asked text, kid text, occurred_at moment,
    trace_id text
''')
}
"""  # noqa: S608  # our own constants

FIELDS = (
    "command_id", "tenant_id", "region", "integration_id", "provider_id", "player_id", "kind", "code", "details",
    "operation", "idempotency_key", "asked", "kid", "refused_at", "trace_id",
)  # fmt: skip


def apply(_: Sequence[Admitted], __: Tables) -> None:
    """Fold no event: refusals come from a topic of their own."""


def refusals(records: Sequence[dict[str, Any]], tables: Tables) -> None:
    tables.write(INSERT, [[record[name] for name in FIELDS] for record in records])


REFUSALS = Projection("refusals", 3, TABLES, VIEWS, apply, refusals)
