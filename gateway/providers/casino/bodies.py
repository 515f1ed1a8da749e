"""The requests. Amounts are whole minor units; descriptions and reasons are tolerated and kept nowhere."""

from typing import Annotated

from pydantic import Field

from gateway.dialect.bodies import Body
from gateway.dialect.fields import Natural, PlayerId, ProviderCurrency, ProviderId, Units

MAX_STEPS = 50


class OfSession(Body):
    session_token: Annotated[ProviderId, Field(alias="sessionToken")]


class Transaction(OfSession):
    transaction_id: Annotated[ProviderId, Field(alias="transactionId")]


class Debit(Transaction):
    round_id: Annotated[ProviderId, Field(alias="roundId")]
    amount: Units


class Credit(Transaction):
    """Its round is what a payout belongs to; `relatedTransactionId` is only information."""

    round_id: Annotated[ProviderId, Field(alias="roundId")]
    amount: Units


class Rollback(Transaction):
    original_transaction_id: Annotated[ProviderId, Field(alias="originalTransactionId")]


class Launch(Body):
    user_id: Annotated[PlayerId, Field(alias="userId")]
    game_id: Annotated[ProviderId, Field(alias="gameId")]
    currency: ProviderCurrency | None = None


class SimulatedMove(Body):
    amount: Units


class SimulatedRollback(Body):
    bet_index: Annotated[Natural, Field(alias="betIndex")]


class Simulation(Launch):
    bets: Annotated[list[SimulatedMove], Field(min_length=1, max_length=MAX_STEPS)]
    wins: Annotated[tuple[SimulatedMove, ...], Field(max_length=MAX_STEPS, strict=False)] = ()
    rollbacks: Annotated[tuple[SimulatedRollback, ...], Field(max_length=MAX_STEPS, strict=False)] = ()
