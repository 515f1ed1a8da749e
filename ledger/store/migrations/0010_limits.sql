-- Limits that protect a player (see ledger/store/players.py), and by whose days, weeks and months they count.

set local role wagerledger_owner; -- where all migrations run at once, the one before has only just made it

alter table wagerledger.players add column calendar text not null default 'UTC@1';
alter table wagerledger.players add column limits json;
grant update (calendar, limits) on wagerledger.players to wagerledger_app;
