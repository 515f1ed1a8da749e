"""The read models' page of the reference, made from the comments of their views. `python -m projector.reference` prints
it.
"""

import re
from collections.abc import Iterator

from projector import lookups
from projector.bookkeeping import BOOKKEEPING
from projector.projection import Projection
from projector.projections import PROJECTIONS

HEAD = """# Read models

The schema `bi` of the BI database is what reports may rely on; tables in other schemas are private and change. Every
view and column carries its meaning as a comment: `\\d+ bi.*` in psql, or the catalogue of any BI tool.

- **Amounts** come twice: `stake_minor` in minor units of `currency`, `stake` in the currency, with `exponent` decimals.
  Add up the minor ones, and never across currencies.
- **Demo** play moves no money and is in no sum of revenue, liability, settlement, lag or active players. In bets,
  rounds, sessions and wins it is shown: filter `mode = 'real'` where you sum money.
- **Times** are timestamptz; days, hours and months are those of UTC.
- **Freshness**: `as_of` is when the ledger recorded the last event that changed the row, and `as_of_version` its place
  in the player's history, where a row belongs to one. `bi.freshness` tells how far the models have come as a whole.
  They follow the ledger within moments, never ahead of it; each transaction of the projector shows whole events.
- **A day in revenue** is the day that an amount belongs to, and a correction changes a past day:
  `bi.revenue_corrections` tells by which event. **A day in provider settlement** is the day of recording and never
  changes once it is over. [Which of them answers what](#revenue-and-settlement).

## Revenue and settlement

`bi.revenue_by_day` answers "what did the games of that day bring", as we know it now. A stake counts on the day of its
bet, a win on the day of its settlement. A rollback takes the stake out of the day of the bet and the wins out of their
own days; a reinstated bet puts its stake back there; a win that is taken back leaves the day on which it was paid, also
where the bet is open again, and what settles it then counts on its own day. What came late to the projector counts on
the day that the ledger recorded it, because only that time is ever asked.

A report that was sent on a day differs from the rows of today by the corrections that were booked since:

```sql
select r.tenant_id, r.region, r.currency, r.day, sum(r.ggr) as ggr, (
    select coalesce(sum(c.ggr), 0) from bi.revenue_corrections c
    where (c.tenant_id, c.region, c.currency, c.day) = (r.tenant_id, r.region, r.currency, r.day)
        and c.earlier_day
) as corrected_since
from bi.revenue_by_day r
group by r.tenant_id, r.region, r.currency, r.day;
```

`ggr` of all time is what the account `house` (with `fx`, the exchange) has, and what open bets hold; bonus cost,
jackpots and adjustments stand apart. `bi.provider_settlement` answers "what did the provider and we agree on that day":
in its currency, on the day of recording.

## Balances of another moment

`bi.player_statements` has a row for each event that moved a wallet, with the balances before and after; it keeps the
month of the newest event and the 14 before it, in a partition each. The events' own time is the clock, so that a
rebuild gives the same rows, and the first event of a month empties the oldest partition: readers of that partition wait
a moment, and no job has to run. What every wallet held at a moment:

```sql
select * from bi.balances_at('2025-06-30 23:59:59.999999+00');
```

It gives minor units; it reads the current balances and all statement rows since then of the brands that you see. Those
of one player are `bi.balances_at(moment, player_id)`, which reads no others.
`bi.liability` has the sums of each day's end without reading wallets.

## Look-ups

A view reads all rows that you may see and compares each with what you ask. A look-up is a function that gives the same
rows by an index, at once, however many there are: of a player, with an id, or between two times, the second one left
out (`'-infinity'` and `'infinity'` leave it open). Each view names those that it has. Conditions on a function's rows
are compared with these rows alone, so put what finds most into the function.
[Examples](../how-to/bi-access.md#look-up-a-player-an-id-or-a-day).

Made from the views by `python -m projector.reference`.
"""

COMMENT = re.compile(
    r"^comment on (view|column|function) (bi\.\w+)(?:\.(\w+)|\([\w, ]+\))? is\s+((?:'(?:[^']|'')*'\s*)+);", re.MULTILINE
)


def reference_page() -> str:
    """The text of docs/reference/read-models.md: every view with its columns."""
    lines = [HEAD]
    for projection in sorted((BOOKKEEPING, *PROJECTIONS), key=lambda one: one.name):
        lines += [f"## Model `{projection.name}`, version {projection.version}", "", *_views(projection)]
    return "\n".join(lines)


def _views(projection: Projection) -> Iterator[str]:
    table = False
    for kind, name, column, quoted in COMMENT.findall(projection.views):
        text = (
            "".join(re.findall(r"'((?:[^']|'')*)'", quoted)).replace("''", "'").replace("|", "\\|").replace("<", "\\<")
        )
        if kind == "column":
            if not table:
                yield from ("| column | meaning |", "|---|---|")
            yield f"| `{column}` | {text} |"
            table = True
            continue
        if table:
            yield ""
        yield from (f"### `{name}`", "", text, "")
        if calls := [_call(*one) for one in projection.look_ups if kind == "view" and name == f"bi.{one[0]}"]:
            yield from (f"Looked up by {', '.join(calls)}.", "")
        table = False
    if table:
        yield ""


def _call(view: str, first: str, column: str) -> str:
    of_time = column.endswith("_at")
    function = lookups.name(view, column, of_time=of_time)
    if of_time:
        return f"`bi.{function}(since, until)` (its `{lookups.SHOWN_AS.get(column, column)}`)"
    return f"`bi.{function}({'integration_id, ' if first == 'integration_id' else ''}{column})`"


if __name__ == "__main__":
    print(reference_page(), end="")
