-- What was proven, and of which call. Where a protocol's signature does not name the operation, the same signed bytes
-- would pass at another path, integration or brand; here they are remembered with the one call that they came with,
-- whatever it came to. Kept forever, like the commands: such bytes carry no time that runs out.

set local role wagerledger_owner; -- where all migrations run at once, the one before has only just made it

create table wagerledger.proofs (
    proof bytea primary key check (length(proof) = 16), -- of the signed bytes and the key; see gateway/proof.py
    scope text not null, -- the integration
    operation text not null -- method and path of the call
);
select wagerledger.make_append_only('wagerledger.proofs');

grant select on wagerledger.proofs to wagerledger_app, wagerledger_reader, wagerledger_sealer;
grant insert on wagerledger.proofs to wagerledger_app;
