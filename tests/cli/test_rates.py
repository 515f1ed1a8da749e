"""Exchange rates: exact, with source and time, only ever added."""

from fractions import Fraction
from pathlib import Path

import pytest

from ledger.admin.rates import MAX_TERM, RateError, decimal, parse_rate
from tests.cli.commands import COULD_NOT, FINDING, WALLET, Commands

BRAND = "--brand", "brand-1"


@pytest.fixture(scope="module")
def cli(ledger_database_of_module: str) -> Commands:
    return Commands.on(ledger_database_of_module)


@pytest.mark.parametrize(
    ("text", "rate"),
    [("1.0842", Fraction(5421, 5000)), ("2", Fraction(2)), ("0.000000000000000001", Fraction(1, MAX_TERM)),
     ("100.50", Fraction(201, 2)), ("0.1", Fraction(1, 10))],
)  # fmt: skip
def test_a_rate_is_exactly_its_decimal(text: str, rate: Fraction) -> None:
    assert parse_rate(text) == rate


@pytest.mark.parametrize(
    "text",
    ["", "0", "0.0", "-1", "+1", "1e3", "1,5", ".5", "1.", "01", " 1", "nan", "1/3", "٣", "1" * 19, "1" * 18 + ".1"],
)
def test_what_is_no_plain_decimal_is_refused(text: str) -> None:
    with pytest.raises(RateError):
        parse_rate(text)


def test_the_newest_counts_and_none_is_lost(cli: Commands) -> None:
    """`list` shows what bets lock now; with --all the older ones too."""
    for rate, as_of in (
        ("0.90", "2026-01-01T00:00:00Z"),
        ("0.92", "2026-01-03T00:00:00+00:00"),
        ("0.91", "2026-01-02"),
    ):
        cli("rates", "set", "USD", "EUR", rate, *BRAND, "--base-exponent", "2", "--source", "ECB", "--as-of", as_of)
    (newest,) = cli.json("rates", "list", *BRAND)
    assert (newest["rate"], newest["numerator"], newest["denominator"]) == ("0.92", 23, 25)
    assert (newest["source"], newest["as_of"]) == ("ECB", "2026-01-03T00:00:00+00:00")
    assert [rate["rate"] for rate in cli.json("rates", "list", *BRAND, "--all")] == ["0.92", "0.91", "0.9"]
    assert "ECB" in cli("rates", "list", *BRAND)
    assert cli.json("rates", "list", "--brand", "brand-2") == []


def test_a_rate_of_now_needs_no_time(cli: Commands) -> None:
    (added,) = cli.json("rates", "set", "JPY", "EUR", "0.0061", *BRAND, "--source", "desk")
    assert (added["rate"], added["base_exponent"]) == ("0.0061", 0)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("usd", "EUR", "1"), "base 'usd'"),
        (("EUR", "EUR", "1"), "both EUR"),
        (("USD", "EUR", "1e2"), "plain decimal"),
        (("USD", "EUR", "1", "--base-exponent", "12"), "base_exponent '12'"),
        (("ETH", "EUR", "1"), "how many decimals ETH has"),
        (("USD", "EUR", "1", "--as-of", "yesterday"), "as_of 'yesterday'"),
        (("USD", "EUR", "1", "--as-of", "2999-01-01"), "lies ahead"),
    ],
)
def test_a_bad_rate_is_told(cli: Commands, arguments: tuple[str, ...], said: str) -> None:
    assert said in cli("rates", "set", *arguments, *BRAND, "--source", "ECB", code=COULD_NOT)


def test_a_file_is_taken_in_whole(cli: Commands, tmp_path: Path) -> None:
    """Or not at all, and the line is named."""
    path = tmp_path / "rates.csv"
    head = "base,quote,rate,base_exponent,source,as_of\n"
    path.write_text(head + "BTC,EUR,95000.123,8,desk,2026-02-01T00:00:00Z\nGBP,EUR,1.17,2,desk,2026-02-01T00:00:00Z\n")
    assert cli.json("rates", "import", str(path), *BRAND) == {"imported": 2}
    assert {"BTC": "95000.123", "GBP": "1.17"}.items() <= {
        r["base"]: r["rate"] for r in cli.json("rates", "list", *BRAND)
    }.items()
    path.write_text(head + "SEK,EUR,0.09,2,desk,\nNOK,EUR,zero,2,desk,\n")
    assert "rates.csv line 3: rate 'zero'" in cli("rates", "import", str(path), *BRAND, code=COULD_NOT)
    assert "SEK" not in {rate["base"] for rate in cli.json("rates", "list", *BRAND)}
    path = tmp_path / "rates.json"
    path.write_text('[{"base": "CHF", "quote": "EUR", "rate": 1.0612345678901234, "source": "desk"}]')
    cli("rates", "import", str(path), *BRAND)
    assert {rate["rate"] for rate in cli.json("rates", "list", *BRAND) if rate["base"] == "CHF"} == {
        "1.0612345678901234"
    }


def test_one_moment_has_one_rate(cli: Commands) -> None:
    """A rate is never changed: another one for the same moment is refused."""
    rate = "rates", "set", "PLN", "EUR", "0.23", *BRAND, "--source", "desk", "--as-of", "2026-01-01"
    cli(*rate)
    assert "PLN" in cli(*rate, code=FINDING)


def test_decimals_are_those_of_the_wallets(cli: Commands) -> None:
    """A currency has one unit in a brand's books."""
    cli("wallet", "open", "p_1", "AUD", *WALLET, "--exponent", "4")
    said = cli("rates", "set", "AUD", "EUR", "0.6", *BRAND, "--source", "desk", code=FINDING)
    assert "AUD" in said
    cli("rates", "set", "AUD", "EUR", "0.6", *BRAND, "--source", "desk", "--base-exponent", "4")


def test_a_rate_is_printed_as_it_was_given() -> None:
    from ledger.core.state import Rate

    for text in ("1.0842", "95000.123", "2", "0.000000000000000001", "100"):
        rate = parse_rate(text)
        assert decimal(Rate("b", "USD", "EUR", rate.numerator, rate.denominator, 2, "desk", 0)) == text
