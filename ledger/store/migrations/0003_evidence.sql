-- What auditors need beside the events: who asked and which key signed, administrative acts, anchors. The order in which
-- entries are sealed is that of their database transactions, so each row knows its own.

do $$
declare
    relation text;
begin
    -- Rows from before get this migration's transaction, as a constant: a default that is computed would rewrite the tables.
    foreach relation in array array['commands', 'refusals'] loop
        execute format('alter table wagerledger.%I add column xid bigint not null default %s', relation, pg_current_xact_id());
        execute format('alter table wagerledger.%I alter column xid set default (pg_current_xact_id()::text::bigint)', relation);
    end loop;
end $$;

alter table wagerledger.commands
    add column kid text, -- the key that proved the caller; null for the operator's own commands
    add column asked json; -- what was asked, where no event says it
create index commands_sealed_order on wagerledger.commands using brin (xid) with (autosummarize = on);

alter table wagerledger.refusals
    add column region text not null default '',
    add column stream_type text not null default '',
    add column stream_id text not null default '',
    add column kid text,
    add column fingerprint bytea,
    add column asked json,
    add column answer bytea;
create index refusals_sealed_order on wagerledger.refusals (xid, refusal_id);

-- Another form of an event of the same type, while readers move from one to the other. No hash covers it: the body is
-- the evidence.
alter table wagerledger.event_log add column second_form bytea, add column second_fingerprint bytea;
grant insert (second_form, second_fingerprint) on wagerledger.event_log to wagerledger_app;

-- Administrative acts: who changed what, why, and who approved it. Written in the transaction of the change.
create table wagerledger.acts (
    act_id uuid primary key,
    position bigint generated always as identity,
    xid bigint not null default (pg_current_xact_id()::text::bigint),
    acted_at timestamptz not null,
    tenant_id text not null, -- '' for acts on the whole installation
    region text not null,
    action text not null, -- such as integration.added
    subject text not null, -- such as the integration's id
    actor text not null check (actor <> ''),
    approver text check (approver <> '' and approver <> actor),
    reason text not null check (reason <> ''),
    content json not null -- the state after the act, without secrets: enough to do it again
);
create index acts_sealed_order on wagerledger.acts (xid, position);

-- Anchors: the Merkle tree over all entries. A chunk holds the leaf hashes (32 bytes each) of an interval in their order.
create table wagerledger.sealed_leaves (
    first_leaf bigint primary key,
    leaves integer not null check (leaves > 0),
    hashes bytea not null,
    last_xid bigint not null -- every entry up to and with this transaction is sealed
);
create index sealed_leaves_order on wagerledger.sealed_leaves (last_xid);
create table wagerledger.anchors (
    tree_size bigint primary key,
    last_xid bigint not null,
    frontier bytea not null, -- hashes of the perfect subtrees up to here, the largest first: to go on from
    signed_head json not null -- exactly as it was published
);

-- Months of the event log whose archive was verified: these may be detached.
create table wagerledger.archived (
    month date not null check (month = date_trunc('month', month::timestamp)),
    last_xid bigint not null, -- of the month's events in the archive
    first_leaf bigint not null, -- of the entries among which they are
    last_leaf bigint not null check (last_leaf >= first_leaf),
    manifest_sha256 bytea not null,
    verified_at timestamptz not null default now(),
    actor text not null check (actor <> ''),
    primary key (month, last_xid)
);

-- A secret that was never told to this database: its key proves nobody until the secret is given again.
alter table wagerledger.integration_keys alter column material drop not null;
alter table wagerledger.integration_keys add constraint integration_keys_public check (material is not null or algorithm in ('hmac-sha256', 'secret'));
create view wagerledger.keys_without_secrets as
select kid, integration_id, algorithm, case when algorithm in ('hmac-sha256', 'secret') then null else material end as material,
    not_before, not_after, created_at
from wagerledger.integration_keys;

-- What there was before acts were recorded ------------------------------------------------------------------------

insert into wagerledger.acts (act_id, acted_at, tenant_id, region, action, subject, actor, reason, content)
select gen_random_uuid(), now(), coalesce(tenant_id, ''), coalesce(region, ''), action, subject, 'migration 0003', 'as it was before acts were recorded', content
from (
    select tenant_id, region, 'integration.found', integration_id, json_build_object('integrations', json_build_array(row_to_json(i)),
        'integration_keys', coalesce((select json_agg(k order by kid) from wagerledger.keys_without_secrets k where k.integration_id = i.integration_id), '[]'))
    from wagerledger.integrations i
    union all
    select min(i.tenant_id), min(i.region), 'games.found', integration_id, json_build_object('games', json_agg(g order by game_id), 'replaced', true)
    from wagerledger.games g join wagerledger.integrations i using (integration_id) group by integration_id
    union all
    select tenant_id, null, 'rates.found', tenant_id, json_build_object('rates', json_agg(r order by base, quote, as_of))
    from wagerledger.rates r group by tenant_id
    union all -- the first generation is every installation's
    select null, null, 'log.found', generation::text, json_build_object('log_generation', json_build_array(row_to_json(l)))
    from wagerledger.log_generation l where generation > 1
) found (tenant_id, region, action, subject, content)
order by action = 'games.found', action, subject; -- a game needs its integration

-- Append only ------------------------------------------------------------------------------------------------------

do $$
declare
    relation regclass;
begin
    foreach relation in array array['wagerledger.commands', 'wagerledger.acts', 'wagerledger.sealed_leaves', 'wagerledger.anchors',
        'wagerledger.archived', 'wagerledger.log_generation', 'wagerledger.currencies']::regclass[] loop
        perform wagerledger.make_append_only(relation);
    end loop;
    for relation in select inhrelid::regclass from pg_inherits where inhparent = 'wagerledger.commands'::regclass loop
        perform wagerledger.make_append_only(relation);
    end loop;
    foreach relation in array array['wagerledger.integrations', 'wagerledger.integration_keys']::regclass[] loop
        execute format('create trigger kept before delete or truncate on %s for each statement execute function wagerledger.refuse_change()', relation);
    end loop;
    create trigger kept before truncate on wagerledger.games for each statement execute function wagerledger.refuse_change();
end $$;

-- Settings change only together with an act that says who and why. Checked at the end of the transaction, so that the
-- act may come after the change, and tell it.
create function wagerledger.require_act() returns trigger language plpgsql as $$
declare
    changed jsonb := case when tg_op = 'DELETE' then to_jsonb(old) else to_jsonb(new) end;
begin
    if not exists (
        select from wagerledger.acts
        where xid = pg_current_xact_id()::text::bigint and action like tg_argv[0] || '.%' and subject = changed ->> tg_argv[1]
    ) then
        raise exception '% of % % is refused: no act in this transaction says who did it and why', tg_op, tg_table_name, changed ->> tg_argv[1]
            using errcode = 'insufficient_privilege', hint = 'use the commands of wagerledger, or ledger/acts.py';
    end if;
    return null;
end $$;

do $$
declare
    watched text[];
begin
    foreach watched slice 1 in array array[
        ['integrations', 'integration', 'integration_id'], ['integration_keys', 'integration', 'integration_id'],
        ['games', 'games', 'integration_id'], ['rates', 'rates', 'tenant_id'], ['log_generation', 'log', 'generation']
    ] loop
        execute format('create constraint trigger with_act after insert or update or delete on wagerledger.%I deferrable initially deferred '
            'for each row execute function wagerledger.require_act(%L, %L)', watched[1], watched[2], watched[3]);
    end loop;
end $$;

-- An archived month leaves the log as a table of its own. Only the owner may call this.
create function wagerledger.detach_event_log_partition(month date) returns regclass language plpgsql as $$
declare
    name text := 'event_log_' || to_char(month, 'YYYY_MM');
    archived_xid bigint := (select max(a.last_xid) from wagerledger.archived a where a.month = date_trunc('month', $1::timestamp));
    newest_xid bigint;
begin
    if archived_xid is null then
        raise exception '% has no verified archive', to_char(month, 'YYYY-MM') using errcode = 'object_not_in_prerequisite_state';
    end if;
    if date_trunc('month', month::timestamp) >= date_trunc('month', now() at time zone 'UTC') then
        raise exception '% is not over: events still come', to_char(month, 'YYYY-MM') using errcode = 'object_not_in_prerequisite_state';
    end if;
    execute format('alter table wagerledger.event_log detach partition wagerledger.%I', name);
    execute format('select xid::text::bigint from wagerledger.%I order by xid desc limit 1', name) into newest_xid;
    if newest_xid > archived_xid then
        raise exception '% has events that its archive lacks: archive it again', to_char(month, 'YYYY-MM') using errcode = 'object_not_in_prerequisite_state';
    end if;
    return ('wagerledger.' || name)::regclass;
end $$;

-- Least privilege --------------------------------------------------------------------------------------------------

do $$
declare
    role text;
begin
    foreach role in array array['wagerledger_owner', 'wagerledger_sealer'] loop
        if not exists (select from pg_roles where rolname = role) then execute format('create role %I nologin', role); end if;
    end loop;
end $$;

revoke execute on all functions in schema wagerledger from public;
grant usage on schema wagerledger to wagerledger_sealer;
grant select on all tables in schema wagerledger to wagerledger_app, wagerledger_reader, wagerledger_sealer;
revoke select on wagerledger.integration_keys from wagerledger_reader, wagerledger_sealer;
grant select on public.alembic_version to wagerledger_sealer;
grant insert on wagerledger.sealed_leaves, wagerledger.anchors to wagerledger_sealer;
-- Not xid and place, as in the log: what was put where it has been sealed would be taken for a forgery.
revoke insert on wagerledger.commands, wagerledger.refusals from wagerledger_app;
grant insert (scope, operation, idempotency_key, command_id, kind, fingerprint, tenant_id, stream_type, stream_id, first_version,
    last_version, outcome, answer, kid, asked, trace_id, decided_at) on wagerledger.commands to wagerledger_app;
grant insert (scope, operation, idempotency_key, command_id, kind, tenant_id, region, stream_type, stream_id, fingerprint, code,
    details, answer, kid, asked, trace_id, refused_at) on wagerledger.refusals to wagerledger_app;
grant insert (act_id, acted_at, tenant_id, region, action, subject, actor, approver, reason, content) on wagerledger.acts to wagerledger_app;

-- Everything belongs to a role that nobody can log in as: what a role may not do, it cannot grant itself either. Whoever
-- migrates may become the owner, but only by saying so (`set role`).
do $$
declare
    moved record;
begin
    if not pg_has_role(current_user, 'wagerledger_owner', 'SET') then
        begin
            execute format('grant wagerledger_owner to %I with inherit false, set true', current_user);
        exception when insufficient_privilege then
            raise exception 'another role has made wagerledger_owner: let that one run: grant wagerledger_owner to % with inherit false, set true', current_user
                using errcode = 'insufficient_privilege';
        end;
    end if;
    grant create on schema wagerledger to wagerledger_owner;
    grant select, insert, update, delete on public.alembic_version to wagerledger_owner;
    for moved in select oid::regclass as name, relkind from pg_class where relnamespace = 'wagerledger'::regnamespace and relkind in ('r', 'p', 'v') loop
        execute format('alter %s %s owner to wagerledger_owner', case moved.relkind when 'v' then 'view' else 'table' end, moved.name);
    end loop;
    for moved in select oid::regprocedure as name from pg_proc where pronamespace = 'wagerledger'::regnamespace loop
        execute format('alter function %s owner to wagerledger_owner', moved.name);
    end loop;
    execute 'alter schema wagerledger owner to wagerledger_owner';
end $$;

-- A superuser needs no ownership, so he is stopped where he alone can be: by event triggers. Their function belongs to
-- him, for it runs in every session that changes a table, and stands outside the schema, to outlive it. A migrating role
-- that is no superuser goes without: then nobody but the owner can change the tables, and the server's superuser is the host's.
do $$
begin
    if not (select rolsuper from pg_roles where rolname = current_user) then
        return;
    end if;
    create function public.wagerledger_guard() returns event_trigger language plpgsql set search_path = pg_catalog as $guard$
    declare
        touched text;
    begin
        if current_user = 'wagerledger_owner' then
            return;
        end if;
        if tg_event = 'sql_drop' then
            select object_identity into touched from pg_event_trigger_dropped_objects()
            where address_names[1] = 'wagerledger'
                and object_type in ('table', 'table column', 'table constraint', 'trigger', 'rule', 'schema', 'function', 'view');
        else
            select object_identity into touched from pg_event_trigger_ddl_commands()
            where object_type in ('table', 'table column') and (schema_name = 'wagerledger'
                    or exists (select from pg_class where oid = objid and pg_get_userbyid(relowner) = 'wagerledger_owner'))
                or object_type in ('trigger', 'rule') and object_identity like '% on wagerledger.%'
                or object_type = 'function' and schema_name = 'wagerledger' and tg_tag = 'ALTER FUNCTION'
                or object_identity in ('wagerledger', 'wagerledger.refuse_change()', 'wagerledger.require_act()')
                or to_regnamespace('wagerledger') is null;
        end if;
        if touched is not null then
            raise exception '% of % is refused: only wagerledger_owner changes the ledger''s tables', tg_tag, touched using errcode = 'insufficient_privilege';
        end if;
    end $guard$;
    revoke execute on function public.wagerledger_guard() from public;
    create event trigger wagerledger_changed on ddl_command_end
        when tag in ('ALTER TABLE', 'ALTER TRIGGER', 'ALTER SCHEMA', 'ALTER FUNCTION', 'CREATE FUNCTION', 'CREATE RULE', 'CREATE TRIGGER')
        execute function public.wagerledger_guard();
    create event trigger wagerledger_dropped on sql_drop execute function public.wagerledger_guard();
end $$;
