#!/bin/sh
# First start of the ledger's PostgreSQL: the login roles of the processes. What each may do comes with the migration's grants.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" -U postgres -d wagerledger <<'SQL'
create role wagerledger_app nologin;
create role wagerledger_reader nologin;
create role wagerledger_sealer nologin;
create role wagerledger_gateway login password :'password' in role wagerledger_app;
create role wagerledger_relay login password :'password' in role wagerledger_reader;
create role wagerledger_seal login password :'password' in role wagerledger_sealer;
SQL
