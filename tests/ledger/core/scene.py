"""Who and what the stories begin with."""

from ledger.core.policy import IGNORED, Policy
from ledger.core.state import Session, Wallet
from tests.support.commands import HOUR, NOW, Asks

ask = Asks()
operator = Asks(integration_id=None)
other = Asks(integration_id="acme/eu/reel")
stranger = Asks(tenant_id="bolt", integration_id="bolt/eu/spin")
"""An integration of another tenant."""
SESSIONLESS = Policy(session=IGNORED)


def wallet(cash=1000, player="ann", *, currency="EUR", exponent=2, **accounts):
    return Wallet(
        "acme", player, currency, exponent, cash, **{f"{name}_minor": amount for name, amount in accounts.items()}
    )


def session(
    session_id="s1",
    *,
    integration_id="acme/eu/spin",
    tenant_id="acme",
    currency="EUR",
    mode="real",
    ended=False,
    expires_at=NOW + HOUR,
    extended_us=0,
):
    return Session(
        session_id=session_id,
        integration_id=integration_id,
        tenant_id=tenant_id,
        player_id="ann",
        currency=currency,
        mode=mode,
        game_id="dice",
        expires_at=expires_at,
        ended=ended,
        extended_us=extended_us,
    )
