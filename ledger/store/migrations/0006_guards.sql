-- The guards stand in every session. A trigger as it comes is passed by in a session that plays the replica: of logical
-- replication, of a careless restore, or of a superuser who says so (session_replication_role).

set local role wagerledger_owner;
set constraints all immediate; -- what earlier migrations of this transaction changed has its acts, or is refused here

create or replace function wagerledger.make_append_only(relation regclass) returns void language plpgsql as $$
begin
    execute format('create trigger append_only before update or delete or truncate on %s for each statement execute function wagerledger.refuse_change()', relation);
    execute format('alter table %s enable always trigger append_only', relation);
end $$;

-- A month that began without a partition has its rows in the default one, where they cannot be moved from. So the default
-- partition becomes the month's as it is, and a new one is made. Only the owner may call this; all writers wait meanwhile,
-- because the rows are read once.
create or replace function wagerledger.adopt_event_log_default() returns regclass language plpgsql as $$
declare
    first timestamptz;
    next timestamptz;
    newest timestamptz;
    name text;
begin
    lock table wagerledger.event_log in access exclusive mode;
    select date_trunc('month', min(recorded_at) at time zone 'UTC') at time zone 'UTC', max(recorded_at) into first, newest
    from wagerledger.event_log_default;
    if first is null then
        raise exception 'no rows are in event_log_default' using errcode = 'object_not_in_prerequisite_state';
    end if;
    next := (date_trunc('month', first at time zone 'UTC') + interval '1 month') at time zone 'UTC';
    name := 'event_log_' || to_char(first at time zone 'UTC', 'YYYY_MM');
    if newest >= next then
        raise exception 'event_log_default has rows of several months, the newest of %: it can become the partition of one only', newest
            using errcode = 'object_not_in_prerequisite_state', hint = 'the rows may stay where they are';
    end if;
    alter table wagerledger.event_log detach partition wagerledger.event_log_default;
    execute format('alter table wagerledger.event_log_default rename to %I', name);
    execute format('alter table wagerledger.event_log attach partition wagerledger.%I for values from (%L) to (%L)', name, first, next);
    create table wagerledger.event_log_default partition of wagerledger.event_log default;
    perform wagerledger.make_append_only('wagerledger.event_log_default');
    return ('wagerledger.' || name)::regclass;
end $$;
revoke execute on function wagerledger.adopt_event_log_default() from public;

-- What is sealed goes on from what was sealed. The sealer's role may add to these tables, and what it adds stays: a row
-- that contradicts them would end all sealing.
create or replace function wagerledger.check_chunk() returns trigger language plpgsql as $$
declare
    before record;
begin
    select first_leaf + leaves as size, last_xid into before from wagerledger.sealed_leaves order by first_leaf desc limit 1;
    if new.first_leaf <> coalesce(before.size, 0) then
        raise exception 'leaf % does not follow the % sealed ones', new.first_leaf, coalesce(before.size, 0) using errcode = 'check_violation';
    end if;
    if octet_length(new.hashes) <> 32 * new.leaves then
        raise exception '% leaves have % bytes of hashes, not %', new.leaves, octet_length(new.hashes), 32 * new.leaves using errcode = 'check_violation';
    end if;
    -- A restore seals each transaction within it: one's own has begun, though a snapshot may count it to those to come.
    if new.last_xid <= coalesce(before.last_xid, 0) or new.last_xid >= greatest(
        pg_snapshot_xmax(pg_current_snapshot())::text::bigint, pg_current_xact_id_if_assigned()::text::bigint + 1
    ) then
        raise exception 'transaction % does not follow % or has not been', new.last_xid, coalesce(before.last_xid, 0) using errcode = 'check_violation';
    end if;
    return new;
end $$;
create or replace function wagerledger.check_anchor() returns trigger language plpgsql as $$
declare
    sealed record;
begin
    select first_leaf + leaves as size, last_xid into sealed from wagerledger.sealed_leaves order by first_leaf desc limit 1;
    if new.tree_size is distinct from sealed.size or new.last_xid is distinct from sealed.last_xid then
        raise exception 'an anchor of % leaves up to transaction % is not of what is sealed', new.tree_size, new.last_xid using errcode = 'check_violation';
    end if;
    if new.signed_head -> 'head' ->> 'tree_size' is distinct from new.tree_size::text then
        raise exception 'the signed head is not of % leaves', new.tree_size using errcode = 'check_violation';
    end if;
    return new;
end $$;
revoke execute on function wagerledger.check_chunk(), wagerledger.check_anchor() from public;
create or replace trigger check_chunk before insert on wagerledger.sealed_leaves for each row execute function wagerledger.check_chunk();
create or replace trigger check_anchor before insert on wagerledger.anchors for each row execute function wagerledger.check_anchor();

do $$
declare
    guard record;
begin
    for guard in
        select tgrelid::regclass as relation, tgname from pg_trigger t join pg_class c on c.oid = tgrelid
        where c.relnamespace = 'wagerledger'::regnamespace and not tgisinternal
    loop
        execute format('alter table %s enable always trigger %I', guard.relation, guard.tgname);
    end loop;
end $$;

-- Event triggers belong to the superuser who made them. Another role that migrates leaves them as they are, and `doctor` says so.
do $$
declare
    before text := current_user;
    guard text;
begin
    if (select rolsuper from pg_roles where rolname = session_user) then
        perform set_config('role', 'none', true);
        for guard in select evtname from pg_event_trigger where evtname in ('wagerledger_changed', 'wagerledger_dropped') loop
            execute format('alter event trigger %I enable always', guard);
        end loop;
        if before <> session_user then
            perform set_config('role', before, true);
        end if;
    end if;
end $$;

set constraints all deferred;
