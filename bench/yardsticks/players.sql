-- The yardsticks run in a database of their own with the ledger's own tables (its migrations), filled with as many players.

insert into wagerledger.streams (tenant_id, stream_type, stream_id, version, head_hash, recorded_at)
select 'brand', 'player', 'p_' || n, 3, sha256(n::text::bytea), now() from generate_series(1, current_setting('yardstick.wallets')::int) n;

insert into wagerledger.wallets (tenant_id, player_id, currency, exponent, cash_minor, bonus_minor, held_minor, receivable_minor)
select 'brand', 'p_' || n, 'EUR', 2, 100000000000, 0, 0, 0 from generate_series(1, current_setting('yardstick.wallets')::int) n;

insert into wagerledger.sessions (session_id, integration_id, tenant_id, player_id, currency, mode, game_id, expires_at, ended)
select 's_' || n, 'brand/EU/studio', 'brand', 'p_' || n, 'EUR', 'real', 'game_1', 9000000000000000, false from generate_series(1, current_setting('yardstick.wallets')::int) n;
