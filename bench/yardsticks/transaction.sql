-- Yardstick 1, what a careful ordinary wallet does: one transaction of eight statements per bet. The insert of the command is its idempotency look-up.
\set player random(1, :wallets)
\set bet random(1, 9000000000000000000)
begin;
select cash_minor from wagerledger.wallets where tenant_id = 'brand' and player_id = 'p_' || :player and currency = 'EUR' for update;
update wagerledger.streams set version = version + 1, head_hash = sha256('head'), recorded_at = now()
where tenant_id = 'brand' and stream_type = 'player' and stream_id = 'p_' || :player
returning version \gset
insert into wagerledger.commands (scope, operation, idempotency_key, command_id, kind, fingerprint, tenant_id, stream_type, stream_id,
    first_version, last_version, outcome, answer, trace_id, decided_at)
values ('brand/EU/studio', 'api', md5(:bet::text), uuidv7(), 'AuthorizeBet', sha256('fingerprint'), 'brand', 'player', 'p_' || :player,
    :version, :version, ('"' || repeat('o', :outcome_bytes - 2) || '"')::json, convert_to(repeat('a', :answer_bytes), 'UTF8'), md5(:bet::text), now())
on conflict do nothing;
insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint, trace_id, body)
values (now(), 'brand', 'player', 'p_' || :player, :version, 'bet.authorized', uuidv7(), '\x0123456789abcdef', md5(:bet::text),
    convert_to(repeat('e', :body_bytes), 'UTF8'));
update wagerledger.wallets set cash_minor = cash_minor - 100, held_minor = held_minor + 100
where tenant_id = 'brand' and player_id = 'p_' || :player and currency = 'EUR';
insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id,
    stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor)
values ('brand/EU/studio', 'bet_' || md5(:bet::text), 'brand', 'p_' || :player, 'open', 'round_' || md5(:bet::text), 's_' || md5(:player::text),
    'game_1', 'EUR', 'real', 'h_' || md5(:bet::text), 100, 100, 0, 100, 0);
commit;
