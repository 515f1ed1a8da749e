"""The operator's own commands: wallets, payments, corrections, restrictions, limits. The same journal, the same rules,
no integration.
"""

import time
from types import TracebackType
from typing import Any, Self

from uuid_utils import uuid7

from ledger.core.commands import Command, Origin
from ledger.core.limits import ConfirmLimit, SetLimit
from ledger.core.money import Amount
from ledger.core.players import RestrictPlayer
from ledger.core.wallets import Adjust, Deposit, OpenWallet, Withdraw
from ledger.journal.writer import Journal
from ledger.outcome import Callback, Outcome
from runtime.settings import Settings

OPERATION = "cashier"


class Cashier:
    """Commands of one tenant in one region. `actor` says who gives them and stands in the events. Use it as an
    async context manager.
    """

    def __init__(self, settings: Settings, *, tenant_id: str, region: str, actor: str) -> None:
        self._journal = Journal(settings.model_copy(update={"journal_writers": 1}))
        self._tenant_id = tenant_id
        self._region = region
        self._actor = actor

    async def __aenter__(self) -> Self:
        await self._journal.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._journal.__aexit__(kind, error, trace)

    async def open_wallet(self, player_id: str, currency: str, exponent: int, *, key: str | None = None) -> Outcome:
        """Open a player's wallet; its tenant's first one in a currency fixes the currency's `exponent`."""
        return await self._submit(OpenWallet(*self._base(key), player_id, currency, exponent))

    async def deposit(
        self, player_id: str, currency: str, amount: Amount, reference: str, *, key: str | None = None
    ) -> Outcome:
        return await self._submit(Deposit(*self._base(key), player_id, currency, amount, reference, self._actor))

    async def withdraw(
        self, player_id: str, currency: str, amount: Amount, reference: str, *, key: str | None = None
    ) -> Outcome:
        return await self._submit(Withdraw(*self._base(key), player_id, currency, amount, reference, self._actor))

    async def adjust(
        self,
        player_id: str,
        currency: str,
        amount: Amount,
        *,
        negative: bool,
        reason: str,
        reference: str,
        approver: str,
        key: str | None = None,
    ) -> Outcome:
        """Correct a player's cash up or down. Refused where `approver` is no second person."""
        return await self._submit(
            Adjust(
                *self._base(key),
                player=player_id,
                currency=currency,
                amount=amount,
                negative=negative,
                reason=reason,
                reference=reference,
                actor=self._actor,
                approver=approver,
            )
        )

    async def restrict(
        self, player_id: str, restriction: str | None, reason: str, *, key: str | None = None
    ) -> Outcome:
        """Lock or exclude a player, or free them with None: debits stop, what is won or refunded still comes."""
        return await self._submit(RestrictPlayer(*self._base(key), player_id, restriction, reason, self._actor))

    async def set_limit(
        self, player_id: str, currency: str, amount: Amount | None, *, key: str | None = None, **terms: Any
    ) -> Outcome:
        """Set a player's limit, or remove it with None. `terms` are the fields of `SetLimit` besides."""
        fields = {"player": player_id, "currency": currency, "amount": amount, "actor": self._actor} | terms
        return await self._submit(SetLimit(*self._base(key), **fields))

    async def confirm_limit(
        self, player_id: str, currency: str, limit_id: str, reason: str, *, key: str | None = None
    ) -> Outcome:
        """Confirm a raise of a player's limit, once its wait is over."""
        return await self._submit(ConfirmLimit(*self._base(key), player_id, currency, limit_id, reason, self._actor))

    def _base(self, key: str | None) -> tuple[Origin, str, int]:
        """Without a `key` each call is a new command."""
        command_id = str(uuid7())
        origin = Origin(
            self._tenant_id,
            self._region,
            None,
            None,
            OPERATION,
            key or command_id,
            trace_id=command_id.replace("-", ""),
        )
        return origin, command_id, time.time_ns() // 1000

    async def _submit(self, command: Command) -> Outcome:
        (outcome,) = await self._journal.submit(Callback((command,)))
        return outcome
