from collections import Counter

from tests.projector.direct_fold import Folded, day

ACCOUNTS = "cash", "bonus", "held", "receivable"


def test_a_day_ends_with_what_all_wallets_hold_then(folded: Folded) -> None:
    """The row of a day is the sum of all wallets after its last event."""
    held: Counter[tuple[str, str, str]] = Counter()
    expected = {}
    for record in folded.records:
        tenant_id, currency = record["tenant_id"], record["payload"].get("currency")
        for posting in record["postings"]:
            held[tenant_id, currency, posting["account"]] += posting["amount_minor"]
        if record["postings"]:
            expected[tenant_id, currency, day(record)] = [held[tenant_id, currency, name] for name in ACCOUNTS]
    found = folded.by("liability", "tenant_id", "currency", "day")
    assert {key: [row[f"{name}_minor"] for name in ACCOUNTS] for key, row in found.items()} == expected
    assert all(row["funds_minor"] == sum(expected[key]) for key, row in found.items())


def test_the_last_day_is_the_balances(folded: Folded) -> None:
    """Liability now is what bi.balances adds up to."""
    assert folded.query("""
        select distinct on (tenant_id, currency) tenant_id, currency, cash_minor, bonus_minor, held_minor, receivable_minor
        from bi.liability order by tenant_id, currency, day desc""") == folded.query("""
        select tenant_id, currency, sum(cash_minor), sum(bonus_minor), sum(held_minor), sum(receivable_minor)
        from bi.balances group by 1, 2 order by 1, 2""")  # fmt: skip
