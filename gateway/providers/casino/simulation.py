"""A whole round at once, without the provider: a test-driver, for integrations that say `simulate=true`."""

from uuid import uuid4

from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.errors import Rejected
from gateway.dialect.reply import Reply
from gateway.dialect.strict_json import dump
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.casino import commands
from gateway.providers.casino.answers import minor_units
from gateway.providers.casino.bodies import Simulation
from ledger.core.commands import Command
from ledger.core.state import Session

Step = tuple[str, int, Command]
"""What it is called, its amount in the provider's minor units, and its command."""


async def simulate_round(call: Call, ledger: TenantLedger) -> Reply:
    """Bets, then rollbacks, then payouts (no bet of a round with a payout can be rolled back), all or none."""
    if call.option("simulate") != "true":
        raise Rejected("CALLER_NOT_ALLOWED")
    body = read_json(Simulation, call.body)
    for rollback in body.rollbacks:
        if rollback.bet_index >= len(body.bets):
            raise Rejected("FIELD_INVALID", field="rollbacks", reason="betIndex names no bet")
    currency = await commands.currency_of(call, ledger, body)
    (started,) = await ledger.submit(commands.start_session(call, body, currency))
    session = await ledger.session(started.result["session_id"])
    round_id = f"round_{uuid4().hex}"
    steps = _steps(call, session, round_id, body)
    outcomes = await ledger.submit(*(command for _, _, command in steps))
    after = [minor_units(call, outcome.balances) for outcome in outcomes if outcome.balances]
    content = {
        "success": True,
        "sessionId": session.session_id,
        "roundId": round_id,
        "transactions": [
            {
                "type": kind,
                "transactionId": command.origin.idempotency_key,
                "amount": amount,
                "balanceAfter": balance,
            }
            for (kind, amount, command), balance in zip(steps, after, strict=True)
        ],
        "finalBalance": after[-1],
        "currency": call.provider_currency(currency),
    }
    return Reply(200, dump(content))


def _steps(call: Call, session: Session, round_id: str, body: Simulation) -> list[Step]:
    bets = [f"bet_{uuid4().hex}" for _ in body.bets]
    return [
        *(
            ("bet", one.amount, commands.debit(call, session, bet_id, round_id, one.amount))
            for one, bet_id in zip(body.bets, bets, strict=True)
        ),
        *(
            (
                "rollback",
                body.bets[index].amount,
                commands.rollback(call, session, f"rollback_{uuid4().hex}", bets[index]),
            )
            for index in (one.bet_index for one in body.rollbacks)
        ),
        *(
            ("payout", win.amount, commands.credit(call, session, f"payout_{uuid4().hex}", round_id, win.amount))
            for win in body.wins
        ),
    ]
