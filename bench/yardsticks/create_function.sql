-- Yardstick 2 as a stored function: every look-up by one index, the wallet locked as late as the rows allow.
create function wagerledger.yardstick_bet(player text, bet text, body_bytes int, answer_bytes int, outcome_bytes int) returns bytea
language plpgsql as $$
declare
    told bytea;
    next_version bigint;
begin
    select answer into told from wagerledger.commands
    where wagerledger.key_of(operation, scope, idempotency_key) = wagerledger.key_of('api', 'brand/EU/studio', bet)
        and scope = 'brand/EU/studio' and operation = 'api' and idempotency_key = bet;
    if found then
        return told;
    end if;
    insert into wagerledger.bets (integration_id, bet_id, tenant_id, player_id, status, round_id, session_id, game_id, currency, mode, hold_id,
        stake_minor, stake_cash_minor, stake_bonus_minor, held_minor, win_minor)
    values ('brand/EU/studio', 'bet_' || bet, 'brand', player, 'open', 'round_' || bet, 's_' || bet, 'game_1', 'EUR', 'real', 'h_' || bet,
        100, 100, 0, 100, 0);
    told := convert_to(repeat('a', answer_bytes), 'UTF8');
    update wagerledger.streams set version = version + 1, head_hash = sha256('head'), recorded_at = now()
    where tenant_id = 'brand' and stream_type = 'player' and stream_id = player
    returning version into next_version;
    update wagerledger.wallets set cash_minor = cash_minor - 100, held_minor = held_minor + 100
    where tenant_id = 'brand' and player_id = player and currency = 'EUR' and cash_minor >= 100;
    if not found then
        raise exception 'insufficient funds';
    end if;
    insert into wagerledger.event_log (recorded_at, tenant_id, stream_type, stream_id, stream_version, event_type, event_id, schema_fingerprint,
        trace_id, body)
    values (now(), 'brand', 'player', player, next_version, 'bet.authorized', uuidv7(), '\x0123456789abcdef', bet,
        convert_to(repeat('e', body_bytes), 'UTF8'));
    insert into wagerledger.commands (scope, operation, idempotency_key, command_id, kind, fingerprint, tenant_id, stream_type, stream_id,
        first_version, last_version, outcome, answer, trace_id, decided_at)
    values ('brand/EU/studio', 'api', bet, uuidv7(), 'AuthorizeBet', sha256('fingerprint'), 'brand', 'player', player,
        next_version, next_version, ('"' || repeat('o', outcome_bytes - 2) || '"')::json, told, bet, now());
    return told;
end $$;
