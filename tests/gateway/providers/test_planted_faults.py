"""The suite finds what it is there to find: each planted fault makes a check fail that passes without it."""

import copy
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import pytest
import structlog

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers import pm8, softswiss
from ledger.core.money import Amount
from ledger.core.rollbacks import Rollback
from ledger.outcome import Balances, Outcome
from tests.gateway.providers import checks, spellings
from tests.gateway.providers.calls import Calls
from tests.gateway.providers.checks import Check, Tables
from tests.gateway.providers.conftest import laid, mounted_everywhere, settings_of
from tests.gateway.providers.test_histories import run_histories
from tests.support.house import House
from tests.support.servers import Servers, fresh_database

BASE, WITH_AWARDS = "softswiss", "pm8"
"""Any dialects would do whose credentials prove the content."""
BASES = {BASE: softswiss.DIALECT, WITH_AWARDS: pm8.DIALECT}


@dataclass(frozen=True)
class Fault:
    about: str
    plant: Callable[[Dialect], Dialect]
    found_by: Check
    base: str = BASE


def _every_endpoint(dialect: Dialect, changed: Callable[[Endpoint], Any]) -> Dialect:
    return replace(dialect, endpoints=tuple(replace(one, handle=changed(one)) for one in dialect.endpoints))


def _trusting(dialect: Dialect) -> Dialect:
    return replace(dialect, verify=lambda call: call.body)


def _forgetting_proofs(dialect: Dialect) -> Dialect:
    """Says that its proofs name the operation."""
    return replace(dialect, proof_names_operation=True)


def _proving_the_credentials(dialect: Dialect) -> Dialect:
    """Takes what may be spelled otherwise for what was proven."""

    def verify(call: Call) -> bytes:
        dialect.verify(call)
        return call.target

    return replace(dialect, verify=verify)


def _comparing_prefixes(dialect: Dialect) -> Dialect:
    """Lets the empty signature pass."""

    def verify(call: Call) -> bytes:
        if call.header(b"x-request-sign"):
            dialect.verify(call)
        return call.body

    return replace(dialect, verify=verify)


class _Inventing(Call):
    """Makes an id up for each call."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        made_up = {name: f"{fields[name]}-{uuid.uuid4()}" for name in ("bet_id", "win_id") if fields.get(name)}
        return super().command(kind, operation, str(uuid.uuid4()), **(fields | made_up))


class _Rounding(Call):
    """Cuts the decimals off that it does not like."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        if amount := fields.get("amount"):
            cut = max(0, amount.scale - 2)
            fields["amount"] = Amount(amount.unscaled // 10**cut, amount.scale - cut)
        return super().command(kind, operation, transaction_id, **fields)


class _Guessing(Call):
    """Takes two decimals for granted."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        if (amount := fields.get("amount")) and fields["currency"] != "EUR":
            fields["amount"] = amount.times_ten_to(-2)
        return super().command(kind, operation, transaction_id, **fields)


class _Borderless(Call):
    """Says that it comes from where the players are."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        command = super().command(kind, operation, transaction_id, **fields)
        return replace(command, origin=replace(command.origin, region="EU"))


def _called_as(kind: type[Call]) -> Callable[[Dialect], Dialect]:
    def plant(dialect: Dialect) -> Dialect:
        def changed(endpoint: Endpoint) -> Any:
            def handle(call: Call, ledger: TenantLedger) -> Any:
                other = copy.copy(call)
                object.__setattr__(other, "__class__", kind)
                return endpoint.handle(other, ledger)

            return handle

        return _every_endpoint(dialect, changed)

    return plant


@dataclass(frozen=True)
class _Forgetful:
    """Says yes to the cancel of what it does not know, and forgets it."""

    ledger: Any

    async def submit(self, *commands: Any) -> tuple[Outcome, ...]:
        (command, *_) = commands
        if isinstance(command, Rollback) and await self.ledger.bet(command.target_id) is None:
            balances = await self.ledger.wallet(command.player, command.currency)
            assert isinstance(balances, Balances)
            told = {"status": "tombstoned", "rollback_id": "rb_0"}
            return tuple(Outcome(one.kind, result=told, balances=balances) for one in commands)
        outcomes: tuple[Outcome, ...] = await self.ledger.submit(*commands)
        return outcomes

    def __getattr__(self, name: str) -> Any:
        return getattr(self.ledger, name)


def _forgetful(dialect: Dialect) -> Dialect:
    return _every_endpoint(dialect, lambda endpoint: lambda call, ledger: endpoint.handle(call, _Forgetful(ledger)))


def _chatty(dialect: Dialect) -> Dialect:
    """Logs what it compares."""

    def verify(call: Call) -> bytes:
        structlog.get_logger("dialect").info("verifying", signature=call.header(b"x-request-sign"))
        return dialect.verify(call)

    return replace(dialect, verify=verify)


def _talkative(dialect: Dialect) -> Dialect:
    def refuse(call: Call, rejected: Rejected) -> Reply:
        reply = dialect.refuse(call, rejected)
        return reply._replace(body=reply.body[:-1] + f',"why":"{rejected.details}"}}'.encode())

    return replace(dialect, refuse=refuse)


def _blaming_the_player(dialect: Dialect) -> Dialect:
    """Tells a database that is down as a lack of money."""

    def refuse(call: Call, rejected: Rejected) -> Reply:
        broke = Rejected("INSUFFICIENT_FUNDS", available="0", currency="EUR", asked="1")
        return dialect.refuse(call, broke if rejected.code == "UNAVAILABLE" else rejected)

    return replace(dialect, refuse=refuse)


class _WithoutExponents(Call):
    """Reads 5E-0 as if it were 50."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        if (win := fields.get("win")) and b"E-" in self.body:
            fields["win"] = Amount(win.unscaled * 10, win.scale)
        return super().command(kind, operation, transaction_id, **fields)


def _final(dialect: Dialect) -> Dialect:
    """Says no for good to a win that it cannot read."""
    return replace(dialect, endpoints=tuple(replace(one, credits=False) for one in dialect.endpoints))


def _generous(dialect: Dialect) -> Dialect:
    """Has one more call that pays, which its driver does not know."""
    (win,) = [one for one in dialect.endpoints if one.path == "/transactions/promoWin"]
    return replace(dialect, endpoints=(*dialect.endpoints, replace(win, path="/transactions/gift", handle=_gift)))


async def _gift(call: Call, ledger: TenantLedger) -> Reply:
    return await pm8.promo_win(call, ledger)


class _Pedantic(Call):
    """Wants the name of a game to be a text of a kind."""

    def game(self, code: str) -> str:
        if not code.isidentifier():
            raise Rejected("FIELD_INVALID", field="game_id", reason="is no game of ours")
        return super().game(code)


class _Sessionless(Call):
    """Asks for no session."""

    def command(self, kind: Any, operation: str, transaction_id: str, **fields: Any) -> Any:
        return super().command(kind, operation, transaction_id, **(fields | {"session_id": None}))


FAULTS = {
    "final": Fault(
        "a win is refused for its spelling", _final, spellings.every_spelling_of_a_win_is_paid_once_or_asked_for_again
    ),
    "exponents": Fault(
        "an exponent is overlooked",
        _called_as(_WithoutExponents),
        spellings.every_spelling_of_a_win_is_paid_once_or_asked_for_again,
    ),
    "pedantic": Fault(
        "the game decides about money",
        _called_as(_Pedantic),
        spellings.every_spelling_of_a_win_is_paid_once_or_asked_for_again,
    ),
    "final-cancel-of-win": Fault(
        "a cancel of a win is refused for its spelling",
        _final,
        spellings.every_spelling_of_a_cancel_of_a_win_is_heard_once_or_asked_for_again,
    ),
    "pedantic-award": Fault(
        "the game decides about a promotion",
        _called_as(_Pedantic),
        spellings.every_spelling_of_any_other_credit_is_paid_once_or_asked_for_again,
        WITH_AWARDS,
    ),
    "not-spelled": Fault(
        "a new endpoint pays", _generous, spellings.every_endpoint_that_credits_is_spelled, WITH_AWARDS
    ),
    "silent": Fault(
        "an endpoint pays and does not say so", _final, spellings.every_endpoint_that_credits_is_spelled, WITH_AWARDS
    ),
    "trusting": Fault("verify compares nothing", _trusting, checks.each_mutated_byte_of_the_body_is_refused),
    "absent": Fault(
        "no signature is as good as one", _comparing_prefixes, checks.a_missing_or_cut_signature_is_refused
    ),
    "forgetting-proofs": Fault(
        "what was proven is not remembered", _forgetting_proofs, checks.an_accepted_call_proves_no_other
    ),
    "forgetting-refused-proofs": Fault(
        "what was proven is not remembered", _forgetting_proofs, checks.a_refused_call_proves_no_other
    ),
    "free-spelling": Fault("a proof is of its path", _proving_the_credentials, checks.an_accepted_call_proves_no_other),
    "anybody": Fault("any key opens", _trusting, checks.another_key_is_refused),
    "inventing": Fault("ids are made up", _called_as(_Inventing), checks.the_same_bet_three_times_is_one_bet),
    "forgetful": Fault("no tombstone", _forgetful, checks.a_cancel_overtakes_its_bet),
    "rounding": Fault("amounts are rounded", _called_as(_Rounding), checks.more_decimals_than_the_wallet_has),
    "guessing": Fault("decimals are guessed", _called_as(_Guessing), checks.minor_units_are_never_guessed),
    "borderless": Fault("no region is told", _called_as(_Borderless), checks.a_player_of_another_region_is_nobody),
    "sessionless": Fault("no session is asked for", _called_as(_Sessionless), checks.play_keeps_a_session_alive),
    "chatty": Fault("credentials are logged", _chatty, checks.no_secret_is_logged),
    "talkative": Fault("a refusal tells inner details", _talkative, checks.every_code_has_an_answer),
    "blaming": Fault("an outage is told as a lack of money", _blaming_the_player, checks.every_code_has_an_answer),
}


def random_histories(tables: Tables) -> None:
    run_histories(tables, 40, shrink=False)


FAULTS |= {
    "inventing-in-a-history": Fault("ids are made up", _called_as(_Inventing), random_histories),
    "forgetful-in-a-history": Fault("no tombstone", _forgetful, random_histories),
}


@pytest.fixture(scope="module")
def faulty(servers: Servers, ledger_template: str) -> Iterator[dict[str, Tables]]:
    """The base dialects with each fault, and without any, on a gateway of their own."""
    planted = {name: (fault.base, fault.plant(BASES[fault.base])) for name, fault in FAULTS.items()}
    planted |= {f"sound-{base}": (base, dialect) for base, dialect in BASES.items()}
    calls = Calls()
    dialects = {name: calls.watched(replace(dialect, name=name)) for name, (_, dialect) in planted.items()}
    with fresh_database(servers.database_url, template=ledger_template) as url:
        house = House(settings_of(url), dialects)
        mounted = {name: mounted_everywhere(house, base, name) for name, (base, _) in planted.items()}
        with house, house.recorded():
            yield laid(house, dialects, mounted, calls)


@pytest.mark.parametrize("name", FAULTS)
def test_planted_fault_is_found(faulty: dict[str, Tables], name: str):
    """The check passes without the fault, and fails with it."""
    fault = FAULTS[name]
    fault.found_by(faulty[f"sound-{fault.base}"])
    with pytest.raises(AssertionError):
        fault.found_by(faulty[name])
