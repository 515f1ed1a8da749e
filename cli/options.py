"""Options and arguments that several commands take, each with one name, one meaning and one help text."""

from typing import Annotated

import typer

from cli.output import fail
from ledger.admin.actions import Actor, AdminActionError

Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines instead of text.")]

# Of commands that change settings.
AdminActor = Annotated[str, typer.Option("--actor", help="Who does this; it is recorded for good.")]
AdminReason = Annotated[str, typer.Option("--reason", help="Why; likewise. No personal data.")]

# Of the operator's cashier.
Brand = Annotated[str, typer.Option("--brand", help="The tenant whose books these are.")]
Region = Annotated[str, typer.Option("--region", help="Region that holds the data.")]
PlayerId = Annotated[str, typer.Argument(help="The operator's own opaque id of the player; never personal data.")]
CurrencyCode = Annotated[str, typer.Argument(help="Such as EUR.")]
AmountText = Annotated[str, typer.Argument(help="Plain decimal, such as 25.00.")]
Key = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same key again changes nothing and hears the same answer."),
]
CashierActor = Annotated[str, typer.Option("--actor", help="Who asks; it stands in the event.")]
CashierReason = Annotated[str, typer.Option("--reason", help="Why; it stands in the event. No personal data.")]
PaymentReference = Annotated[str, typer.Option("--reference", help="Your reference of the payment.")]


def by_or_fail(actor: str, reason: str) -> Actor:
    """Who acts and why; where one of them is not as it must be, the command ends."""
    try:
        return Actor(actor, reason).checked()
    except AdminActionError as error:
        fail(str(error))
