"""Who and what the stories begin with."""

from ledger.core.policy import IGNORED, Policy
from ledger.core.state import Session, Wallet
from tests.support.commands import HOUR, NOW, Asks

ask = Asks()
operator = Asks(integration_id=None)
other = Asks(integration_id="acme/eu/reel")
SESSIONLESS = Policy(session=IGNORED)


def wallet(cash=1000, player="ann", *, currency="EUR", exponent=2, **accounts):
    return Wallet(
        "acme", player, currency, exponent, cash, **{f"{name}_minor": amount for name, amount in accounts.items()}
    )


def session(session_id="s1", *, currency="EUR", mode="real", ended=False, expires_at=NOW + HOUR, extended_us=0):
    return Session(session_id, "acme/eu/spin", "acme", "ann", currency, mode, "dice", expires_at, ended, extended_us)
