"""The ledger against a provider's own report: forms of reports, and what a difference is called."""

import asyncio
import csv
import json
import random
import resource
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from typer.testing import CliRunner

from audit.findings import CannotCheckError
from audit.reconcile import mapping as forms
from audit.reconcile.comparison import HERE, KEPT, THERE, Comparison, Item, Reconciliation
from audit.reconcile.page import as_html
from audit.reconcile.provider import reconcile
from audit.reconcile.report import Line, ReportFile
from cli.main import app
from ledger.core.money import Amount
from ledger.core.policy import KNOWN, REVERSE, Policy
from ledger.journal.writer import Journal
from ledger.outcome import Callback
from runtime.settings import Settings
from tests.support.commands import Asks
from tests.support.seeds import seeded_random
from tests.support.wrong_hand import disarm

SPIN = "acme/eu/spin"
MAPPING = """
provider = "Spin"
[columns]
id = "transaction"
type = "kind"
amount = "amount"
currency = "currency"
time = "booked"
round = "round"
bet = "bet"
[types]
DEBIT = "bet"
CREDIT = "win"
CANCEL = "rollback"
PROMO = "award"
"""


@pytest.fixture(scope="module")
def played(ledger_database_of_module, tmp_path_factory):
    """A ledger with bets, wins, rollbacks and an award, and the report of a provider who saw the same."""
    settings = Settings(database_url=ledger_database_of_module)
    with psycopg.connect(ledger_database_of_module) as connection:
        disarm(connection)  # a fixture needs no act
        connection.execute(
            "insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, policy) values (%s, 'acme', 'eu', 'spin', 'canonical', '{}')",
            [SPIN],
        )
    rows = asyncio.run(_play(settings))
    assert rows
    return settings, rows


async def _play(settings: Settings) -> list[dict[str, str]]:
    asks, operator, policy = Asks("acme", SPIN), Asks("acme", None), Policy(rollback_of_win=REVERSE, session=KNOWN)
    rows: list[dict[str, str]] = []
    async with Journal(settings) as journal:

        async def do(command, kind="", amount="", **more):
            (outcome,) = await journal.submit(Callback((command,), policy))
            if kind:
                assert outcome.refusal_code is None, outcome
                now = datetime.now(UTC).isoformat()
                key = command.bet_id if kind == "DEBIT" else command.origin.idempotency_key
                rows.append(
                    {"transaction": key, "kind": kind, "amount": amount, "currency": "EUR", "booked": now, **more}
                )

        await do(operator.open_wallet("ann"))
        await do(operator.deposit("1000", "ann"))
        for number in range(12):
            bet, round_ = f"b{number}", f"r{number // 2}"
            named = {"round": round_, "bet": bet}
            await do(asks.debit("2.50", bet, round_), "DEBIT", "2.50", **named)
            if number % 4 == 3:
                await do(asks.rollback(bet, round_, key=f"c{number}"), "CANCEL", "2.5", **named)
            else:
                await do(asks.settle("7", bet, round_, key=f"w{number}"), "CREDIT", "7.00", **named)
        await do(asks.debit("9", "refused", "r9", player="nobody"))
        await do(asks.award("6", "a1", key="p1"), "PROMO", "6.00", round="", bet="")
    return rows


def written(folder: Path, rows, *, text=MAPPING, suffix="csv") -> tuple[Path, Path]:
    report, mapping = folder / f"report.{suffix}", folder / "mapping.toml"
    mapping.write_text(text)
    with report.open("w", newline="") as file:
        if suffix == "csv":
            writer = csv.DictWriter(file, rows[0].keys())
            writer.writeheader()
            writer.writerows(rows)
        elif suffix == "jsonl":
            file.writelines(json.dumps(row) + "\n" for row in rows)
        else:
            json.dump(rows, file)
    return report, mapping


def counts(result: Reconciliation) -> dict[str, int]:
    names = "matched", "missing_here", "missing_there", "different", "duplicate"
    return {name: n for name in names if (n := sum(getattr(total, name) for total in result.totals.values()))}


@pytest.mark.parametrize("suffix", ["csv", "json", "jsonl"])
def test_a_report_of_the_same_transactions_agrees(played, tmp_path, suffix):
    """Every form of file matches to the cent, each kind with its total; what was refused is in neither book."""
    settings, rows = played
    result = reconcile(settings, *written(tmp_path, rows, suffix=suffix), SPIN)
    assert result.ok, result.differences
    assert counts(result) == {"matched": len(rows)}
    assert {key: total.here_minor for key, total in result.totals.items()} == {
        ("bet", "EUR"): 12 * 250,
        ("win", "EUR"): 9 * 700,
        ("rollback", "EUR"): 3 * 250,
        ("award", "EUR"): 600,
    }


def test_every_difference_is_named(played, tmp_path):
    """A line too few, too many, with another amount or currency, twice, or unreadable: each is named and counted once."""
    settings, rows = played
    rows = [dict(row) for row in rows]
    gone = rows.pop(0)
    rows[2]["amount"] = "2.51"
    rows[4]["currency"] = "USD"
    rows.append(rows[6] | {"booked": rows[7]["booked"]})
    rows.append(rows[6] | {"transaction": "<b>only-there"})
    rows.append(rows[6] | {"amount": "1e3"})
    rows.append(rows[6] | {"kind": "JUBILEE"})
    rows.append(rows[6] | {"transaction": "fine", "amount": "1.005"})
    result = reconcile(settings, *written(tmp_path, rows), SPIN, since=datetime(2020, 1, 1, tzinfo=UTC))
    found = {(one.outcome, one.key) for one in result.differences}
    assert {
        ("missing_there", gone["transaction"]),
        ("different", rows[2]["transaction"]),
        ("different", rows[4]["transaction"]),
        ("duplicate", rows[6]["transaction"]),
        ("missing_here", "<b>only-there"),
    } <= found
    assert (result.unreadable, len(result.differences)) == (3, 8)
    assert counts(result)["matched"] == 10 + 12
    page = as_html([result])
    assert "&lt;b&gt;only-there" in page
    assert "<b>" not in page
    assert "http" not in page.replace("http-equiv", ""), "it loads nothing"


def test_reports_by_round_and_with_columns_of_amounts(played, tmp_path):
    """One line per round, with a column of stakes and one of wins, in the provider's own integers and signs."""
    settings, rows = played
    sums: dict[str, dict[str, int]] = {}
    for row in rows:
        if row["round"] and row["kind"] != "CANCEL":
            line = sums.setdefault(row["round"], {"staked": 0, "won": 0})
            line["staked" if row["kind"] == "DEBIT" else "won"] += int(float(row["amount"]) * 100_000)
    lines = [
        {"round": name, "at": "1700000000", "staked": str(-line["staked"]), "won": str(line["won"])}
        for name, line in sums.items()
    ]
    text = """
match = "round"
currency = "EUR"
ignore = ["rollback", "award"]
[columns]
id = "round"
[each]
staked = "bet"
won = "win"
[amounts]
form = "minor"
decimals = 5
sign = "player"
"""
    result = reconcile(settings, *written(tmp_path, lines, text=text), SPIN)
    assert result.ok, result.differences
    assert {key: (total.matched, total.here_minor) for key, total in result.totals.items()} == {
        ("bet", "EUR"): (6, 3000),
        ("win", "EUR"): (6, 6300),
    }


def test_the_window_bounds_both_books(played, tmp_path):
    """Outside of the time asked for nothing is compared, and nothing that only one book has there is missing."""
    settings, rows = played
    day = datetime(2020, 1, 1, tzinfo=UTC)
    result = reconcile(settings, *written(tmp_path, rows), SPIN, since=day, until=day.replace(year=2021))
    assert result.ok
    assert counts(result) == {}
    assert any(f"{len(rows)} lines lie outside" in note for note in result.notes)


def test_the_command_says_it_in_all_forms(played, tmp_path):
    """Table, JSON and page; exit codes 0 for agreement, 1 for differences, 2 for what cannot be read."""
    settings, rows = played
    report, mapping = written(tmp_path, rows)
    page = tmp_path / "page.html"

    def run(*more: str) -> tuple[int, str]:
        environment = {"WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(), "COLUMNS": "200"}
        base = ["audit", "reconcile", "--provider-report", str(report), "--mapping", str(mapping)]
        done = CliRunner().invoke(app, [*base, *more], env=environment)
        return done.exit_code, done.output

    code, said = run("--integration", SPIN, "--html", str(page))
    assert (code, "no difference" in said) == (0, True), said
    assert "Reconciliation" in page.read_text()
    report.write_text(report.read_text().replace("7.00", "7.01", 1))
    code, said = run("--integration", SPIN, "--json")
    told = json.loads(said)
    assert (code, told["ok"], told["comparisons"][0]["differences"][0]["outcome"]) == (1, False, "different")
    code, said = run("--integration", "acme/eu/none")
    assert (code, "acme/eu/none" in said) == (2, True)


# Without a ledger


def lines(folder: Path, text: str, rows, suffix="csv"):
    report, mapping = written(folder, rows, text=text, suffix=suffix)
    return list(ReportFile(report, forms.load(mapping)).lines())


def test_how_amounts_and_times_may_be_written(tmp_path):
    """Marks of decimals and groups, signs, times with a zone of their own: read as integers, never as floats."""
    text = (
        MAPPING
        + """
[amounts]
decimal_mark = ","
thousands = "."
sign = "player"
[times]
form = "%d.%m.%Y %H:%M"
zone = "Europe/Berlin"
[skip]
currency = ["QQQ"]
"""
    )
    row = {
        "transaction": "t",
        "kind": "DEBIT",
        "amount": "-1.234.567,89",
        "currency": "EUR",
        "booked": "01.07.2026 12:00",
    }
    row |= {"round": "r", "bet": "b"}
    rows = [row, row | {"amount": "5"}, row | {"currency": "QQQ"}, row | {"booked": "tomorrow"}]
    first, positive, late = lines(tmp_path, text, rows)
    assert isinstance(first, Line)
    assert (first.amount, first.negative, first.in_minor_units) == (Amount(123456789, 2), False, False)
    assert first.at_us == 1_782_900_000_000_000
    assert positive.negative, "a bet takes from the player: its sign is wrong"
    assert late == ("line 5", "time 'tomorrow' is not written as the mapping says (%d.%m.%Y %H:%M)")


def test_a_report_of_another_format_says_which_was_tried(tmp_path):
    """A CSV file that the mapping calls JSON Lines is told so, and how to say otherwise."""
    (tmp_path / "report.csv").write_text("transaction,kind\n1,DEBIT\n")
    mapping = forms.load(Path(__file__).parents[3] / "docs" / "how-to" / "mappings" / "st8.toml")
    with pytest.raises(CannotCheckError, match=r"read as jsonl, as the mapping says.*format = "):
        list(ReportFile(tmp_path / "report.csv", mapping).lines())


def test_json_numbers_keep_their_digits(tmp_path):
    """A number of a JSON report is its digits; a list inside an object is found, in nested fields too."""
    mapping = MAPPING.replace('provider = "Spin"', 'rows = "data.list"').replace('"amount"', '"money.value"')
    report = tmp_path / "report.json"
    report.write_text(
        '{"data": {"list": [{"transaction": 7, "kind": "DEBIT", "money": {"value": 0.100000000000000005}, "currency": "BTC", "booked": "2026-01-01T00:00:00Z"}]}}'
    )
    (tmp_path / "m.toml").write_text(mapping)
    (line,) = ReportFile(report, forms.load(tmp_path / "m.toml")).lines()
    assert isinstance(line, Line)
    assert (line.entry, line.amount) == ("7", Amount(100000000000000005, 18))


@pytest.mark.parametrize(
    ("name", "suffix", "row", "wanted"),
    [
        (
            "hub88",
            "csv",
            {"transaction_uuid": "t", "kind": "bet", "amount": "356000", "currency": "EUR", "created_at": "2026-01-01T00:00:00Z", "round": "r", "status": "RS_OK"},
            [("bet", "t", Amount(356000, 5))],
        ),
        (
            "st8",
            "jsonl",
            {"transaction_id": "t", "type": "credit", "amount": "2.50", "currency": "EUR", "inserted_at": "2026-01-01T00:00:00", "round": "r"},
            [("win", "t", Amount(25, 1))],
        ),
        (
            "rounds",
            "csv",
            {"round_id": "r", "finished": "01.02.2026 03:04:05", "stake": "-1.000,50", "payout": "0,00"},
            [("bet", "r", Amount(10005, 1))],
        ),
    ],
)  # fmt: skip
def test_the_mappings_of_the_documentation_read_their_reports(tmp_path, name, suffix, row, wanted):
    """Each example is a whole mapping, and reads a line of the form that it is for."""
    report = tmp_path / f"report.{suffix}"
    mapping = forms.load(Path(__file__).parents[3] / "docs" / "how-to" / "mappings" / f"{name}.toml")
    with report.open("w", newline="") as file:
        if suffix == "jsonl":
            file.write(json.dumps(row))
        else:
            writer = csv.DictWriter(file, row.keys(), delimiter=mapping.delimiter)
            writer.writeheader()
            writer.writerow(row)
    read = list(ReportFile(report, mapping).lines())
    assert [(one.kind, one.key, one.amount) for one in read] == wanted
    assert not any(one.negative for one in read)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("columns = 1", "columns"),
        (MAPPING.replace('"kind"', '"nothing"'), "no column nothing"),
        (MAPPING + '[times]\nzone = "Mars"', "Mars"),
        (MAPPING.replace("[types]", "[types]\nX = 'gift'"), "types.X"),
        (MAPPING.replace('currency = "currency"', ""), "currency"),
    ],
)
def test_a_mapping_that_cannot_be_is_refused(tmp_path, text, reason):
    """With the place that is wrong: nothing is compared by guesses."""
    row = {
        "transaction": "t",
        "kind": "DEBIT",
        "amount": "1",
        "currency": "EUR",
        "booked": "2026-01-01",
        "round": "",
        "bet": "",
    }
    with pytest.raises(CannotCheckError, match=reason):
        lines(tmp_path, text, [row])


def test_books_of_any_order_and_size_are_matched():
    """Random books with known differences, put in random order, give exactly those; the memory for them stays flat."""
    rng = seeded_random()
    amounts = {f"k{n}": rng.randrange(1, 10**15) for n in range(20_000)}
    only_here, only_there, changed = (set(rng.sample(sorted(amounts), 500)) for _ in range(3))
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with Comparison() as books:
        keys = sorted(amounts)
        for side, lacks in ((HERE, only_there), (THERE, only_here)):
            rng.shuffle(keys)
            for key in keys:
                if key not in lacks or key in only_here & only_there:
                    more = 1 if side == THERE and key in changed else 0
                    books.put(side, Item("bet", key, "EUR", amounts[key] + more))
        books.compare(result := Reconciliation("one", "other"))
    both = only_here & only_there
    total = result.totals["bet", "EUR"]
    assert total.missing_there == len(only_here - both)
    assert total.missing_here == len(only_there - both)
    assert total.different == len(changed - (only_here ^ only_there))
    assert total.difference_minor == total.here_minor - total.there_minor
    assert len(result.differences) == KEPT
    assert result.hidden == total.missing_there + total.missing_here + total.different - KEPT
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000, "kilobytes"


def test_a_shuffled_report_agrees_too(played, tmp_path):
    """The order of a report says nothing."""
    settings, rows = played
    rng = random.Random(seeded_random().random())
    assert reconcile(settings, *written(tmp_path, rng.sample(rows, len(rows))), SPIN).ok
