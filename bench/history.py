"""A history that the rule book decided: players who bet, win and lose, as many events each as wanted."""

import time
from collections.abc import Iterator

from uuid_utils import uuid7

from ledger.core.bets import AuthorizeBet
from ledger.core.commands import Command, Origin
from ledger.core.money import Amount
from ledger.core.players import StartSession
from ledger.core.rollbacks import Rollback
from ledger.core.state import Currency, Entity, State
from ledger.core.wallets import Deposit, OpenWallet
from ledger.core.wins import SettleBet
from ledger.journal.batch import Batch
from ledger.journal.directory import owner_of, stream_of
from ledger.journal.unit_of_work import UnitOfWork, requests_of
from ledger.outcome import Callback
from ledger.streams import StreamKey, player_stream

TENANT, CURRENCY = "bench", Currency("bench", "EUR", 2)


def name_of(player: int) -> bytes:
    """All names are equally long."""
    return f"player-{player:07}".encode()


def decided(players: range, events_per_player: int, known: tuple[Entity, ...] = ()) -> Batch:
    """What a ledger decides that has `known` already."""
    loaded = State()
    loaded.put(*known)
    locked = {player_stream(TENANT, name_of(n).decode()) for n in players}
    batch = Batch(locked, loaded, {}, {}, time.time_ns() // 1000)

    def stream(command: Command) -> StreamKey:
        return stream_of(command, command.needs, lambda key: owner_of(batch.state.get(key)))

    # Players take turns, as they do in life: the rows of a stream lie apart.
    for turn in zip(*(_callbacks(name_of(n).decode(), batch, events_per_player) for n in players), strict=True):
        for commands in turn:
            callback = Callback(commands)
            outcomes = UnitOfWork(batch, callback, requests_of(callback, stream)).decide()
            assert not outcomes[-1].refusal_code, outcomes[-1]
    return batch


def _callbacks(player_id: str, batch: Batch, events: int) -> Iterator[tuple[Command, ...]]:
    """A wallet, a session, and rounds: of ten bets nine are settled, four with a win, and one is rolled back in its own
    callback, because a rollback in one of its own waits for the batch after its bet's.
    """

    def origin(key: str) -> Origin:
        trace_id = uuid7().hex
        return Origin(
            TENANT,
            "EU",
            "bench-eu",
            "provider",
            "api",
            f"{player_id}:{key}",
            trace_id,
            provider_transaction_id=trace_id[:12],
        )

    def own(key: str) -> Origin:
        return Origin(TENANT, "EU", None, None, "wallet", f"{player_id}:{key}", uuid7().hex)

    yield (OpenWallet(own("open"), str(uuid7()), batch.now, player_id, "EUR", 2),)
    yield (
        Deposit(
            own("deposit"), str(uuid7()), batch.now, player_id, "EUR",
            amount=Amount(1000, 0), reference="ref-1", actor="cashier",
        ),
    )  # fmt: skip
    session = StartSession(
        origin("session"),
        str(uuid7()),
        batch.now,
        player_id,
        "EUR",
        game_id="book-of-sums",
        locale="en",
        mode="real",
        expires_at=batch.now + 3600 * 10**6,
    )
    yield (session,)
    for n in range((events - 3) // 2):
        bet_id, round_id = f"{player_id}-b{n}", f"{player_id}-r{n}"
        staked = (session.named("s"), bet_id, round_id, Amount(1, 0), "EUR")
        bet = AuthorizeBet(origin(f"b{n}"), str(uuid7()), batch.now, *staked)
        if n % 10:
            yield (bet,)
            win = Amount(2 if n % 10 < 5 else 0, 0)
            yield (SettleBet(origin(f"s{n}"), str(uuid7()), batch.now, bet_id, round_id, win, "EUR"),)
        else:
            yield bet, Rollback(origin(f"r{n}"), str(uuid7()), batch.now, bet_id, round_id, "cancelled")
