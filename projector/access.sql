-- Who may see which rows of the read models, and the keys of the masked views. It outlives the models.
create schema access;

create table access.grants (
    grant_id bigint generated always as identity primary key,
    role_name text not null,
    tenant_id text not null, -- * is every tenant
    region text not null, -- * is every region
    may_see_players boolean not null,
    granted_at timestamptz not null default now(),
    granted_by text not null,
    grant_reason text not null,
    revoked_at timestamptz,
    revoked_by text,
    revoke_reason text
);
create unique index on access.grants (role_name, tenant_id, region) where revoked_at is null;

create table access.masking_keys (
    tenant_id text primary key, -- * is the key that those of tenants without a row are made from
    key bytea not null check (length(key) = 32),
    since timestamptz not null default now(),
    changed_by text not null,
    reason text not null
);

-- The scopes of whoever asks, as `tenant/region`. In a view current_user is the reader, not the view's owner. Who owns
-- the models, and every superuser, sees all.
create view access.scopes as
select g.tenant_id || '/' || g.region as scope, g.may_see_players
from access.grants g join pg_catalog.pg_roles r on r.rolname = g.role_name
where g.revoked_at is null and pg_has_role(current_user, r.oid, 'usage')
union all
select '*/*', true from pg_catalog.pg_class c
where c.oid = 'access.grants'::regclass and pg_has_role(current_user, c.relowner, 'usage');

-- For views: whoever locks one locks what stands in it, so access.scopes, and the catalogue with it, may not.
create function access.sees_all(reader name) returns boolean stable security definer language sql
    return exists (
        select from access.grants g join pg_catalog.pg_roles r on r.rolname = g.role_name
        where g.revoked_at is null and (g.tenant_id, g.region) = ('*', '*') and pg_has_role(reader, r.oid, 'usage')
    ) or pg_has_role(reader, (select relowner from pg_catalog.pg_class where oid = 'access.grants'::regclass), 'usage');

-- Bodies that are resolved here: with those of strings a reader's search_path could give the key to a function of his.
create function access.keyed(key bytea, message text) returns bytea immutable strict parallel safe language sql
    return sha256(key || sha256(key || convert_to(message, 'UTF8')));

create function access.pseudonym(key bytea, id text) returns text immutable strict parallel safe language sql
    return left(encode(access.keyed(key, id), 'hex'), 32);
