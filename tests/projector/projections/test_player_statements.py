import random
from collections import defaultdict

from tests.projector.direct_fold import Folded, fold
from tests.support.random_ledger import Ledger, decoded
from tests.support.reference import moment

ACCOUNTS = "cash", "bonus", "held", "receivable"
MONTH_US = 31 * 86_400 * 10**6


def balances_after(folded: Folded) -> dict[tuple[str, str, str], list[tuple[int, int, list[int]]]]:
    """Per wallet: version, time and balances after each event that moved or opened it."""
    wallets: dict[tuple[str, str, str], list[tuple[int, int, list[int]]]] = defaultdict(list)
    for record in folded.records:
        if record["event_type"] != "wallet.opened" and not record["postings"]:
            continue
        events = wallets[record["tenant_id"], record["player_id"], record["payload"]["currency"]]
        after = list(events[-1][2]) if events else [0, 0, 0, 0]
        for posting in record["postings"]:
            if posting["account"] in ACCOUNTS:
                after[ACCOUNTS.index(posting["account"])] += posting["amount_minor"]
        events.append((record["stream_version"], record["occurred_at"], after))
    return wallets


def test_a_statement_runs_without_a_gap(folded: Folded) -> None:
    """A row per event that moved the wallet, with the right balances after it; each begins where the one before ended."""
    statements = defaultdict(list)
    for row in folded.rows("player_statements"):
        statements[row["tenant_id"], row["player_id"], row["currency"]].append(row)
    for wallet, expected in balances_after(folded).items():
        rows = sorted(statements.pop(wallet, []), key=lambda row: row["as_of_version"])
        moved = [
            (version, moment(at), after)
            for (version, at, after), (_, _, before) in zip(expected[1:], expected, strict=False)
            if after != before or any(row["as_of_version"] == version for row in rows)
        ]
        found = [(row["as_of_version"], row["as_of"], [row[f"{name}_minor"] for name in ACCOUNTS]) for row in rows]
        assert found == moved
        for row, before in zip(rows[1:], rows, strict=False):
            assert row["opening_minor"] == before["closing_minor"]
        for row in rows:
            change = row["cash_change_minor"] + row["bonus_change_minor"]
            assert row["closing_minor"] == row["opening_minor"] + change == row["cash_minor"] + row["bonus_minor"]
    assert statements == {}


def test_balances_at_any_moment(folded: Folded) -> None:
    """`bi.balances_at` tells what each wallet that was open held, just before and at an event."""
    wallets = balances_after(folded)
    rng = random.Random(1)
    for at in rng.sample([at for events in wallets.values() for _, at, _ in events], 12):
        for asked in (at - 1, at):
            expected = {
                wallet: [after for _, then, after in events if then <= asked][-1]
                for wallet, events in wallets.items()
                if events[0][1] <= asked
            }
            found = folded.query(
                "select tenant_id, player_id, currency, cash_minor, bonus_minor, held_minor, receivable_minor "
                "from bi.balances_at(%s)", moment(asked),
            )  # fmt: skip
            assert {tuple(row[:3]): list(row[3:]) for row in found} == expected


def test_fourteen_months_are_kept_whatever_the_order(bi_database: str) -> None:
    """The newest event's month and the 14 before it stay, the others go, in whatever order players' events come."""
    ledger = Ledger()
    players = [f"p{number}" for number in range(3)]
    for player in players:
        ledger.open_player(player)
    for _ in range(20):
        ledger.now += MONTH_US
        for player in players:
            ledger.bet(ledger.start_session(player), f"bet-{ledger.now}-{player}")
    with fold(bi_database, decoded(ledger.recorded), random.Random(2)) as models:
        months = models.query("select distinct date_trunc('month', as_of, 'UTC') from bi.player_statements order by 1")
        assert months == models.query("select month from bi.statement_months order by 1")
        assert len(months) == 15
        assert months[-1] == models.query("select date_trunc('month', max(as_of), 'UTC') from bi.balances")[0]
        assert models.query("select count(*) from bi.player_statements") == [(45,)]
        oldest = months[0][0]
        assert len(models.query("select * from bi.balances_at(%s)", oldest)) == len(players)
        assert models.query("select * from bi.balances_at(%s - interval '1 second')", oldest) == []
