-- What each wallet's money did in the running day, week and month, on which limits are judged; and when what counts there
-- happened: microseconds since the epoch, as in sessions.expires_at.

set local role wagerledger_owner; -- where all migrations run at once, the one before has only just made it

alter table wagerledger.wallets add column tallies bytea not null default ''; -- see ledger/store/wallets.py
alter table wagerledger.bets add column placed_at bigint not null default 0;
alter table wagerledger.settlements add column counted_at bigint not null default 0;
