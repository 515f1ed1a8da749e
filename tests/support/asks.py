"""Commands as a test writes them: only what matters is said, keys and ids are made."""

import itertools
from dataclasses import dataclass, replace

from uuid_utils import uuid7

from ledger.core.commands import (
    REAL,
    AuthorizeBet,
    Deposit,
    EndSession,
    OpenWallet,
    Origin,
    RollbackBet,
    SettleBet,
    StartSession,
    Withdraw,
)
from ledger.core.money import Amount, parse_amount

NOW = 1_700_000_000_000_000
"""When everything is received, unless said otherwise: microseconds since the epoch."""
HOUR = 3_600_000_000

_numbers = itertools.count(1)


def amount(text: str) -> Amount:
    parsed = parse_amount(text)
    assert parsed is not None, f"{text} is not an amount"
    return parsed


@dataclass(frozen=True)
class Asks:
    """What one integration (or, without one, the operator) of a tenant asks. `key=` repeats an idempotency key; without it each command has its own."""

    tenant_id: str = "acme"
    integration_id: str | None = "acme/eu/spin"
    now: int = NOW

    def at(self, now: int) -> "Asks":
        return replace(self, now=now)

    def origin(self, key: str | None = None) -> Origin:
        provider_id = self.integration_id and self.integration_id.rpartition("/")[2]
        number = next(_numbers)
        return Origin(
            self.tenant_id, "eu", self.integration_id, provider_id, "api", key or f"key-{number}", f"trace-{number}"
        )

    def _base(self, key: str | None) -> tuple[Origin, str, int]:
        return self.origin(key), str(uuid7()), self.now

    def open_wallet(self, player="ann", currency="EUR", exponent=2, *, key=None) -> OpenWallet:
        return OpenWallet(*self._base(key), player, currency, exponent)

    def deposit(self, text="10", player="ann", currency="EUR", *, key=None) -> Deposit:
        return Deposit(*self._base(key), player, currency, amount(text), "ref", "clerk")

    def withdraw(self, text="10", player="ann", currency="EUR", *, key=None) -> Withdraw:
        return Withdraw(*self._base(key), player, currency, amount(text), "ref", "clerk")

    def start_session(self, player="ann", currency="EUR", *, mode=REAL, expires_at=None, key=None) -> StartSession:
        return StartSession(*self._base(key), player, currency, "dice", "de-DE", mode, expires_at or self.now + HOUR)

    def end_session(self, session_id="s1", *, reason="logout", key=None) -> EndSession:
        return EndSession(*self._base(key), session_id, reason)

    def bet(self, text="2", bet_id="b1", round_id="r1", *, session_id="s1", currency="EUR", key=None) -> AuthorizeBet:
        return AuthorizeBet(*self._base(key), session_id, bet_id, round_id, amount(text), currency)

    def settle(self, win="0", bet_id="b1", round_id="r1", *, currency="EUR", key=None) -> SettleBet:
        return SettleBet(*self._base(key), bet_id, round_id, amount(win), currency)

    def rollback(self, bet_id="b1", round_id="r1", *, session_id=None, key=None) -> RollbackBet:
        return RollbackBet(*self._base(key), bet_id, round_id, "void", session_id)
