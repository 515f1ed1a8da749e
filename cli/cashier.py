"""The operator's cashier in commands: how one is sent to the ledger, and how a refusal is shown."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING

import psycopg
import typer
from uuid_utils import uuid7

from cli.output import FINDING, errors, fail, show
from cli.settings import settings_or_fail
from cli.trouble import in_words, naming, patiently
from ledger.core.money import Amount, parse_amount
from patience.session import connect_as_is
from runtime.identifiers import ID_RULE, is_currency, is_id, name_fault, player_id_fault
from runtime.residency import ForeignRegionError
from runtime.settings import Settings
from schemas.errors import ERRORS

if TYPE_CHECKING:
    from ledger.admin.cashier import Cashier
    from ledger.outcome import Outcome


def check_player(player_id: str) -> None:
    if fault := player_id_fault(player_id):
        fail(f"player id {player_id!r} {fault}")


def check_currency(currency: str) -> None:
    if not is_currency(currency):
        fail(f"{currency!r} is no currency code: 3 to 16 characters, A-Z first, then A-Z 0-9 _")


def amount_or_fail(text: str) -> Amount:
    amount = parse_amount(text)
    if amount is None:
        fail(f"{text!r} is no amount: send a plain decimal such as 25.00")
    return amount


def outcome_or_exit(
    brand: str,
    region: str,
    actor: str,
    key: str | None,
    command: "Callable[[Cashier, str], Awaitable[Outcome]]",
    *,
    as_json: bool,
) -> "Outcome":
    """What the ledger accepted. A refusal is shown and ends the command, and so does an outcome that is not known.
    `command` gets the cashier and the idempotency key.
    """
    from ledger.admin.cashier import Cashier
    from ledger.journal.writer import Retryable

    key, settings = key or str(uuid7()), settings_or_fail()
    _check(settings, brand, region, key)

    async def submit() -> "Outcome":
        async with Cashier(settings, tenant_id=brand, region=region, actor=actor) as cashier:
            return await command(cashier, key)

    def attempt() -> "Outcome":
        # The journal says of a database only that it is away, whether it starts or does not know the password.
        with naming("WAGERLEDGER_DATABASE_URL"), connect_as_is(settings.database_url.get_secret_value()):
            pass
        return asyncio.run(submit())

    try:
        outcome = patiently(attempt, "PostgreSQL")  # under the same key: it happens once
    except KeyboardInterrupt:
        errors.print(f"It is not known whether this was done. The key is --key {key}", highlight=False, soft_wrap=True)
        raise
    except (Retryable, psycopg.Error) as error:
        # Without the key a repeat would be a second payment.
        fail(f"{in_words(error)} The key is --key {key}")
    if outcome.refusal_code:
        text = ERRORS[outcome.refusal_code].text(outcome.details)
        show(
            {"refused": outcome.refusal_code, "message": text},
            as_json=as_json,
            text=f"Refused ({outcome.refusal_code}): {text}",
        )
        raise typer.Exit(FINDING)
    return outcome


def _check(settings: Settings, brand: str, region: str, key: str) -> None:
    for name, value in (("--brand", brand), ("--region", region)):
        if fault := name_fault(value):
            fail(f"{name} {value!r} {fault}")
    if not is_id(key):
        fail(f"--key {key!r} {ID_RULE}")
    try:
        settings.residency.check(region)
    except ForeignRegionError as error:
        fail(f"--region: {error}", FINDING)


def again(outcome: "Outcome") -> str:
    return " (repeated: nothing new happened)" if outcome.replayed else ""
