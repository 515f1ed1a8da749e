-- Whoever redefines a function of the ledger changes what stands in it: keys are made by one, and indexes are of them. Of
-- new ones nobody but the owner has need.

set local role none; -- the guard is its maker's, a superuser's

do $$
begin
    if to_regprocedure('public.wagerledger_guard()') is null then
        return; -- whoever migrated was no superuser (see 0003_evidence.sql)
    end if;
    if not pg_has_role((select proowner from pg_proc where oid = to_regprocedure('public.wagerledger_guard()')), 'usage') then
        raise notice 'public.wagerledger_guard is another role''s and stays as it is: let its owner run migrate once';
        return;
    end if;
    create or replace function public.wagerledger_guard() returns event_trigger language plpgsql set search_path = pg_catalog as $guard$
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
                or object_type = 'function' and schema_name = 'wagerledger'
                or object_identity = 'wagerledger'
                or to_regnamespace('wagerledger') is null;
        end if;
        if touched is not null then
            raise exception '% of % is refused: only wagerledger_owner changes the ledger''s tables', tg_tag, touched using errcode = 'insufficient_privilege';
        end if;
    end $guard$;
end $$;
