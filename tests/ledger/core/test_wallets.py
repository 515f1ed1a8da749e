"""Wallets, and the money that moves outside of play."""

from dataclasses import replace

import pytest

from ledger.core.money import MAX_AMOUNT_MINOR, MAX_BALANCE_MINOR, MAX_EXPONENT
from ledger.core.policy import REFUSE
from ledger.core.state import LOCKED, Currency
from ledger.core.wallets import AdjustedDown, AdjustedUp, Deposited, WalletOpened, Withdrawn
from tests.ledger.core.scene import ask, operator, session, stranger, wallet
from tests.support.story import given


def test_a_first_wallet_fixes_the_exponent():
    """The first wallet of a tenant's currency opens with the exponent asked for and fixes it."""
    story = given().when(ask.open_wallet(exponent=4)).then(WalletOpened, currency="EUR", exponent=4)
    story.and_wallet().when(ask.open_wallet("bob", exponent=2)).then_refused("EXPONENT_FIXED", exponent=4, asked=2)
    story.when(ask.open_wallet("bob", exponent=4)).then(WalletOpened)


def test_another_tenant_has_exponents_of_its_own():
    """Currencies belong to a tenant."""
    given(Currency("acme", "EUR", 4)).when(stranger.open_wallet(exponent=2)).then(WalletOpened, exponent=2)


def test_a_wallet_opens_once():
    """The same player and currency again is refused, another currency is not."""
    story = (
        given(ask.open_wallet()).when(ask.open_wallet()).then_refused("WALLET_EXISTS", player_id="ann", currency="EUR")
    )
    story.when(ask.open_wallet(currency="JPY", exponent=0)).then(WalletOpened, exponent=0)


@pytest.mark.parametrize("exponent", [-1, MAX_EXPONENT + 1])
def test_an_exponent_out_of_range_is_refused(exponent):
    """A currency has 0 to 9 decimals."""
    given().when(ask.open_wallet(exponent=exponent)).then_refused(
        "EXPONENT_INVALID", exponent=exponent, maximum=MAX_EXPONENT
    )


def test_a_deposit_moves_money_from_the_cashier_to_cash():
    """What comes in is owed to the player."""
    story = given(wallet(0)).when(ask.deposit("12.34"))
    story.then(Deposited, ("cashier", -1234), ("cash", 1234), amount_minor=1234).and_wallet(cash=1234)


def test_a_withdrawal_moves_cash_to_the_cashier():
    """Down to the last cent, and no further."""
    story = given(wallet(1000)).when(ask.withdraw("10"))
    story.then(Withdrawn, ("cash", -1000), ("cashier", 1000), amount_minor=1000).and_wallet()


def test_only_cash_is_withdrawn():
    """Bonus and held money stay."""
    story = given(wallet(99, bonus=500, held=500)).when(ask.withdraw("1"))
    story.then_refused("INSUFFICIENT_FUNDS", asked="1.00", available="0.99", currency="EUR")


@pytest.mark.parametrize("command", [ask.deposit(), ask.withdraw(), ask.start_session()])
def test_nothing_happens_without_a_wallet(command):
    """A wallet in another currency does not count."""
    given(wallet(currency="JPY", exponent=0)).when(command).then_refused(
        "WALLET_NOT_FOUND", player_id="ann", currency="EUR"
    )


@pytest.mark.parametrize("command", [ask.deposit("0"), ask.withdraw("0"), ask.bet("0")])
def test_zero_is_not_moved(command):
    """A deposit, withdrawal or bet of nothing is refused; a win of nothing is a lost bet."""
    given(wallet(), session()).when(command).then_refused("AMOUNT_NOT_POSITIVE")


@pytest.mark.parametrize("make", [ask.deposit, ask.withdraw, ask.bet])
def test_more_decimals_than_the_currency_are_refused(make):
    """Nothing rounds; zeros at the end are no decimals."""
    story = given(wallet(), session()).when(make("1.001")).then_refused("AMOUNT_SCALE", amount="1.001", exponent=2)
    story.when(make("1.000"))
    assert story.result


def test_a_currency_without_decimals_takes_whole_amounts_only():
    """Half a yen is refused, not rounded."""
    story = (
        given(wallet(0, currency="JPY", exponent=0))
        .when(ask.deposit("0.5", currency="JPY"))
        .then_refused("AMOUNT_SCALE")
    )
    story.when(ask.deposit("5", currency="JPY")).then(Deposited, ("cashier", -5), ("cash", 5))


@pytest.mark.parametrize("make", [ask.deposit, ask.withdraw, ask.bet])
def test_one_amount_has_a_cap(make):
    """The cap itself passes that check, one unit more does not, however many digits it has."""
    rich = wallet(MAX_BALANCE_MINOR - MAX_AMOUNT_MINOR)
    at_cap = f"{MAX_AMOUNT_MINOR // 100}"
    story = given(rich, session()).when(make(at_cap + ".01")).then_refused("AMOUNT_TOO_LARGE", maximum=at_cap + ".00")
    story.when(make("9" * 18)).then_refused("AMOUNT_TOO_LARGE")
    story.when(make(at_cap))
    assert story.result


def test_a_deposit_stops_at_the_balance_cap():
    """The cap itself is reached, not passed."""
    story = (
        given(wallet(MAX_BALANCE_MINOR - 100))
        .when(ask.deposit("1.01"))
        .then_refused("BALANCE_TOO_LARGE", currency="EUR")
    )
    story.when(ask.deposit("1")).then(Deposited, ("cashier", -100), ("cash", 100)).and_wallet(cash=MAX_BALANCE_MINOR)


# Adjustments


def test_an_adjustment_goes_both_ways():
    """From and to the account `adjustment`; a debt is paid first, and may be made."""
    story = (
        given(wallet(100))
        .when(ask.adjust("3", negative=True))
        .then(
            AdjustedDown,
            ("adjustment", 300),
            ("cash", -100),
            ("receivable", -200),
            approver="chief",
            reference="ticket",
        )
    )
    story.when(ask.adjust("5")).then(AdjustedUp, ("adjustment", -500), ("receivable", 200), ("cash", 300))
    story.under(shortfall=REFUSE).when(ask.adjust("4", negative=True)).then_refused("INSUFFICIENT_FUNDS")
    story.when(ask.adjust("0")).then(AdjustedUp, amount_minor=0).and_wallet(cash=300)


@pytest.mark.parametrize("approver", [None, "clerk", " ", " Clerk "])
def test_a_person_needs_a_second_person(approver):
    """A provider's adjustment is its own word; a person's needs another person."""
    story = given(wallet()).when(operator.adjust(approver=approver)).then_refused("APPROVAL_MISSING", actor="clerk")
    story.when(ask.adjust(approver=approver)).then(AdjustedUp, ("adjustment", -100), ("cash", 100))


@pytest.mark.parametrize("field", ["actor", "reason"])
def test_what_a_person_does_by_hand_is_explained(field):
    """An adjustment or a restriction without a name or a reason is refused; a provider's adjustment is its own word."""
    for command in (operator.adjust(), operator.restrict(LOCKED)):
        given(wallet()).when(replace(command, **{field: " "})).then_refused("REASON_MISSING", field=field)
    given(wallet()).when(replace(ask.adjust(), **{field: ""})).then(AdjustedUp, ("adjustment", -100), ("cash", 100))


def test_an_adjustment_is_bounded_like_all_money():
    """Whole units, a wallet, and room in it."""
    given().when(ask.adjust()).then_refused("WALLET_NOT_FOUND")
    given(wallet()).when(ask.adjust("0.001")).then_refused("AMOUNT_SCALE")
    given(wallet(10**17)).when(ask.adjust("0.01")).then_refused("BALANCE_TOO_LARGE")
