-- Keys of 16 bytes. An index on the texts themselves is three times as large, and random: of a large table each bet
-- touches a leaf page of each index that was not touched since the last checkpoint, which is then logged whole.

set local role wagerledger_owner; -- what is made here belongs to it

-- SHA-256, cut to 16 bytes, of all parts: each as its length in bytes, a colon, and its bytes in UTF-8, so that no two
-- lists of parts are the same bytes. Indexes are built on it: it must never change. All within is immutable, so that
-- the planner puts it in the place of a call, which would cost four times as much (a backslash is written double
-- because that is how bytes are read from a text).
create function wagerledger.key_of(kind text, owner text, id text) returns uuid language sql immutable parallel safe
return pg_catalog.encode(pg_catalog.substring(pg_catalog.sha256(pg_catalog.replace(
    pg_catalog.octet_length(kind)::text || ':' || kind || pg_catalog.octet_length(owner)::text || ':' || owner
    || pg_catalog.octet_length(id)::text || ':' || id, '\', '\\')::bytea), 1, 16), 'hex')::uuid;
revoke execute on function wagerledger.key_of(text, text, text) from public;
grant execute on function wagerledger.key_of(text, text, text) to wagerledger_app, wagerledger_reader, wagerledger_sealer;

do $$
declare
    name text;
begin
    foreach name in array array['commands', 'bets', 'settlements', 'rounds'] loop
        execute format('alter table wagerledger.%I rename to %I', name, name || '_0007');
        execute format('create table wagerledger.%I (like wagerledger.%I including defaults including constraints including comments)', name, name || '_0007');
        if name = 'bets' then
            alter table wagerledger.bets set (fillfactor = 80); -- as its partitions had
        end if;
        execute format('insert into wagerledger.%I select * from wagerledger.%I', name, name || '_0007');
        execute format('drop table wagerledger.%I', name || '_0007');
        execute format('grant select on wagerledger.%I to wagerledger_app, wagerledger_reader, wagerledger_sealer', name);
    end loop;
end $$;

-- The texts stay in their rows, and who looks for them compares them: of two whose keys were the same, the second would
-- be refused here.
create unique index commands_key on wagerledger.commands (wagerledger.key_of(operation, scope, idempotency_key));
create unique index bets_key on wagerledger.bets (wagerledger.key_of('bet', integration_id, bet_id));
create unique index settlements_key on wagerledger.settlements (wagerledger.key_of('win', integration_id, win_id));
create unique index rounds_key on wagerledger.rounds (wagerledger.key_of(player_id, integration_id, round_id));
create index bets_of_round on wagerledger.bets (wagerledger.key_of('round', integration_id, round_id)) where round_id is not null;
create index settlements_of_round on wagerledger.settlements (wagerledger.key_of('round', integration_id, round_id)) where round_id is not null;
create index settlements_of_bet on wagerledger.settlements (wagerledger.key_of('bet', integration_id, bet_id)) where round_id is null and bet_id is not null;
create index commands_sealed_order on wagerledger.commands using brin (xid) with (autosummarize = on);

select wagerledger.make_append_only('wagerledger.commands');
grant insert (scope, operation, idempotency_key, command_id, kind, fingerprint, tenant_id, stream_type, stream_id, first_version,
    last_version, outcome, answer, kid, asked, trace_id, decided_at) on wagerledger.commands to wagerledger_app;
grant insert on wagerledger.rounds to wagerledger_app;
grant insert, update on wagerledger.bets, wagerledger.settlements to wagerledger_app;
