"""Commands as a test writes them: only what matters is said, keys and ids are made."""

import itertools
from dataclasses import dataclass, replace

from uuid_utils import uuid7

from ledger.admin.actions import Actor
from ledger.core.bets import AuthorizeBet, FinalizeBet
from ledger.core.commands import Origin
from ledger.core.limits import ConfirmLimit, SetLimit
from ledger.core.money import Amount, parse_amount
from ledger.core.players import EndSession, RestrictPlayer, StartSession
from ledger.core.rollbacks import ReinstateBet, Rollback
from ledger.core.rounds import FinishRound
from ledger.core.state import LOCKED, REAL
from ledger.core.wallets import Adjust, Deposit, OpenWallet, Withdraw
from ledger.core.wins import Award, SettleBet

BY = Actor("tester", "a test")
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
    region: str = "eu"

    def at(self, now: int) -> "Asks":
        return replace(self, now=now)

    def origin(self, key: str | None = None) -> Origin:
        provider_id = self.integration_id and self.integration_id.rpartition("/")[2]
        number = next(_numbers)
        key = key or f"key-{number}"
        return Origin(self.tenant_id, self.region, self.integration_id, provider_id, "api", key, f"trace-{number}")

    def _base(self, key: str | None) -> tuple[Origin, str, int]:
        return self.origin(key), str(uuid7()), self.now

    def open_wallet(self, player="ann", currency="EUR", exponent=2, *, key=None) -> OpenWallet:
        return OpenWallet(*self._base(key), player, currency, exponent)

    def deposit(self, text="10", player="ann", currency="EUR", *, key=None) -> Deposit:
        return Deposit(*self._base(key), player, currency, amount(text), "ref", "clerk")

    def withdraw(self, text="10", player="ann", currency="EUR", *, key=None) -> Withdraw:
        return Withdraw(*self._base(key), player, currency, amount(text), "ref", "clerk")

    def adjust(
        self, text="1", player="ann", currency="EUR", *, negative=False, approver: str | None = "chief", key=None
    ) -> Adjust:
        return Adjust(
            *self._base(key), player, currency, amount(text), negative, "goodwill", "ticket", "clerk", approver
        )

    def restrict(self, restriction: str | None = LOCKED, player="ann", *, key=None) -> RestrictPlayer:
        return RestrictPlayer(*self._base(key), player, restriction, "limits", "clerk")

    def limit(
        self, kind: str, period: str, text: str | None, *, player="ann", currency="EUR", key=None, **more
    ) -> SetLimit:
        """Set, raise or, with None, remove a limit: the player's own, unless said otherwise."""
        money = None if text is None else amount(text)
        fields = {"set_by": "player", "reason": "asked", "actor": "clerk"} | more
        return SetLimit(*self._base(key), player, currency, kind, period, money, **fields)

    def confirm(self, limit_id: str, *, player="ann", currency="EUR", key=None) -> ConfirmLimit:
        return ConfirmLimit(*self._base(key), player, currency, limit_id, "asked", "clerk")

    def start_session(
        self, player="ann", currency="EUR", *, mode=REAL, expires_at=None, for_integration=None, key=None
    ) -> StartSession:
        return StartSession(
            *self._base(key), player, currency, "dice", "de-DE", mode, expires_at or self.now + HOUR, for_integration
        )

    def end_session(self, session_id="s1", *, reason="logout", key=None) -> EndSession:
        return EndSession(*self._base(key), session_id, reason)

    def bet(
        self, text="2", bet_id="b1", round_id="r1", *, session_id="s1", currency="EUR", key=None, **more
    ) -> AuthorizeBet:
        return AuthorizeBet(*self._base(key), session_id, bet_id, round_id, amount(text), currency, **more)

    def debit(
        self, text="2", bet_id="b1", round_id="r1", *, player="ann", currency="EUR", key=None, **more
    ) -> AuthorizeBet:
        """A bet of a player whom it names itself, without a session."""
        return self.bet(text, bet_id, round_id, session_id=None, currency=currency, key=key, player=player, **more)

    def settle(self, win="0", bet_id="b1", round_id="r1", *, currency="EUR", key=None, **more) -> SettleBet:
        return SettleBet(*self._base(key), bet_id, round_id, amount(win), currency, **more)

    def win(self, text="5", win_id="w1", round_id="r1", *, player="ann", currency="EUR", key=None, **more) -> SettleBet:
        """A win that names only its round."""
        return self.settle(text, None, round_id, currency=currency, key=key, player=player, win_id=win_id, **more)

    def award(self, text="5", award_id="a1", kind="promo", *, player="ann", currency="EUR", key=None, **more) -> Award:
        return Award(*self._base(key), player, currency, amount(text), award_id, kind, **more)

    def rollback(self, target_id="b1", round_id="r1", *, session_id=None, key=None, **more) -> Rollback:
        return Rollback(*self._base(key), target_id, round_id, "void", session_id, **more)

    def undo_win(self, win_id="w1", *, key=None, **more) -> Rollback:
        return self.rollback(win_id, None, key=key, **({"target": "win"} | more))

    def reinstate(self, bet_id="b1", *, key=None) -> ReinstateBet:
        return ReinstateBet(*self._base(key), bet_id, "not void")

    def finalize(self, bet_id="b1", *, key=None) -> FinalizeBet:
        return FinalizeBet(*self._base(key), bet_id)

    def finish(self, round_id="r1", *, player="ann", currency="EUR", key=None) -> FinishRound:
        return FinishRound(*self._base(key), player, currency, round_id)
