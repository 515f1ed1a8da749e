#!/bin/sh
# First start of the read models' PostgreSQL: the projector's login role, which owns what it makes and may make it; the
# groups of readers, which `wagerledger bi grant` puts logins into; and the owners of the views, which nobody can be.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$POSTGRES_PASSWORD" -U postgres -d wagerledger_bi <<'SQL'
create role wagerledger_projector login password :'password';
create role wagerledger_bi nologin;
create role wagerledger_bi_masked nologin;
create role wagerledger_bi_owner nologin;
create role wagerledger_bi_masked_owner nologin;
grant wagerledger_bi, wagerledger_bi_masked to wagerledger_projector with admin option;
grant wagerledger_bi_owner, wagerledger_bi_masked_owner to wagerledger_projector;
grant create on database wagerledger_bi to wagerledger_projector;
revoke temporary on database wagerledger_bi from public; -- readers make nothing, no function either
revoke execute on function lo_create(oid), lo_creat(integer), lo_from_bytea(oid, bytea) from public; -- nor large objects
SQL
