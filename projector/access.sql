-- Who may see which rows of the read models, and the keys of the masked views. It outlives the models; running it again
-- changes the functions alone.
create schema if not exists access;

create table if not exists access.grants (
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
create unique index if not exists grants_in_force on access.grants (role_name, tenant_id, region) where revoked_at is null;

create table if not exists access.masking_keys (
    tenant_id text primary key, -- * is the key that those of tenants without a row are made from
    key bytea not null check (length(key) = 32),
    since timestamptz not null default now(),
    changed_by text not null,
    reason text not null
);

-- The scopes of a reader, as `tenant/region`; with `players`, those in which they may see them. Who owns the models, and
-- every superuser, sees all. Like all of these it is asked once per query, by the policies.
create or replace function access.scopes(reader name, players boolean) returns text[]
stable parallel safe security definer set search_path = pg_catalog, pg_temp language sql
    return (
        select coalesce(array_agg(distinct tenant_id || '/' || region), '{}') from (
            select g.tenant_id, g.region from access.grants g join pg_catalog.pg_roles r on r.rolname = g.role_name
            where g.revoked_at is null and (g.may_see_players or not players) and pg_has_role(reader, r.oid, 'usage')
            union all
            select '*', '*' from pg_catalog.pg_class c
            where c.oid = 'access.grants'::regclass and pg_has_role(reader, c.relowner, 'usage')
        ) as scopes
    );

-- The tenants of the scopes: an index condition. Of who may see all it is those that the table has, each found by one
-- step in its index.
create or replace function access.tenants(reader name, players boolean, of regclass) returns text[]
stable parallel safe security definer set search_path = pg_catalog, pg_temp language plpgsql as $$
declare
    tenants text[] := array(select distinct split_part(one, '/', 1) from unnest(access.scopes(reader, players)) one);
begin
    if '*' = any (tenants) then
        execute format(
            'with recursive found as (
                (select tenant_id from %1$s order by tenant_id limit 1)
                union all
                select (select t.tenant_id from %1$s t where t.tenant_id > f.tenant_id order by t.tenant_id limit 1)
                from found f where f.tenant_id is not null
            ) select array_agg(tenant_id) from found where tenant_id is not null', of
        ) into tenants;
    end if;
    return coalesce(tenants, '{}');
end $$;

-- The tenants and regions of the scopes, one by one, as look-ups read them: each is the beginning of an index. Where a
-- scope is of all tenants or regions it is those that the table has, each found by one step in its index.
create or replace function access.places(reader name, players boolean, of regclass)
returns table (tenant_id text, region text)
stable parallel safe security definer set search_path = pg_catalog, pg_temp language plpgsql as $$
declare
    scopes text[] := access.scopes(reader, players);
begin
    if not exists (select from unnest(scopes) one where '*' in (split_part(one, '/', 1), split_part(one, '/', 2))) then
        return query select split_part(one, '/', 1), split_part(one, '/', 2) from unnest(scopes) one;
        return;
    end if;
    return query execute format(
        'with recursive granted as (
            select split_part(one, ''/'', 1) as tenant_id, split_part(one, ''/'', 2) as region from unnest($1) one
        ), scopes as (
            select * from granted where tenant_id <> ''*''
            union select t.tenant_id, g.region from granted g, unnest($2) t (tenant_id) where g.tenant_id = ''*''
        ), found as (
            select s.tenant_id, (
                select t.region from %1$s t where t.tenant_id = s.tenant_id order by t.region limit 1
            ) as region from scopes s where s.region = ''*''
            union all
            select f.tenant_id, (
                select t.region from %1$s t where t.tenant_id = f.tenant_id and t.region > f.region
                order by t.region limit 1
            ) from found f where f.region is not null
        )
        select * from scopes where region <> ''*'' union select * from found where region is not null', of
    ) using scopes, access.tenants(reader, players, of);
end $$;

-- The regions of the scopes: `{*}` where each scope is of all, null where they differ from tenant to tenant.
create or replace function access.regions(reader name, players boolean) returns text[]
stable parallel safe security definer set search_path = pg_catalog, pg_temp language sql
    return (
        select case when count(distinct regions) = 1 and not ('*' = any (min(regions)) and min(regions) <> '{*}')
            then min(regions) end
        from (
            select array_agg(distinct split_part(one, '/', 2) order by split_part(one, '/', 2)) as regions
            from unnest(access.scopes(reader, players)) one group by split_part(one, '/', 1)
        ) as of_tenants
    );

-- For views: whoever locks one locks what stands in it, so access.scopes, and the catalogue with it, may not.
create or replace function access.sees_all(reader name) returns boolean stable security definer language sql
    return exists (
        select from access.grants g join pg_catalog.pg_roles r on r.rolname = g.role_name
        where g.revoked_at is null and (g.tenant_id, g.region) = ('*', '*') and pg_has_role(reader, r.oid, 'usage')
    ) or pg_has_role(reader, (select relowner from pg_catalog.pg_class where oid = 'access.grants'::regclass), 'usage');

-- Bodies that are resolved here: with those of strings a reader's search_path could give the key to a function of theirs.
create or replace function access.keyed(key bytea, message text) returns bytea immutable strict parallel safe language sql
    return sha256(key || sha256(key || convert_to(message, 'UTF8')));

create or replace function access.pseudonym(key bytea, id text) returns text immutable strict parallel safe language sql
    return left(encode(access.keyed(key, id), 'hex'), 32);
