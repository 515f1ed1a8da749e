-- The ledger's tables. Whoever runs this owns them; the processes get only what the grants at the end give.

create schema wagerledger;

-- Integrations and keys ------------------------------------------------------------------------------------------

create table wagerledger.integrations (
    integration_id text primary key,
    tenant_id text not null,
    region text not null,
    provider_id text not null,
    dialect text not null,
    policy json not null,
    enabled boolean not null default true,
    created_at timestamptz not null default now(),
    unique (tenant_id, region, provider_id)
);

create table wagerledger.integration_keys (
    kid text primary key,
    integration_id text not null references wagerledger.integrations,
    algorithm text not null check (algorithm in ('hmac-sha256', 'ed25519')),
    material bytea not null, -- hmac-sha256: AES-256-GCM of the secret; ed25519: the raw public key
    not_before timestamptz not null default now(),
    not_after timestamptz,
    created_at timestamptz not null default now()
);
create index on wagerledger.integration_keys (integration_id);

-- State: the fold of the event log, kept for speed ----------------------------------------------------------------

create table wagerledger.streams (
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    version bigint not null check (version > 0),
    head_hash bytea not null,
    recorded_at timestamptz not null,
    primary key (tenant_id, stream_type, stream_id)
) with (fillfactor = 70);

create table wagerledger.currencies (
    tenant_id text not null,
    currency text not null,
    exponent smallint not null check (exponent between 0 and 9),
    primary key (tenant_id, currency)
);

create table wagerledger.wallets (
    tenant_id text not null,
    player_id text not null,
    currency text not null,
    exponent smallint not null,
    cash_minor bigint not null check (cash_minor >= 0),
    bonus_minor bigint not null check (bonus_minor >= 0),
    held_minor bigint not null check (held_minor >= 0),
    receivable_minor bigint not null check (receivable_minor <= 0),
    primary key (tenant_id, player_id, currency)
) with (fillfactor = 70);

create table wagerledger.sessions (
    session_id text primary key,
    integration_id text not null,
    tenant_id text not null,
    player_id text not null,
    currency text not null,
    mode text not null,
    game_id text not null,
    expires_at bigint not null, -- microseconds since the epoch, UTC
    ended boolean not null
) with (fillfactor = 90);

create table wagerledger.bets (
    integration_id text not null,
    bet_id text not null,
    tenant_id text not null,
    player_id text,
    status text not null,
    round_id text,
    session_id text,
    game_id text,
    currency text,
    mode text,
    hold_id text,
    stake_minor bigint not null,
    stake_cash_minor bigint not null,
    stake_bonus_minor bigint not null,
    held_minor bigint not null check (held_minor >= 0),
    win_minor bigint not null,
    settlement_id text,
    rollback_id text,
    primary key (integration_id, bet_id)
) partition by hash (integration_id, bet_id);

create table wagerledger.settlements (
    settlement_id text primary key,
    integration_id text not null,
    bet_id text not null,
    win_minor bigint not null,
    undone_by text
) partition by hash (settlement_id);

-- Commands: what was asked under which key, and what was answered --------------------------------------------------

create table wagerledger.commands (
    scope text not null, -- the integration, or tenant:<id> for the operator's own
    operation text not null,
    idempotency_key text not null,
    command_id uuid not null,
    kind text not null,
    fingerprint bytea, -- null: restored from the topics, the asked content is unknown
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    first_version bigint, -- null: no event
    last_version bigint,
    outcome json not null,
    answer bytea,
    trace_id text not null,
    decided_at timestamptz not null,
    primary key (scope, operation, idempotency_key)
) partition by hash (scope, operation, idempotency_key);

create table wagerledger.refusals (
    refusal_id bigint generated always as identity primary key,
    scope text not null,
    operation text not null,
    idempotency_key text not null,
    command_id uuid not null,
    kind text not null,
    tenant_id text not null,
    code text not null,
    details json not null,
    trace_id text not null,
    refused_at timestamptz not null
);

do $$
begin
    for n in 0..7 loop
        execute format('create table wagerledger.bets_%s partition of wagerledger.bets for values with (modulus 8, remainder %s) with (fillfactor = 80)', n, n);
        execute format('create table wagerledger.settlements_%s partition of wagerledger.settlements for values with (modulus 8, remainder %s)', n, n);
        execute format('create table wagerledger.commands_%s partition of wagerledger.commands for values with (modulus 8, remainder %s)', n, n);
    end loop;
end $$;

-- The event log: the truth, and the outbox -------------------------------------------------------------------------

create table wagerledger.event_log (
    position bigint generated always as identity,
    xid xid8 not null default pg_current_xact_id(),
    recorded_at timestamptz not null,
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    stream_version bigint not null,
    event_type text not null,
    event_id uuid not null,
    schema_fingerprint bytea not null, -- CRC-64-AVRO of the schema that wrote the body
    trace_id text not null,
    traceparent text,
    body bytea not null, -- the Avro bytes; their SHA-256 is the event's hash
    primary key (tenant_id, stream_type, stream_id, stream_version, recorded_at)
) partition by range (recorded_at);
create index event_log_published_order on wagerledger.event_log (xid, position);

create function wagerledger.refuse_change() returns trigger language plpgsql as $$
begin
    raise exception '% of % is refused: what is recorded stays as it is', tg_op, tg_table_name using errcode = 'insufficient_privilege';
end $$;

-- A trigger on the parent does not stop a statement that names a partition, so every table of the log gets its own.
create function wagerledger.make_append_only(relation regclass) returns void language plpgsql as $$
begin
    execute format('create trigger append_only before update or delete or truncate on %s for each statement execute function wagerledger.refuse_change()', relation);
end $$;

create function wagerledger.add_event_log_partition(month date) returns void language plpgsql as $$
declare
    name text := 'event_log_' || to_char(month, 'YYYY_MM');
    first timestamptz := date_trunc('month', month::timestamp) at time zone 'UTC';
    next timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') at time zone 'UTC';
begin
    -- A month that has rows in the default partition stays there: they cannot move, and the other months must not wait for them.
    if to_regclass('wagerledger.' || name) is not null
        or exists (select from wagerledger.event_log_default where recorded_at >= first and recorded_at < next) then
        return;
    end if;
    execute format('create table wagerledger.%I partition of wagerledger.event_log for values from (%L) to (%L)', name, first, next);
    perform wagerledger.make_append_only(('wagerledger.' || name)::regclass);
end $$;

-- Nothing is lost where a month was forgotten: `doctor` alarms when rows are here.
create table wagerledger.event_log_default partition of wagerledger.event_log default;

select wagerledger.make_append_only('wagerledger.event_log');
select wagerledger.make_append_only('wagerledger.event_log_default');
select wagerledger.make_append_only('wagerledger.refusals');

-- Generation: raised by hand when the log was moved or restored on purpose; part of the relay's epoch ----------------

create table wagerledger.log_generation (
    generation integer primary key,
    reason text not null,
    since timestamptz not null default now()
);
insert into wagerledger.log_generation (generation, reason) values (1, 'first installation');

-- Least privilege: login roles are members of these ------------------------------------------------------------------

do $$
begin
    if not exists (select from pg_roles where rolname = 'wagerledger_app') then create role wagerledger_app nologin; end if;
    if not exists (select from pg_roles where rolname = 'wagerledger_reader') then create role wagerledger_reader nologin; end if;
end $$;

revoke all on schema wagerledger from public;
revoke execute on all functions in schema wagerledger from public;
grant usage on schema wagerledger to wagerledger_app, wagerledger_reader;
grant select on all tables in schema wagerledger to wagerledger_app, wagerledger_reader;
grant select on public.alembic_version to wagerledger_app, wagerledger_reader; -- readiness compares it with the code
revoke select on wagerledger.integration_keys from wagerledger_reader;
grant insert on wagerledger.refusals, wagerledger.commands, wagerledger.currencies to wagerledger_app;
-- Not xid and position: an event that was put behind the relay's cursor would never be published.
grant insert (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
    trace_id, traceparent, body) on wagerledger.event_log to wagerledger_app;
grant insert, update on wagerledger.streams, wagerledger.wallets, wagerledger.sessions, wagerledger.bets, wagerledger.settlements,
    wagerledger.integrations, wagerledger.integration_keys to wagerledger_app;
