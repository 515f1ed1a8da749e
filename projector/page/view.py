"""The page: what of the figures stands where, and what is an alarm."""

from collections import defaultdict
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from itertools import pairwise
from typing import Any

from projector.page import charts, document
from projector.page.figures import Choice, Figures, Rows
from projector.page.labels import NONE, count, counted, lasting, moment, money, percent
from projector.page.watch import Seen
from runtime.html import Markup

PERIODS = (7, 14, 31, 92)
SILENT_AFTER = timedelta(seconds=30)
"""The projector notes every few seconds how far it is: after that it does not run, or cannot reach Kafka."""
BEHIND_AFTER = timedelta(seconds=10)
LAGS = "within 1 s", "1 s to 5 s", "5 s to 1 min", "1 min to 1 h", "longer"
CHARTS = 4
"""Currencies with a chart; the tables have them all."""


def page(figures: Figures, seen: Seen, choice: Choice) -> str:
    kind, title, texts = state_of(figures, seen)
    return document.document(
        document.header(
            document.paragraph(f"{moment(figures.at)} UTC", kind="note"),
            _filter(figures, choice),
        ),
        document.state(kind, title, texts),
        document.tiles(_tiles(figures, seen)),
        Markup("<main>"),
        _revenue(figures, choice),
        document.section(
            "Bets on their way",
            document.side_by_side([_part(figures.settlement_lag, _lags), _part(figures.open_holds, _holds)]),
        ),
        document.section("What the players are owed", _part(figures.liability, lambda rows: _liability(rows, choice))),
        document.section(
            "How far the read models are",
            document.side_by_side(
                [
                    _part(figures.freshness, lambda rows: _partitions(rows, figures.at)),
                    _part(figures.models, _models),
                ]
            ),
            _part(figures.parked, lambda rows: _parked(rows, figures.at)),
        ),
        Markup("</main>"),
        document.footer(
            "Days and times are UTC. Demo play is in no amount. Amounts of different currencies are never added. "
            "Each row is what schema bi says; docs/reference/read-models.md explains every column."
        ),
    )


def _part(rows: Rows | str, show: Callable[[Rows], Markup]) -> Markup:
    return document.card("", document.empty(rows)) if isinstance(rows, str) else show(rows)


def _filter(figures: Figures, choice: Choice) -> Markup:
    known = [] if isinstance(figures.liability, str) else figures.liability
    tenants = sorted({row.tenant_id for row in known} | ({choice.tenant_id} if choice.tenant_id else set()))
    currencies = sorted({row.currency for row in known} | ({choice.currency} if choice.currency else set()))
    periods = sorted({*PERIODS, choice.days})
    return document.form(
        document.select("tenant", "Tenant", [("", "all"), *((t, t) for t in tenants)], choice.tenant_id or ""),
        document.select("currency", "Currency", [("", "all"), *((c, c) for c in currencies)], choice.currency or ""),
        document.select("days", "Period", [(str(n), f"{n} days") for n in periods], str(choice.days)),
        document.date_field("last", "Last day (UTC)", choice.last.isoformat() if choice.last else ""),
    )


def state_of(figures: Figures, seen: Seen) -> tuple[str, str, list[str]]:
    """Kind, title and texts of what the page says first."""
    alarms = _alarms(figures, seen)
    rows = [] if isinstance(figures.freshness, str) else figures.freshness
    alive = max((at for row in rows for at in (row.caught_up_at, row.moved_at) if at), default=None)
    late = [row for row in rows if _waiting(row) and _lag(row, figures.at) > BEHIND_AFTER]
    if alive is None:
        return "warn", "The read models are empty: the projector has folded nothing yet.", alarms
    if figures.at - alive > SILENT_AFTER:
        silence = f"The projector has not reported for {lasting(figures.at - alive)}: it does not run, or cannot work."
        return "bad", f"{silence} Everything below is as of then.", alarms
    if late:
        waiting = sum(map(_waiting, late))
        return "warn", f"The read models are behind: up to {counted(waiting, 'record')} wait.", alarms
    if alarms:
        return "bad", "The read models follow the ledger, but not everything is in order.", alarms
    return "good", "The read models are up to date with the topics.", []


def _alarms(figures: Figures, seen: Seen) -> list[str]:
    alarms = []
    if parked := _parked_streams(figures):
        alarms.append(
            f"{counted(parked, 'stream')} parked: newer events are kept back until those before them have come."
        )
    if seen.dead_letters:
        held = f"{counted(seen.dead_letters, 'dead letter')}: records that could not be read or folded."
        alarms.append(f"{held} `wagerledger project dead-letters list` tells which the models have by now.")
    if not isinstance(figures.models, str):
        alarms += [
            f"Model {row.model} stands still since {moment(row.stopped_at)}: `wagerledger project rebuild {row.model}`."
            for row in figures.models
            if row.stopped_at
        ]
    if seen.head_is_valid is False:
        alarms.append(
            "The last tree head has no valid signature of a trusted key: `wagerledger audit verify --anchors`."
        )
    if seen.kafka and seen.dead_letters is not None:
        alarms.append(f"{seen.kafka} Dead letters and tree head are as last seen.")
    return alarms


def _parked_streams(figures: Figures) -> int | None:
    return None if isinstance(figures.parked, str) else sum(row.streams for row in figures.parked)


def _waiting(row: Any) -> int:
    """At most so many records wait: markers of transactions are no records."""
    return row.waiting_records or 0


def _lag(row: Any, now: datetime) -> timedelta:
    """How long ago nothing was left to read from a partition."""
    since = max((at for at in (row.caught_up_at, row.as_of) if at), default=None)
    return now - since if since else timedelta.max


def _tiles(figures: Figures, seen: Seen) -> list[Markup]:
    rows = [] if isinstance(figures.freshness, str) else figures.freshness
    complete = min((row.complete_until for row in rows if row.complete_until), default=None)
    newest = max((row.as_of for row in rows if row.as_of), default=None)
    waiting = sum(map(_waiting, rows))
    parked = _parked_streams(figures)
    rate = f"{seen.rates[-1]:,.0f} / s" if seen.rates else NONE
    unknown = "" if seen.kafka is None else seen.kafka
    return [
        document.tile(
            "Complete until", f"{complete:%H:%M:%S}" if complete else NONE,
            f"{lasting(figures.at - complete)} ago, {complete:%-d %b %Y}. Newest record: {moment(newest)}"
            if complete else "nothing folded yet",
        ),
        document.tile("Records that wait", count(waiting), f"at most, in {counted(len(rows), 'partition')}"),
        document.tile(
            "Events folded", rate,
            "mean of 5 s, markers included" if seen.rates else "not measured yet, or not for this role",
            charts.line("Events per second in the last 15 minutes", seen.rates),
        ),
        document.tile(
            "Parked streams", count(parked), "shown as of earlier" if parked else "all events fit", alarm=bool(parked)
        ),
        document.tile(
            "Dead letters", count(seen.dead_letters),
            ("in their topic, replayed ones too" if seen.dead_letters else "every record was read")
            if seen.dead_letters is not None else unknown,
            alarm=bool(seen.dead_letters),
        ),
        _anchor(seen, figures.at),
    ]  # fmt: skip


def _anchor(seen: Seen, now: datetime) -> Markup:
    if seen.head is None:
        return document.tile("Last tree head", NONE, seen.kafka or "none signed yet: `wagerledger seal`")
    sealed_at = datetime.fromtimestamp(seen.head.head.sealed_at / 1e6, UTC)
    verdict = {True: "signature valid", False: "NO VALID SIGNATURE", None: "signature not checked: no public key"}
    return document.tile(
        "Last tree head", f"{lasting(now - sealed_at)} ago",
        f"{count(seen.head.tree_size)} entries, {verdict[seen.head_is_valid]}", alarm=seen.head_is_valid is False,
    )  # fmt: skip


def _revenue(figures: Figures, choice: Choice) -> Markup:
    title = f"Revenue, {choice.first_day} to {choice.last_day}"
    by_day, by_provider = figures.revenue_by_day, figures.revenue_by_provider
    if isinstance(by_day, str) or isinstance(by_provider, str):
        text = next(part for part in (by_day, by_provider) if isinstance(part, str))
        return document.section(title, document.card("", document.empty(text)))
    if not by_day:
        return document.section(title, document.card("", document.empty("No bets of real money in these days.")))
    currencies: dict[tuple[str, int], Rows] = defaultdict(list)
    for row in by_day:
        currencies[row.currency, row.exponent].append(row)
    busiest = sorted(currencies, key=lambda key: -sum(row.bets for row in currencies[key]))[:CHARTS]
    cards = [_ggr_chart(*key, currencies[key], choice) for key in busiest]
    return document.section(title, document.side_by_side(cards), _providers(by_provider))


def _ggr_chart(currency: str, exponent: int, rows: Rows, choice: Choice) -> Markup:
    days = [choice.first_day + timedelta(days=n) for n in range(choice.days)]
    found = {row.day: row.ggr_minor for row in rows}
    amounts = [Decimal(found.get(day, 0)).scaleb(-exponent) for day in days]
    total = f"{money(sum(row.ggr_minor for row in rows), exponent)} {currency}"
    name = f"GGR by day in {currency}"
    return document.card(f"{name}: {total}", charts.day_bars(name, days, amounts, currency))


def _providers(rows: Rows) -> Markup:
    greatest: dict[str, int] = defaultdict(int)
    for row in rows:
        greatest[row.currency] = max(greatest[row.currency], abs(row.ggr_minor))
    content = [
        [
            row.provider_id or "(operator)", row.currency, money(row.ggr_minor, row.exponent),
            charts.bar(Decimal(abs(row.ggr_minor)) / (greatest[row.currency] or 1), minus=row.ggr_minor < 0),
            percent(row.ggr_minor, row.stake_minor), money(row.stake_minor, row.exponent),
            money(row.win_minor, row.exponent), money(row.bonus_cost_minor, row.exponent), count(row.bets),
        ]
        for row in rows
    ]  # fmt: skip
    headings = ["Provider", "Currency", "GGR", "", "of stakes", "Stakes", "Wins", "Bonus cost", "Bets"]
    return document.card("By provider", document.rows(headings, content, numbers=(2, 4, 5, 6, 7, 8)))


def _lags(rows: Rows) -> Markup:
    title = "Time from bet to settlement"
    if not rows:
        return document.card(title, document.empty("No bet was settled in these days."))
    content = []
    for row in rows:
        upto = [0, row.upto_1s, row.upto_5s, row.upto_1m, row.upto_1h, row.bets]
        parts = [later - earlier for earlier, later in pairwise(upto)]
        text = ", ".join(f"{name}: {percent(part, row.bets)}" for name, part in zip(LAGS, parts, strict=True))
        content.append(
            [row.provider_id or "(operator)", count(row.bets), lasting(row.mean_lag), lasting(row.longest_lag),
             charts.shares(text, parts)]
        )  # fmt: skip
    headings = ["Provider", "Settled", "Mean", "Longest", "How long they waited"]
    return document.card(title, document.rows(headings, content, numbers=(1, 2, 3)), _lag_key())


def _lag_key() -> Markup:
    square = '<svg viewBox="0 0 10 10" aria-hidden="true"><rect class="share{}" width="10" height="10"/></svg>'
    return Markup(
        f'<ul class="key">{"".join(f"<li>{square.format(n)}{name}</li>" for n, name in enumerate(LAGS))}</ul>'
    )


def _holds(rows: Rows) -> Markup:
    title = "Open bets by age"
    if not rows:
        return document.card(title, document.empty("No bet of real money is open."))
    most = max(row.bets for row in rows)
    content = [
        [row.age, row.currency, count(row.bets), charts.bar(Decimal(row.bets) / most, minus=row.age_order >= 3),
         money(row.held_minor, row.exponent), moment(row.oldest_at)]
        for row in rows
    ]  # fmt: skip
    headings = ["Age", "Currency", "Bets", "", "Held", "Oldest"]
    return document.card(title, document.rows(headings, content, numbers=(2, 4)))


def _liability(rows: Rows, choice: Choice) -> Markup:
    title = f"Player funds at the end of {choice.last_day}" if choice.last else "Player funds now"
    sums: dict[tuple[str, int], list[int]] = defaultdict(lambda: [0] * 5)
    for row in rows:
        if choice.tenant_id in (None, row.tenant_id) and choice.currency in (None, row.currency):
            amounts = row.cash_minor, row.bonus_minor, row.held_minor, row.receivable_minor, row.funds_minor
            key = row.currency, row.exponent
            sums[key] = [int(one + more) for one, more in zip(sums[key], amounts, strict=True)]
    if not sums:
        return document.card(title, document.empty("No wallet has moved by then."))
    content = [
        [currency, *(money(minor, exponent) for minor in amounts)]
        for (currency, exponent), amounts in sorted(sums.items())
    ]
    headings = ["Currency", "Cash", "Bonus", "Held by open bets", "Owed by players", "All funds"]
    return document.card(title, document.rows(headings, content, numbers=range(1, 6)))


def _partitions(rows: Rows, now: datetime) -> Markup:
    title = "By partition"
    if not rows:
        return document.card(title, document.empty("The projector has folded nothing yet."))
    content = [
        [f"{row.topic}/{row.partition}", count(row.next_offset), count(_waiting(row)), moment(row.as_of),
         document.marked(lasting(now - row.complete_until), "fault" if _is_late(row, now) else "ok")
         if row.complete_until else NONE]
        for row in rows
    ]  # fmt: skip
    headings = ["Partition", "Next offset", "Waiting", "Newest record", "Behind by"]
    return document.card(title, document.rows(headings, content, numbers=(1, 2, 4)))


def _is_late(row: Any, now: datetime) -> bool:
    return bool(row.complete_until is None or now - row.complete_until > SILENT_AFTER)


def _models(rows: Rows) -> Markup:
    content = [
        [row.model, row.version, moment(row.since),
         document.marked(f"stands still since {moment(row.stopped_at)}", "fault") if row.stopped_at
         else document.marked("follows", "ok")]
        for row in rows
    ]  # fmt: skip
    headings = ["Model", "Version", "Made or rebuilt", "State"]
    return document.card("By model", document.rows(headings, content, numbers=(1,)))


def _parked(rows: Rows, now: datetime) -> Markup:
    title = "Parked streams"
    if not rows:
        return document.card(title, document.empty("None: every event that came is in the read models."))
    content = [
        [row.tenant_id, row.stream_type, row.reason or NONE, count(row.streams), lasting(now - row.since)]
        for row in rows
    ]
    headings = ["Tenant", "Stream", "Reason", "Streams", "For"]
    return document.card(title, document.rows(headings, content, numbers=(3, 4)))
