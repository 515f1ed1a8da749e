-- Bets keep their session alive: they move `expires_at`, and this says how far they have, in microseconds.

set local role wagerledger_owner; -- where all migrations run at once, the one before has only just made it

alter table wagerledger.sessions add column extended_us bigint not null default 0;
