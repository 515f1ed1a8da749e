"""What a transaction locks, before anything is written: 64-bit advisory keys, taken sorted.

Locks before xid: a transaction gets its xid with its first write. Whoever holds a stream's lock therefore has a higher
xid than the one who held it before, and the order (xid, position), in which the relay reads, is the order of every
stream.
"""

from collections.abc import Iterable
from hashlib import blake2b

from ledger.core.state import Bet, Currency
from ledger.idempotency import Request
from ledger.streams import StreamKey

NOTHING_WRITTEN = "1 / (pg_current_xact_id_if_assigned() is null)::integer = 1"
"""True, or an error of the server: what is sent together with its COMMIT must not get as far as that."""

TAKE = f"""
select count(pg_advisory_xact_lock(key)::text), {NOTHING_WRITTEN}
from unnest(%b::bigint[]) key
"""  # noqa: S608  # our own constants
"""The keys are taken in the array's order. The second column proves that nothing was written before them."""

SET_TIMEOUT = "select set_config('lock_timeout', %b, true)"
"""Milliseconds for the rest of this transaction. It writes nothing."""


def lock_keys(request: Request) -> Iterable[int]:
    """The stream, the idempotency key, and what other streams may ask for: a bet's reference, a tenant's currency."""
    yield stream_lock(request.stream)
    yield _hash("command", *request.key)
    for entity, *names in request.needs:
        if entity is Bet or entity is Currency:
            yield _hash(entity.__name__, *map(str, names))


def proof_lock(digest: bytes) -> int:
    """Twins of one proof meet here, whatever they ask for."""
    return _hash("proof", digest.hex())


def currency_lock(tenant_id: str, currency: str) -> int:
    """For who fixes a currency's decimals otherwise than by a wallet."""
    return _hash(Currency.__name__, tenant_id, currency)


def stream_lock(stream: StreamKey) -> int:
    """Whoever writes to `stream` holds this one."""
    return _hash("stream", *stream)


def _hash(*parts: str) -> int:
    return int.from_bytes(blake2b("\0".join(parts).encode(), digest_size=8).digest(), signed=True)
