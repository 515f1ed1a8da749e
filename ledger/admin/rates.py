"""Exchange rates: exact fractions with a source and a time, never changed, only followed by newer ones. A bet in
another currency than its wallet's locks the newest.
"""

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from fractions import Fraction

import psycopg
from psycopg.errors import CheckViolation, UniqueViolation

from ledger.admin import actions
from ledger.admin.actions import Actor, AdminAction
from ledger.core import currencies
from ledger.core.money import MAX_EXPONENT
from ledger.core.state import Rate
from ledger.journal import locks
from ledger.store import rates as store
from runtime.clock import to_us
from runtime.identifiers import is_currency, name_fault

MAX_TERM = 10**18
"""Largest numerator and denominator: they fit into a column."""

_decimal = re.compile(r"(?:0|[1-9][0-9]{0,17})(?:\.[0-9]{1,18})?")
_source = re.compile(r"[^\x00-\x1f\x7f]{1,128}")


class RateError(ValueError):
    """The rate cannot be so; the message says why."""


def parse_rate(text: str) -> Fraction:
    """A plain decimal, such as 1.0842, as the exact fraction that it is. Raises RateError."""
    if not _decimal.fullmatch(text):
        raise RateError(f"rate {text!r} must be a plain decimal such as 1.0842, at most 18 digits a side")
    rate = Fraction(text)
    if not rate:
        raise RateError(f"rate {text!r} must be greater than zero")
    if rate.numerator > MAX_TERM or rate.denominator > MAX_TERM:
        raise RateError(f"rate {text!r} has too many digits: 18 in all are enough for any market")
    return rate


def parse(tenant_id: str, fields: Mapping[str, str], now: datetime) -> Rate:
    """One rate from texts: base, quote, rate, base_exponent, source, as_of (default: now). Raises RateError."""
    if fault := name_fault(tenant_id):
        raise RateError(f"brand {tenant_id!r} {fault}")
    base, quote, source = fields["base"], fields["quote"], fields["source"]
    for name, code in (("base", base), ("quote", quote)):
        if not is_currency(code):
            raise RateError(f"{name} {code!r} is no currency code: 3 to 16 characters, A-Z first, then A-Z 0-9 _")
    if base == quote:
        raise RateError(f"base and quote are both {base}: a currency needs no rate to itself")
    if not _source.fullmatch(source):
        raise RateError(f"source {source!r} must be 1 to 128 printable characters")
    rate = parse_rate(fields["rate"])
    as_of = _time(fields["as_of"], now) if fields.get("as_of") else now
    exponent = _exponent(fields["base_exponent"]) if fields.get("base_exponent") else currencies.decimals(base)
    if exponent is None:
        raise RateError(f"how many decimals {base} has must be said: give base_exponent, 0 to {MAX_EXPONENT}")
    return Rate(
        tenant_id=tenant_id,
        base=base,
        quote=quote,
        numerator=rate.numerator,
        denominator=rate.denominator,
        base_exponent=exponent,
        source=source,
        as_of=to_us(as_of),
    )


def add(connection: psycopg.Connection, rates: Iterable[Rate], *, by: Actor) -> int:
    """Write rates, all or none. Gives how many. Raises RateError, AdminActionError."""
    given = list(rates)
    rows = [
        (r.tenant_id, r.base, r.quote, r.numerator, r.denominator, r.base_exponent, r.source, r.as_of) for r in given
    ]
    try:
        with connection.transaction(), connection.cursor() as cursor:
            # With a wallet that opens at the same time there is no telling whose decimals came first.
            cursor.execute(locks.TAKE, [sorted({locks.currency_lock(r.tenant_id, r.base) for r in given})])
            cursor.executemany(store.INSERT, rows)
            for tenant_id in sorted({rate.tenant_id for rate in given}):
                _record(connection, by, tenant_id, [rate for rate in given if rate.tenant_id == tenant_id])
    except CheckViolation as error:
        raise RateError(str(error.diag.message_primary)) from error
    except UniqueViolation as error:
        raise RateError(f"a moment has one rate: {error.diag.message_detail}") from error
    return len(rows)


def _record(connection: psycopg.Connection, by: Actor, tenant_id: str, rates: Sequence[Rate]) -> None:
    keys = [{"tenant_id": r.tenant_id, "base": r.base, "quote": r.quote, "as_of": r.as_of} for r in rates]
    row = connection.execute(store.WRITTEN, [json.dumps(keys)]).fetchone()
    assert row, "an aggregate is a row"
    actions.record(connection, AdminAction(by, "rates.added", tenant_id, {"rates": row[0]}, tenant_id))


def load(connection: psycopg.Connection, tenant_id: str, *, history: bool = False) -> list[Rate]:
    """The newest of each pair, or all, newest first."""
    return [store.entity(row) for row in connection.execute(store.LIST if history else store.LIST_NEWEST, (tenant_id,))]


def decimal(rate: Rate) -> str:
    """As it was given: every rate here has a finite decimal."""
    scale = next(n for n in range(19) if 10**n % rate.denominator == 0)
    digits = str(rate.numerator * (10**scale // rate.denominator)).rjust(scale + 1, "0")
    return f"{digits[:-scale]}.{digits[-scale:]}" if scale else digits


def _time(text: str, now: datetime) -> datetime:
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise RateError(f"as_of {text!r} is no time such as 2026-01-31T12:00:00Z") from error
    time = time if time.tzinfo else time.replace(tzinfo=UTC)
    if time > now:
        raise RateError(f"as_of {text!r} lies ahead: a rate is known only once it was right")
    return time


def _exponent(text: str) -> int:
    if len(text) == 1 and text in "0123456789" and int(text) <= MAX_EXPONENT:
        return int(text)
    raise RateError(f"base_exponent {text!r} must be 0 to {MAX_EXPONENT}")
