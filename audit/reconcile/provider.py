"""The ledger against a provider's own report."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from audit import detached_months
from audit.findings import CannotCheckError
from audit.reconcile import mapping as forms
from audit.reconcile.comparison import HERE, THERE, Comparison, Item, Reconciliation, Window, within
from audit.reconcile.mapping import AWARD, BET, REINSTATED, ROLLBACK, WIN, WIN_ROLLBACK, Mapping
from audit.reconcile.report import Line, ReportFile
from audit.snapshot import Snapshot
from audit.sources import Sources
from ledger.core import currencies
from ledger.core.money import Amount
from ledger.core.state import DEMO
from runtime.clock import to_datetime, to_us
from runtime.progress import Progress, silent
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT

MARGIN = timedelta(days=1)
"""How far the provider's clock, or its retries, may be from ours: so much more of the ledger is looked at."""

INTEGRATION = "select tenant_id, provider_id from wagerledger.integrations where integration_id = %s"

EXPONENTS = """
select base, base_exponent::bigint from wagerledger.rates where tenant_id = %s
union select currency, exponent::bigint from wagerledger.currencies where tenant_id = %s
"""

# The bytes hold the integration's id: only these rows need to be sent and decoded.
EVENTS = """
select schema_fingerprint, body from wagerledger.event_log
where tenant_id = %s and position(%s::bytea in body) > 0 and recorded_at >= %s and recorded_at < %s
    and event_type = any(%s::text[])
"""


def reconcile(
    settings: Settings,
    report: Path,
    mapping: Path,
    integration_id: str,
    *,
    since: datetime | None = None,
    until: datetime | None = None,
    progress: Progress = silent,
) -> Reconciliation:
    """Compare `report` with what the ledger has of the integration. `since` and `until` (aware, the end not included)
    bound both; without them the report's own first and last time do.

    Raises CannotCheckError where database, report or mapping cannot be read.
    """
    form = forms.load(mapping)
    file = ReportFile(report, form)
    with Comparison() as books, Sources(settings).ledger() as ledger:
        found = ledger.all(INTEGRATION, [integration_id])
        if not found:
            raise CannotCheckError(f"there is no integration {integration_id}; see `wagerledger integration list`")
        ((tenant_id, provider_id),) = found
        result = Reconciliation(f"ledger ({integration_id})", f"report of {form.provider or provider_id}")
        result.exponents |= dict(ledger.all(EXPONENTS, [tenant_id, tenant_id]))
        window = (to_us(since) if since else None), (to_us(until) if until else None)
        outside = _read_report(file, books, result, window, progress)
        window = _window(window, books.moments(THERE))
        result.notes += _notes(file, form, window, outside)
        if gone := detached_months.months(ledger):
            months = detached_months.named(gone)
            result.notes.append(f"The events of {months} are detached from the log: here they are missing.")
        books.put_all(HERE, _ledger(ledger, tenant_id, integration_id, form, window, result.exponents))
        books.compare(result, window)
    return result


def _read_report(
    file: ReportFile, books: Comparison, result: Reconciliation, window: Window, progress: Progress
) -> int:
    """Gives how many lines lie outside of the window."""
    outside = 0
    for line in file.lines():
        if not isinstance(line, Line):
            result.reject(*line)
        elif not within(line.at_us, window):
            outside += 1
        else:
            item = _item(line, result)
            if item:
                books.put(THERE, item)
        if file.read % 10_000 == 0:
            progress("report", file.read, file.read)
    progress("report", file.read, file.read)
    return outside


def _item(line: Line, result: Reconciliation) -> Item | None:
    exponent = result.exponents.get(line.currency, currencies.decimals(line.currency))
    if exponent is None:
        result.reject(line.place, f"no event says how many decimals {line.currency} has")
        return None
    amount = Amount(line.amount.unscaled, exponent) if line.in_minor_units else line.amount
    amount_minor = amount.to_minor(exponent)
    if amount_minor is None:
        result.reject(line.place, f"{amount} {line.currency} is finer than the ledger's {exponent} decimals")
        return None
    signed = -amount_minor if line.negative else amount_minor
    return Item(line.kind, line.key, line.currency, signed, line.entry, at_us=line.at_us, place=line.place)


def _window(wanted: Window, reported: tuple[int, int] | None) -> Window:
    first, last = (reported[0], reported[1] + 1) if reported else (None, None)
    return (first if wanted[0] is None else wanted[0]), (last if wanted[1] is None else wanted[1])


def _notes(file: ReportFile, form: Mapping, window: Window, outside: int) -> list[str]:
    since, until = (to_datetime(at).isoformat() if at is not None else "any time" for at in window)
    notes = [
        f"{file.read} lines of {file.path.name}, matched by {form.match}, from {since} up to {until}, UTC",
        f"What only the ledger has counts by its own time; {MARGIN.days} day before and after were looked at too.",
        "Amounts are in the currency that the provider asked in. Demo play is in neither book.",
    ]
    if file.skipped:
        notes.append(f"{file.skipped} lines left out, as the mapping's [skip] says")
    if outside:
        notes.append(f"{outside} lines lie outside of the time asked for")
    if left_out := [kind for kind in forms.KINDS if form.reported_as(kind) is None]:
        notes.append(f"Not compared, because the mapping names no such type: {', '.join(left_out)}")
    return notes


# The ledger's side


def _ledger(
    ledger: Snapshot, tenant_id: str, integration_id: str, form: Mapping, window: Window, exponents: dict[str, int]
) -> Iterator[Item]:
    since = to_datetime(window[0]) - MARGIN if window[0] is not None else "-infinity"
    until = to_datetime(window[1]) + MARGIN if window[1] is not None else "infinity"
    params = tenant_id, integration_id.encode(), since, until, list(REPORTED_AMOUNTS)
    for fingerprint, body in ledger.rows(EVENTS, params):
        record = BY_FINGERPRINT[fingerprint].decode(body)
        if record["integration_id"] == integration_id and record["payload"].get("mode") != DEMO:
            yield from _items(record, form, exponents)


def _items(record: dict[str, Any], form: Mapping, exponents: dict[str, int]) -> Iterator[Item]:
    payload = record["payload"]
    provider_side = payload.get("conversion") or payload
    for part in (payload, provider_side):
        if "exponent" in part:
            exponents.setdefault(part["currency"], part["exponent"])
    at_us = record["provider_occurred_at"] or record["occurred_at"]
    place = f"event {record['event_id']}, trace {record['trace_id']}"
    signed = form.amounts.sign != "unsigned"
    for kind, amount_minor, currency in REPORTED_AMOUNTS[record["event_type"]](payload):
        reported = form.reported_as(kind)
        if reported is None:
            continue
        against = (kind in forms.TAKEN_FROM_THE_PLAYER) != (reported in forms.TAKEN_FROM_THE_PLAYER) and signed
        amount = -amount_minor if against else amount_minor
        yield Item(reported, _key(record, form.match), currency, amount, record["event_id"], at_us=at_us, place=place)


def _key(record: dict[str, Any], match: str) -> str:
    payload = record["payload"]
    # Our own API leaves the provider's id of a transaction to the ids of what it is about.
    own = payload["bet_id"] if record["event_type"] == "bet.authorized" else record["idempotency_key"]
    transaction = record["provider_transaction_id"] or own
    named = {"bet": payload.get("bet_id"), "round": payload.get("round_id")}.get(match)
    return str(named or transaction)


ReportedAmount = tuple[str, int, str]
"""Kind, amount in minor units, currency."""


def _bet(payload: dict[str, Any]) -> list[ReportedAmount]:
    paid_minor = payload["stake_cash_minor"] + payload["stake_bonus_minor"]
    if paid_minor == 0 or not payload["conversion"]:
        return [(BET, paid_minor, (payload["conversion"] or payload)["currency"])]
    return [(BET, *_in_provider_currency(payload, paid_minor))]


def _win(payload: dict[str, Any]) -> list[ReportedAmount]:
    return [(WIN, *_in_provider_currency(payload, payload["win_minor"]))]


def _rollback(payload: dict[str, Any]) -> list[ReportedAmount]:
    """The stake in the provider's currency; wins that are undone with it, in the wallet's."""
    amounts: list[ReportedAmount] = [(ROLLBACK, *_in_provider_currency(payload, payload["stake_minor"]))]
    if payload["win_reversed_minor"]:
        amounts.append((WIN_ROLLBACK, payload["win_reversed_minor"], payload["currency"]))
    return amounts


def _tombstone(payload: dict[str, Any]) -> list[ReportedAmount]:
    return [(ROLLBACK, 0, payload["currency"] or "")]


def _win_rollback(payload: dict[str, Any]) -> list[ReportedAmount]:
    return [(WIN_ROLLBACK, *_in_provider_currency(payload, payload["amount_minor"]))]


def _award(payload: dict[str, Any]) -> list[ReportedAmount]:
    return [(AWARD, payload["amount_minor"], payload["currency"])]


def _reinstated(payload: dict[str, Any]) -> list[ReportedAmount]:
    return [(REINSTATED, *_in_provider_currency(payload, payload["stake_minor"]))]


def _in_provider_currency(payload: dict[str, Any], own_minor: int) -> tuple[int, str]:
    """The amount, and the currency in which the provider has it."""
    conversion = payload["conversion"]
    return (conversion["amount_minor"], conversion["currency"]) if conversion else (own_minor, payload["currency"])


REPORTED_AMOUNTS: dict[str, Callable[[dict[str, Any]], list[ReportedAmount]]] = {
    "bet.authorized": _bet,
    "bet.settled": _win,
    "bet.rolled_back": _rollback,
    "bet.tombstoned": _tombstone,
    "wallet.debit.reversal": _win_rollback,
    "wallet.credit.award": _award,
    "bet.reinstated": _reinstated,
}
"""What a provider has of each event."""
