-- What the providers' own protocols need: wins of their own, rounds that end, restricted players, exchange rates, games.

alter table wagerledger.integrations add column options json not null default '{}';

alter table wagerledger.integration_keys drop constraint integration_keys_algorithm_check;
alter table wagerledger.integration_keys add constraint integration_keys_algorithm_check
    check (algorithm in ('hmac-sha256', 'secret', 'ed25519', 'ecdsa', 'rsa'));
comment on column wagerledger.integration_keys.material is
    'hmac-sha256, secret: AES-256-GCM of the secret; ed25519: the raw public key; ecdsa, rsa: its DER SubjectPublicKeyInfo';

create table wagerledger.games (
    integration_id text not null references wagerledger.integrations,
    game_id text not null, -- ours
    provider_game_id text not null,
    name text not null,
    enabled boolean not null default true,
    primary key (integration_id, game_id),
    unique (integration_id, provider_game_id)
);

create table wagerledger.rates (
    tenant_id text not null,
    base text not null,
    quote text not null check (quote <> base),
    numerator bigint not null check (numerator > 0), -- one unit of base is numerator / denominator units of quote
    denominator bigint not null check (denominator > 0),
    base_exponent smallint not null check (base_exponent between 0 and 9),
    source text not null,
    as_of bigint not null, -- microseconds since the epoch, UTC
    recorded_at timestamptz not null default now(),
    primary key (tenant_id, base, quote, as_of)
);
select wagerledger.make_append_only('wagerledger.rates');

create function wagerledger.check_decimals() returns trigger language plpgsql as $$
begin
    if exists (
        select from wagerledger.currencies c
        where c.tenant_id = new.tenant_id and c.currency = new.base and c.exponent <> new.base_exponent
    ) then
        raise exception 'the wallets in % do not have % decimals', new.base, new.base_exponent using errcode = 'check_violation';
    end if;
    if exists (
        select from wagerledger.rates r
        where r.tenant_id = new.tenant_id and r.base = new.base and r.base_exponent <> new.base_exponent
    ) then
        raise exception 'other rates from % do not have % decimals', new.base, new.base_exponent using errcode = 'check_violation';
    end if;
    return new;
end $$;
revoke execute on function wagerledger.check_decimals() from public;
create trigger check_decimals before insert on wagerledger.rates for each row execute function wagerledger.check_decimals();

-- State ----------------------------------------------------------------------------------------------------------

create table wagerledger.players (
    tenant_id text not null,
    player_id text not null,
    restriction text check (restriction in ('locked', 'self_excluded')),
    primary key (tenant_id, player_id)
);

create table wagerledger.rounds (
    integration_id text not null,
    player_id text not null,
    round_id text not null,
    tenant_id text not null,
    primary key (integration_id, player_id, round_id)
) partition by hash (integration_id, player_id, round_id);

alter table wagerledger.bets
    add column stake_kind text not null default 'bet',
    add column final boolean not null default false,
    add column conversion json;
create index bets_of_round on wagerledger.bets (integration_id, round_id, player_id) where round_id is not null;

alter table wagerledger.settlements rename to settlements_0001;
create table wagerledger.settlements (
    integration_id text not null,
    win_id text not null, -- the provider's id, or the settlement's where it has none
    settlement_id text not null,
    tenant_id text not null,
    player_id text not null,
    currency text not null,
    bet_id text, -- null: of a round as such, or an award
    round_id text,
    session_id text,
    game_id text,
    kind text not null,
    win_minor bigint not null check (win_minor >= 0),
    account text not null,
    mode text not null,
    undone_by text,
    conversion json,
    primary key (integration_id, win_id)
) partition by hash (integration_id, win_id);

do $$
begin
    for n in 0..7 loop
        execute format('alter table wagerledger.settlements_%s rename to settlements_0001_%s', n, n);
        execute format('create table wagerledger.settlements_%s partition of wagerledger.settlements for values with (modulus 8, remainder %s)', n, n);
        execute format('create table wagerledger.rounds_%s partition of wagerledger.rounds for values with (modulus 8, remainder %s)', n, n);
    end loop;
end $$;

insert into wagerledger.settlements (integration_id, win_id, settlement_id, tenant_id, player_id, currency, bet_id,
    round_id, session_id, game_id, kind, win_minor, account, mode, undone_by)
select integration_id, s.settlement_id, s.settlement_id, b.tenant_id, b.player_id, b.currency, b.bet_id,
    b.round_id, b.session_id, b.game_id, 'win', s.win_minor, 'house', b.mode, s.undone_by
from wagerledger.settlements_0001 s join wagerledger.bets b using (integration_id, bet_id);
drop table wagerledger.settlements_0001;

create index settlements_of_round on wagerledger.settlements (integration_id, round_id, player_id) where round_id is not null;
create index settlements_of_bet on wagerledger.settlements (integration_id, bet_id) where round_id is null and bet_id is not null;

-- Least privilege --------------------------------------------------------------------------------------------------

grant select on all tables in schema wagerledger to wagerledger_app, wagerledger_reader;
revoke select on wagerledger.integration_keys from wagerledger_reader;
grant insert on wagerledger.rates, wagerledger.rounds to wagerledger_app;
grant insert, update on wagerledger.players, wagerledger.settlements to wagerledger_app;
grant insert, update, delete on wagerledger.games to wagerledger_app;
