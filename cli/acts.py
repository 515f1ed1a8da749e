"""What the commands that change settings have in common: who does it, and why."""

from typing import Annotated

import typer

from cli.output import fail
from ledger.admin.actions import ActError, By

ActActor = Annotated[str, typer.Option("--actor", help="Who does this; it is recorded for good.")]
ActReason = Annotated[str, typer.Option("--reason", help="Why; likewise. No personal data.")]


def by_or_fail(actor: str, reason: str) -> By:
    try:
        return By(actor, reason).checked()
    except ActError as error:
        fail(str(error))
