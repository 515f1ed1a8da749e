-- A player has one region for ever, and brands and their regions are registered before anything is opened for them.

set local role wagerledger_owner; -- what is made here belongs to it

alter table wagerledger.players add column region text;

-- Where a brand's data may live.
create table wagerledger.brands (
    tenant_id text not null,
    region text not null,
    created_at timestamptz not null default now(),
    primary key (tenant_id, region)
);
select wagerledger.make_append_only('wagerledger.brands');
create constraint trigger with_act after insert or update or delete on wagerledger.brands deferrable initially deferred
    for each row execute function wagerledger.require_act('brand', 'tenant_id');
grant select on wagerledger.brands to wagerledger_app, wagerledger_reader, wagerledger_sealer;
grant insert on wagerledger.brands to wagerledger_app;
