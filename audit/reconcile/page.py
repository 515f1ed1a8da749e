"""Comparisons as tables: for a terminal and for a browser."""

from collections.abc import Iterable

from audit.reconcile.comparison import MEANINGS, ItemDifference, Reconciliation
from runtime import html

TOTALS = (
    *("kind", "currency", "matched", "missing here", "missing there", "different", "duplicates"),
    *("here", "there", "difference"),
)
"""Headings of `total_rows`: counts, then amounts. `there` is without duplicates."""
DIFFERENCES = "outcome", "kind", "key", "currency", "here", "there", "where"


def total_rows(result: Reconciliation) -> list[list[str]]:
    return [
        [
            *(kind, currency, str(total.matched), str(total.missing_here), str(total.missing_there)),
            *(str(total.different), str(total.duplicate)),
            *(result.amount(n, currency) for n in (total.here_minor, total.there_minor, total.difference_minor)),
        ]
        for (kind, currency), total in sorted(result.totals.items())
    ]


def difference_rows(result: Reconciliation) -> list[list[str]]:
    return [_difference(result, one) for one in result.differences]


def _difference(result: Reconciliation, one: ItemDifference) -> list[str]:
    amounts = [result.amount(minor, one.currency) for minor in (one.here_minor, one.there_minor)]
    return [one.outcome.replace("_", " "), one.kind, one.key, one.currency, *amounts, one.text]


def verdict_text(result: Reconciliation) -> str:
    """The verdict as a sentence."""
    matched = sum(total.matched for total in result.totals.values())
    if result.ok:
        return f"{matched} matched, no difference."
    return f"{matched} matched, {len(result.differences) + result.hidden} differences."


def as_html(results: Iterable[Reconciliation]) -> str:
    """One page for one or more comparisons."""
    parts: list[str] = []
    for result in results:
        parts += [html.heading(f"{result.here} ↔ {result.there}"), html.verdict(verdict_text(result), ok=result.ok)]
        parts += [html.notes(result.notes), html.table(TOTALS, total_rows(result), numbers=range(2, 10))]
        if result.differences:
            parts.append(html.table(DIFFERENCES, difference_rows(result), numbers=(4, 5)))
        if result.hidden:
            parts.append(f"… and {result.hidden} more")
    outcomes = [(name.replace("_", " "), meaning) for name, meaning in MEANINGS.items()]
    parts += [html.heading("What the words mean"), html.table(("outcome", "meaning"), outcomes)]
    return html.page("Reconciliation", *parts)
