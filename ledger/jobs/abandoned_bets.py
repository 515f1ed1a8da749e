"""Abandoned bets: holds that nobody settles or rolls back. The job closes those that are older than their integration's
policy says, as one more callback under a key made of the bet's id: twice is once, and a faster settlement stays.
"""

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import psycopg
import structlog
from uuid_utils import uuid7

from ledger.admin import integrations
from ledger.admin.integrations import IntegrationRow
from ledger.admin.policies import PolicyError
from ledger.core.commands import Command, Origin
from ledger.core.money import Amount
from ledger.core.policy import LOSE, REFUSE, Policy
from ledger.core.rollbacks import Rollback
from ledger.core.wins import SettleBet
from ledger.journal.writer import Journal, Retryable
from ledger.outcome import Callback, Outcome
from ledger.store import bets
from patience.session import connect_as_is
from runtime import service
from runtime.clock import to_datetime, to_us
from runtime.residency import ANYWHERE, Residency
from runtime.settings import Settings

log = structlog.get_logger("abandoned")

OPERATION = REASON = "abandoned"
CLOSED_BEFORE = "closed before"
CHUNK = 100
"""Holds that are closed at once."""

# A bet's time is the time inside its hold's id, a UUIDv7. No index serves this: one over what is held would cost every
# settlement its HOT update, and the job can wait.
OPEN_HOLDS = f"""
select {bets.COLUMNS.only("integration_id, bet_id, tenant_id, player_id, round_id, currency").of("b")},
    coalesce(b.conversion ->> 'currency', b.currency), c.exponent, b.held_minor, b.hold_id
from wagerledger.bets b join wagerledger.currencies c using (tenant_id, currency)
where b.held_minor > 0 and b.hold_id < %(before)s collate "C"
    and (%(integration_id)s::text is null or b.integration_id = %(integration_id)s)
order by b.hold_id collate "C"
"""  # noqa: S608  # our own constants


@dataclass(frozen=True, slots=True)
class Hold:
    """The stake of an open bet."""

    integration_id: str
    bet_id: str
    tenant_id: str
    player_id: str
    round_id: str | None
    currency: str
    stake_currency: str
    """The currency in which the provider staked."""
    exponent: int
    held_minor: int
    hold_id: str

    @property
    def since(self) -> datetime:
        """When the bet was authorized, to the millisecond."""
        return to_datetime(int(self.hold_id[2:14], 16) * 1000)

    def age_s(self, now: datetime) -> int:
        return int((now - self.since).total_seconds())


class Abandoned(NamedTuple):
    """A hold that is too old for its integration."""

    hold: Hold
    integration: IntegrationRow


class Closing(NamedTuple):
    """What became of a hold: `status` is refunded or lost; else why it was left as it is: closed before, or the code of
    a rule.
    """

    hold: Hold
    status: str
    closed: bool


def open_holds(connection: psycopg.Connection, until: datetime, *, integration_id: str | None = None) -> Iterator[Hold]:
    """The holds that were there at `until`, oldest first."""
    before = f"h_{to_us(until) // 1000 + 1:012x}"
    for row in connection.execute(OPEN_HOLDS, {"before": before, "integration_id": integration_id}):
        yield Hold(*row)


def find(
    connection: psycopg.Connection, defaults: Mapping[str, Policy], now: datetime, residency: Residency = ANYWHERE
) -> list[Abandoned]:
    """The holds that are older than the policy of their integration lets them be, oldest first. `defaults` are the
    dialects' policies by name. Raises PolicyError.
    """
    known = {one.integration_id: one for one in integrations.load(connection, defaults)}
    limits_s = [one.policy.abandoned_after_s for one in known.values() if one.policy.abandoned_after_s]
    if not limits_s:
        return []
    return [
        Abandoned(hold, integration)
        for hold in open_holds(connection, now - timedelta(seconds=min(limits_s)))
        if (integration := known.get(hold.integration_id))
        and residency.holds(integration.region)
        and 0 < integration.policy.abandoned_after_s <= hold.age_s(now)
    ]


async def close(journal: Journal, found: Sequence[Abandoned]) -> list[Closing]:
    """Close them, each by itself. Raises Retryable; the same again goes on where it ended."""
    closings: list[Closing] = []
    for start in range(0, len(found), CHUNK):
        closings += await asyncio.gather(*(_close(journal, *one) for one in found[start : start + CHUNK]))
    return closings


async def run_once(settings: Settings, found: Sequence[Abandoned]) -> list[Closing]:
    """Close the bets that were found, as `close` does, with a journal of its own."""
    async with Journal(_one_writer(settings)) as journal:
        return await close(journal, found)


async def run(settings: Settings, defaults: Mapping[str, Policy], every_s: float) -> None:
    """Look for abandoned holds and close them until SIGTERM or SIGINT; what fails is tried again at the next turn."""
    stop = service.stop_event_of_loop()
    async with Journal(_one_writer(settings)) as journal:

        async def turn() -> None:
            try:
                for hold, status, closed in await close(journal, await asyncio.to_thread(_look, settings, defaults)):
                    names = {"integration_id": hold.integration_id, "bet_id": hold.bet_id}
                    log.info("abandoned hold", **names, status=status, closed=closed)
            except (psycopg.Error, PolicyError, Retryable) as error:
                log.warning("abandoned holds not closed", reason=str(error) or type(error).__name__)

        await service.take_turns(turn, stop, pause_s=every_s)


def _look(settings: Settings, defaults: Mapping[str, Policy]) -> list[Abandoned]:
    with connect_as_is(settings.database_url.get_secret_value()) as connection:
        return find(connection, defaults, datetime.now(UTC), settings.residency)


def _one_writer(settings: Settings) -> Settings:
    return settings.model_copy(update={"journal_writers": 1})


async def _close(journal: Journal, hold: Hold, integration: IntegrationRow) -> Closing:
    policy = _careful(integration.policy)
    if policy.abandoned_action != LOSE:
        outcome = await _submit(journal, _refund(hold, integration), policy)
        # Its round was paid and never ended: the stake has been played, and is lost.
        if outcome.refusal_code != "BET_ALREADY_SETTLED":
            return _closing(hold, outcome, "refunded")
    return _closing(hold, await _submit(journal, _lose(hold, integration), policy), "lost")


def _closing(hold: Hold, outcome: Outcome, status: str) -> Closing:
    if outcome.refusal_code:
        return Closing(hold, outcome.refusal_code, closed=False)
    if outcome.unchanged or outcome.replayed:
        # By another job or its provider; or the provider has opened it again, and the job closes nothing twice.
        return Closing(hold, CLOSED_BEFORE, closed=False)
    return Closing(hold, status, closed=True)


def _careful(policy: Policy) -> Policy:
    """Whatever a provider may do: the job undoes nothing, and a no of today is none for ever."""
    return replace(policy, rollback_of_settled=REFUSE, win_after_rollback=REFUSE, refusal_consumes_key=False)


def _refund(hold: Hold, integration: IntegrationRow) -> Command:
    return Rollback(*_base(hold, integration), hold.bet_id, None, REASON, player=hold.player_id, only_open=True)


def _lose(hold: Hold, integration: IntegrationRow) -> Command:
    return SettleBet(
        *_base(hold, integration), hold.bet_id, None, Amount(0, 0), hold.stake_currency,
        player=hold.player_id, win_kind=REASON, only_open=True,
    )  # fmt: skip


def _base(hold: Hold, integration: IntegrationRow) -> tuple[Origin, str, int]:
    command_id = str(uuid7())
    origin = Origin(
        integration.tenant_id, integration.region, integration.integration_id, integration.provider_id, OPERATION,
        f"{OPERATION}:{hold.bet_id}", trace_id=command_id.replace("-", ""),
    )  # fmt: skip
    return origin, command_id, time.time_ns() // 1000


async def _submit(journal: Journal, command: Command, policy: Policy) -> Outcome:
    (outcome,) = await journal.submit(Callback((command,), policy))
    return outcome
