"""The casino's half of a casino ↔ provider integration: getBalance, debit, credit and rollback for the provider,
launchGame and simulateRound for the operator. The provider's half is `sandbox/casino_provider.py`.
"""

from gateway.dialect.amounts import MINOR_EXPONENTS
from gateway.dialect.bodies import read_json
from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected
from gateway.dialect.option import Option
from gateway.dialect.reply import Reply
from gateway.dialect.signing import verify_hmac_hex
from gateway.dialect.tenant_ledger import TenantLedger
from gateway.providers.casino import commands
from gateway.providers.casino.answers import answer_ok, refuse
from gateway.providers.casino.bodies import Credit, Debit, Launch, OfSession, Rollback
from gateway.providers.casino.simulation import simulate_round
from ledger.core.policy import AT_AUTHORIZATION, Policy
from ledger.core.state import TOMBSTONED

WITHOUT_EFFECT = {
    TOMBSTONED: "The transaction is not known and was recorded as rolled back",
    "acknowledged": "The transaction stays as it is",
}
"""What a rollback says that moves nothing, by its status."""


CREDITS = "credit", "rollback"
READS = {"getBalance"}


def verify(call: Call) -> bytes:
    """x-casino-signature: hex HMAC-SHA256 of the raw body with the CASINO_SECRET."""
    sent = call.headers.get(b"x-casino-signature", b"")
    if not sent:
        raise Rejected("SIGNATURE_MISSING")
    if not verify_hmac_hex(call.secrets, call.body, sent):
        raise Rejected("SIGNATURE_INVALID")
    return call.body


async def get_balance(call: Call, ledger: TenantLedger) -> Reply:
    session = await ledger.session(read_json(OfSession, call.body).session_token)
    return answer_ok(call, await ledger.wallet(session.player_id, session.currency))


async def debit(call: Call, ledger: TenantLedger) -> Reply:
    """Only debits need a session that lives, and the ledger looks at that: a repeat is answered as it was."""
    body = read_json(Debit, call.body)
    session = await ledger.session(body.session_token, live=False)
    (outcome,) = await ledger.submit(commands.debit(call, session, body.transaction_id, body.round_id, body.amount))
    assert outcome.balances is not None, "a debit has a wallet"
    return answer_ok(call, outcome.balances, transactionId=body.transaction_id)


async def credit(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(Credit, call.body)
    session = await ledger.session(body.session_token, live=False)
    (outcome,) = await ledger.submit(commands.credit(call, session, body.transaction_id, body.round_id, body.amount))
    assert outcome.balances is not None, "a credit has a wallet"
    return answer_ok(call, outcome.balances, transactionId=body.transaction_id)


async def rollback(call: Call, ledger: TenantLedger) -> Reply:
    """A bet that is not known is remembered: it can never be debited later."""
    body = read_json(Rollback, call.body)
    session = await ledger.session(body.session_token, live=False)
    (outcome,) = await ledger.submit(
        commands.rollback(call, session, body.transaction_id, body.original_transaction_id)
    )
    balances = outcome.balances or await ledger.wallet(session.player_id, session.currency)
    status = str(outcome.result["status"])
    message = WITHOUT_EFFECT.get(status, "Rolled back")
    return answer_ok(
        call, balances, transactionId=body.transaction_id, rolledBack=status not in WITHOUT_EFFECT, message=message
    )


async def launch_game(call: Call, ledger: TenantLedger) -> Reply:
    body = read_json(Launch, call.body)
    currency = await commands.currency_of(call, ledger, body)
    (outcome,) = await ledger.submit(commands.start_session(call, body, currency))
    balances = outcome.balances or await ledger.wallet(body.user_id, currency)
    session_id = outcome.result["session_id"]
    return answer_ok(call, balances, sessionId=session_id, sessionToken=session_id)


def _endpoints(handles: dict[str, Handle]) -> tuple[Endpoint, ...]:
    """Each by its name, by its path below /casino, and at that path of the whole server as the protocol writes it."""
    return tuple(
        endpoint
        for name, handle in handles.items()
        for endpoint in (
            Endpoint("POST", f"/{name}", handle, reads=name in READS, credits=name in CREDITS),
            Endpoint(
                "POST", f"/casino/{name}", handle, (f"/casino/{name}",), reads=name in READS, credits=name in CREDITS
            ),
        )
    )


DIALECT = Dialect(
    name="casino",
    title="Casino and game provider integration (x-casino-signature)",
    endpoints=_endpoints(
        {
            "getBalance": get_balance,
            "debit": debit,
            "credit": credit,
            "rollback": rollback,
            "launchGame": launch_game,
            "simulateRound": simulate_round,
        }
    ),
    verify=verify,
    refuse=refuse,
    defaults={"session_ttl_s": "14400"},
    options={
        "subunits": Option(
            "Decimals of the provider's minor units where they are not those of ISO 4217: ETH:18,USDT:6",
            pattern=MINOR_EXPONENTS,
        ),
        "simulate": Option("Whether simulateRound plays rounds with real money", "false", ("true", "false")),
    },
    policy=Policy(capture=AT_AUTHORIZATION, refusal_consumes_key=False, win_needs_bet=False),
)
