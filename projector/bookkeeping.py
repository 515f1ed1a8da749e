"""What the projector keeps for itself, beside the read models and rebuilt like one of them."""

from projector.projection import Projection

TABLES = """
create table checkpoints (
    topic text not null,
    partition integer not null,
    next_offset bigint not null,
    generation bigint not null, -- raised when models are swapped or stopped: whoever projects begins again
    end_offset bigint, -- where the partition ended when last looked
    last_event_at timestamptz, -- of the newest record folded
    moved_at timestamptz,
    caught_up_at timestamptz, -- when nothing was left to read
    topic_id text, -- Kafka's own, of the topic that was folded: one made anew has the same name
    primary key (topic, partition)
) with (fillfactor = 50);

create table streams (
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    version bigint not null,
    tail_hashes bytea not null, -- of the last events, the newest last
    parked_reason text,
    parked_at timestamptz,
    primary key (tenant_id, stream_type, stream_id)
) with (fillfactor = 70);
create index on streams (parked_at) where parked_reason is not null;

create table parked_events (
    tenant_id text not null,
    stream_type text not null,
    stream_id text not null,
    stream_version bigint not null,
    hash bytea not null,
    partition integer not null,
    wire bytea not null, -- the record's value as it came
    primary key (tenant_id, stream_type, stream_id, stream_version, hash)
);

create table refused_commands (
    command_id uuid primary key -- of every refusal folded: the next record of it is a duplicate
);
"""

VIEWS = """
create or replace view bi.parked_streams as
select tenant_id, stream_type, stream_id, version as stream_version, parked_reason as reason, parked_at
from (select * from streams where parked_reason is not null offset 0) as streams;
comment on view bi.parked_streams is
    'Streams whose later events are kept back. While a stream is here, the read models show it as of stream_version.';
comment on column bi.parked_streams.tenant_id is 'The brand whose books these are.';
comment on column bi.parked_streams.stream_type is 'player or integration.';
comment on column bi.parked_streams.stream_id is 'Id of the stream within its tenant and type.';
comment on column bi.parked_streams.stream_version is 'Last event that the read models have.';
comment on column bi.parked_streams.reason is
    'gap: an event is missing; undecodable: a record could not be read (see the dead letters); '
    'fork: two events claim one place.';
comment on column bi.parked_streams.parked_at is 'Since when, UTC.';

create or replace view bi.freshness as
select topic, partition, case when access.sees_all(current_user) then next_offset end as next_offset,
    case when access.sees_all(current_user) then end_offset end as end_offset,
    greatest(end_offset - next_offset, 0) as waiting_records,
    last_event_at as as_of, caught_up_at, moved_at, greatest(last_event_at, caught_up_at) as complete_until
from checkpoints;
comment on view bi.freshness is
    'How far the read models have come, for each partition of the topics. Times are UTC.';
comment on column bi.freshness.topic is 'ledger.events holds what happened, ledger.refusals what was refused.';
comment on column bi.freshness.partition is 'Partition of the topic; a player''s events are all in one.';
comment on column bi.freshness.next_offset is
    'Offset of the next record to fold. It counts the records of all tenants: null for who may not see all.';
comment on column bi.freshness.end_offset is 'Where the partition ended when the projector last looked; null likewise.';
comment on column bi.freshness.waiting_records is
    'Records that waited then, also those that a transaction still holds up: an upper bound, because marks of '
    'transactions count.';
comment on column bi.freshness.as_of is 'When the ledger recorded the newest event that the models have.';
comment on column bi.freshness.caught_up_at is
    'When the projector last found nothing left to read. It notes that every few seconds: an old time means that it '
    'has too much to do, or does not run.';
comment on column bi.freshness.moved_at is 'When the projector last folded something from here.';
comment on column bi.freshness.complete_until is
    'The later of as_of and caught_up_at: what was published before is in the models, but for parked streams.';

create or replace view bi.models as
select name as model, version, since, stopped_at from models;
comment on view bi.models is 'The read models, and the version of their rules that made the rows. Times are UTC.';
comment on column bi.models.model is 'Name of the read model; projector is what the projector keeps for itself.';
comment on column bi.models.version is 'Version of its tables and rules.';
comment on column bi.models.since is 'When it was made or last rebuilt.';
comment on column bi.models.stopped_at is
    'Null while events are folded into it. Else it stands still since then, because its rules changed: '
    '`wagerledger project rebuild` makes it anew.';
"""

BOOKKEEPING = Projection("projector", 4, TABLES, VIEWS, lambda events, tables: None)
