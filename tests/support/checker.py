"""What must hold once the faults are over, seen from outside: the callers' history against the ledger, the topics and the read models.

The rules are told here once more, in plain words and on plain dicts: the checker shares no rule with the code that it checks, only the
codec of the events. I1 to I11 are those of docs/promises.md; `verify` is the product's own opinion and is asked besides.
"""

import itertools
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import sha256
from typing import Any

import psycopg

from audit.verify import verify
from sandbox.servers.kafka_reader import read_all
from sandbox.system import Player, System
from schemas import registry
from schemas.events import BY_FINGERPRINT
from schemas.registry import Reader
from schemas.topics import Topics
from tests.support import reference
from tests.support.load import AUTHORIZE, END_SESSION, ROLLBACK, SETTLE, START_SESSION, Call
from tests.support.waiting import until

GENESIS = bytes(32)
WALLET_ACCOUNTS = ("cash", "bonus", "held", "receivable")
EFFECTS = {
    AUTHORIZE: ("bet.authorized", "hold_id"),
    SETTLE: ("bet.settled", "settlement_id"),
    ROLLBACK: ("bet.rolled_back", "rollback_id"),
    START_SESSION: ("session.started", "session_id"),
    END_SESSION: ("session.ended", "session_id"),
}
BEGINNINGS = {"bet.authorized": "open", "bet.tombstoned": "tombstoned"}

Stream = tuple[str, str, str]


@dataclass(frozen=True)
class Entry:
    """One event as the log or a topic holds it."""

    stream: Stream
    version: int
    body: bytes
    record: dict[str, Any]

    @property
    def hash(self) -> bytes:
        return sha256(self.body).digest()


@dataclass
class Findings:
    """What does not hold. `demand` collects, so that one run tells everything."""

    texts: list[str] = field(default_factory=list)

    def demand(self, holds: bool, text: Callable[[], str] | str) -> None:
        if not holds:
            self.texts.append(text if isinstance(text, str) else text())

    def raise_if_any(self) -> None:
        shown = "\n".join(f"  {text}" for text in self.texts[:25])
        assert not self.texts, f"{len(self.texts)} things do not hold:\n{shown}"


def check(system: System, history: Sequence[Call], *, restored: bool = False) -> Counter[str]:
    """Wait until everything has caught up, then check all of it. Gives what was counted on the way.

    `restored`: the database went back to an earlier moment, and the topics brought the events back. What made no event (a no, or a yes
    to what was true already) may have been forgotten and decided anew; and a tombstone's event does not name the currency whose balances
    its answer told.
    """
    wait_until_caught_up(system)
    found, counts = Findings(), Counter[str]()
    with psycopg.connect(system.stack.ledger_database.url) as connection:
        log = list(_log(connection))
        _check_log(log, found)
        _check_stored(connection, log, found)
        if not restored:
            _check_commands(connection, history, found)
    with_effect = {entry.record["idempotency_key"] for entry in log}
    _check_history(history, with_effect if restored else None, found)
    _check_effects(history, log, found)
    _check_bank(history, system.players, log, found)
    counts += _check_topics(system, log, found)
    counts += how_often(system, history)
    counts["events"] = len(log)
    report = verify(system.settings(), database=True, topics=True, bi=True, strict=True)
    found.texts += [f"verify: {finding}" for finding in report.findings]
    found.demand(report.ok, f"verify counts {dict(report.counts)}")
    found.raise_if_any()
    return counts


# Catching up -------------------------------------------------------------------------------------------------------------


def wait_until_caught_up(system: System) -> None:
    """Until the read models have every stream at its last version and both processes say that they lag by nothing."""
    lag = ""

    def caught_up() -> bool:
        nonlocal lag
        lag = _lag(system)
        return not lag

    try:
        until(caught_up, "read models and processes that have caught up", limit_s=180)
    except AssertionError as late:
        raise AssertionError(f"{late}; {lag}; see {system.root / 'log'}") from late


def _lag(system: System) -> str:
    try:
        with psycopg.connect(system.stack.ledger_database.url, connect_timeout=5) as ledger:
            goal = _heads(ledger, "wagerledger")
        with psycopg.connect(system.stack.bi_database.url, connect_timeout=5) as bi:
            come = _heads(bi, "projections")
    except psycopg.Error as error:
        return str(error)
    if goal != come:
        behind = [stream for stream, version in goal.items() if come.get(stream) != version]
        return f"{len(behind)} streams of the read models are behind: {behind[:3]}, {sum(goal.values())} events in all, {sum(come.values())} come"
    for process, name in (
        (system.relay, "wagerledger_relay_lag_rows"),
        (system.projector, "wagerledger_projector_lag_rows"),
    ):
        if (value := metric(process.ports[-1], name)) != 0:
            return f"{name} is {value}"
    return ""


def _heads(connection: psycopg.Connection[Any], schema: str) -> dict[Stream, int]:
    rows = connection.execute(f"select tenant_id, stream_type, stream_id, version from {schema}.streams").fetchall()
    return {(tenant_id, stream_type, stream_id): version for tenant_id, stream_type, stream_id, version in rows}


def metric(port: int, name: str) -> float | None:
    """The value of a metric without labels; None where nobody answers."""
    import urllib.request

    try:
        with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as response:
            text = response.read().decode()
    except OSError:
        return None
    return next((float(line.split()[1]) for line in text.splitlines() if line.startswith(f"{name} ")), None)


# The log and what is stored beside it ------------------------------------------------------------------------------------


def _log(connection: psycopg.Connection[Any]) -> Iterator[Entry]:
    """In the order in which it is published."""
    rows = connection.execute(
        "select tenant_id, stream_type, stream_id, stream_version, schema_fingerprint, body from wagerledger.event_log order by xid, position"
    )
    for tenant_id, stream_type, stream_id, version, fingerprint, body in rows:
        yield Entry((tenant_id, stream_type, stream_id), version, body, BY_FINGERPRINT[fingerprint].decode(body))


def _check_log(log: Sequence[Entry], found: Findings) -> None:
    """I1 to I4 and I7, event by event."""
    heads: dict[Stream, tuple[int, bytes]] = {}
    bets: dict[tuple[str, str], str] = {}
    books: Counter[str] = Counter()
    wallets: Counter[tuple[str, str, str]] = Counter()
    for entry in log:
        record, (version, head) = entry.record, heads.get(entry.stream, (0, GENESIS))
        found.demand(
            entry.version == version + 1,
            f"I7: {entry.stream} has version {entry.version} after {version} in published order",
        )
        found.demand(
            record["previous_hash"] == head,
            f"I7: {entry.stream} version {entry.version} does not carry the hash of the one before it",
        )
        heads[entry.stream] = entry.version, entry.hash
        sums: Counter[str] = Counter()
        for posting in record["postings"]:
            sums[posting["currency"]] += posting["amount_minor"]
            books[posting["currency"]] += posting["amount_minor"]
            if posting["account"] in WALLET_ACCOUNTS:
                account = (str(record["player_id"]), posting["currency"], posting["account"])
                wallets[account] += posting["amount_minor"]
                found.demand(wallets[account] >= 0, f"I3: {account} is {wallets[account]} at version {entry.version}")
        found.demand(
            not any(sums.values()), f"I1: the postings of {entry.stream} version {entry.version} sum to {dict(sums)}"
        )
        for bet_id in _bets_of(record):
            bet = (str(record["integration_id"]), bet_id)
            after = _next_status(record, bets.get(bet))
            found.demand(after is not None, f"I4: {record['event_type']} of bet {bet}, which is {bets.get(bet)}")
            bets[bet] = after or "wrong"
    found.demand(not any(books.values()), f"I2: all accounts sum to {dict(books)}")


def _bets_of(record: dict[str, Any]) -> list[str]:
    payload = record["payload"]
    bet_ids = [bet["bet_id"] for bet in payload.get("bets", [])] + [payload.get("bet_id")]
    return [bet_id for bet_id in bet_ids if bet_id is not None]


def _next_status(record: dict[str, Any], status: str | None) -> str | None:
    """What a bet is after the event; None where it cannot follow."""
    kind, payload = record["event_type"], record["payload"]
    if kind in BEGINNINGS:
        return BEGINNINGS[kind] if status is None else None
    was_open = "open" if payload.get("was_open") else "settled"
    match kind:
        case "bet.settled":
            ends = payload["was_open"] and payload["ends_bet"]
            fits = status == "open" if payload["was_open"] else status in ("settled", "rolled_back")
            return ("settled" if ends else status) if fits else None
        case "bet.rolled_back":
            return "rolled_back" if status == was_open else None
        case "wallet.debit.reversal":
            return ("open" if status == "settled" else None) if payload["reopens_bet"] else status
        case "bet.reinstated":
            return "open" if status == "rolled_back" else None
        case "round.finished":
            return "settled" if status == "open" else None
    return status if kind == "bet.finalized" and status in ("settled", "rolled_back") else None


def _check_stored(connection: psycopg.Connection[Any], log: Sequence[Entry], found: Findings) -> None:
    """The wallets are the sums of their postings, and `held` is the stakes of the open bets."""
    sums: defaultdict[tuple[str, str], Counter[str]] = defaultdict(Counter)
    for entry in log:
        for posting in entry.record["postings"]:
            sums[str(entry.record["player_id"]), posting["currency"]][posting["account"]] += posting["amount_minor"]
    rows = connection.execute(
        "select player_id, currency, cash_minor, bonus_minor, held_minor, receivable_minor, (select coalesce(sum(b.stake_minor), 0)::bigint"
        " from wagerledger.bets b where b.player_id = w.player_id and b.currency = w.currency and b.status = 'open') from wagerledger.wallets w"
    ).fetchall()
    for player_id, currency, *amounts, open_stakes in rows:
        expected = [sums[player_id, currency][account] for account in WALLET_ACCOUNTS]
        found.demand(
            amounts == expected, f"I7: wallet {player_id} {currency} is {amounts}, its postings sum to {expected}"
        )
        found.demand(
            amounts[2] == open_stakes,
            f"I3: wallet {player_id} {currency} holds {amounts[2]}, its open bets staked {open_stakes}",
        )


def _check_commands(connection: psycopg.Connection[Any], history: Sequence[Call], found: Findings) -> None:
    """I5 and I6: what was told is what is kept, byte for byte; what was not remembered left nothing."""
    rows = connection.execute(
        "select idempotency_key, outcome, answer from wagerledger.commands where scope not like 'tenant:%'"
    ).fetchall()
    kept = {key: (outcome, answer) for key, outcome, answer in rows}
    for call in history:
        answer = call.answer
        if answer is None or call.intruder:
            continue
        outcome, raw = kept.pop(call.key, (None, None))
        if answer.remembered:
            found.demand(raw == answer.raw, f"I5: {call.operation} {call.key} heard {answer.raw!r}, kept is {raw!r}")
            found.demand(
                outcome is not None and outcome.get("refusal") == answer.code,
                f"I6: {call.operation} {call.key} heard {answer.code}, kept is {outcome}",
            )
        else:
            found.demand(outcome is None, f"I6: {call.operation} {call.key} heard {answer.code}, and {outcome} is kept")
    found.demand(not kept, f"I6: commands that nobody sent: {list(kept.items())[:3]}")


# What the callers heard --------------------------------------------------------------------------------------------------


def _check_history(history: Sequence[Call], bound: Collection[str] | None, found: Findings) -> None:
    """I5: under one key one answer (of `bound` keys; None means all). Everything was answered in the end, and no infrastructure fault became a word about money."""
    for call in history:
        found.demand(
            call.answer is not None,
            f"never answered: {call.operation} {call.key}, {[(a.status, a.raw) for a in call.attempts][-3:]}",
        )
        remembered = {attempt.raw for attempt in call.attempts if attempt.final and attempt.remembered}
        if bound is None or call.key in bound:
            found.demand(len(remembered) <= 1, f"I5: {call.operation} {call.key} heard {remembered}")
        for attempt in call.attempts:
            found.demand(attempt.code != "INTERNAL", f"a bug's answer to {call.operation} {call.key}: {attempt.raw!r}")
            retryable = attempt.final or attempt.status is None or (attempt.body["retryable"] is True)
            found.demand(retryable, f"not retryable: {attempt.status} {attempt.raw!r}")
        if call.intruder:
            found.demand(
                call.answer is not None and call.answer.code == "IDEMPOTENCY_MISMATCH",
                f"I5: another content under key {call.key} heard {call.answer}",
            )


def _check_effects(history: Sequence[Call], log: Sequence[Entry], found: Findings) -> None:
    """I6: a yes is one event with the id that was told; a no is none; no event is there that nobody asked for."""
    caused: defaultdict[str, list[Entry]] = defaultdict(list)
    told_ids: defaultdict[str, set[str]] = defaultdict(set)
    for entry in log:
        if entry.record["integration_id"] is not None:
            caused[entry.record["idempotency_key"]].append(entry)
            told_ids[entry.record["event_type"]].update(
                value for name, value in entry.record["payload"].items() if name.endswith("_id") and value
            )
    for call in history:
        if call.intruder:
            continue
        events = caused.pop(call.key, [])
        if not call.accepted:
            found.demand(
                not events,
                f"I6: {call.operation} {call.key} heard {call.answer and call.answer.code}, and has {len(events)} events",
            )
            continue
        assert call.answer
        event_type, id_name = EFFECTS[call.operation]
        if call.answer.body["status"] == "tombstoned":
            event_type = "bet.tombstoned"
        told = call.answer.body[id_name]
        if not events:  # it was true already, by another key
            known = call.operation in (ROLLBACK, END_SESSION) and told in told_ids[event_type]
            found.demand(known, f"I6: {call.operation} {call.key} heard yes with {told}, and no event is there")
            continue
        found.demand(len(events) == 1, f"I5: {call.operation} {call.key} has {len(events)} events")
        record = events[0].record
        said = (record["event_type"], record["payload"][id_name])
        found.demand(said == (event_type, told), f"I6: {call.operation} {call.key} heard {told}, its event says {said}")
        amount = {AUTHORIZE: "stake_minor", SETTLE: "win_minor"}.get(call.operation)
        found.demand(
            amount is None or record["payload"][amount] == call.amount_minor,
            f"I6: {call.key} asked for {call.amount_minor}, its event says {record['payload']}",
        )
    found.demand(not caused, f"I6: events that nobody asked for: {list(caused)[:5]}")


def _check_bank(history: Sequence[Call], players: Iterable[Player], log: Sequence[Entry], found: Findings) -> None:
    """The callers' own books, kept from the answers alone, agree with the ledger's to the cent."""
    cash: Counter[tuple[str, str]] = Counter()
    held: Counter[tuple[str, str]] = Counter()
    stakes = {call.bet_id: call.amount_minor for call in history if call.operation == AUTHORIZE and call.accepted}
    refunded: set[str | None] = set()
    for player in players:
        cash[player.player_id, player.currency] += int(player.deposit.replace(".", ""))
    for call in history:
        if not call.accepted:
            continue
        assert call.answer
        wallet, body = (call.wallet.player_id, call.wallet.currency), call.answer.body
        match call.operation:
            case "authorize":
                cash[wallet] -= call.amount_minor
                held[wallet] += call.amount_minor
            case "settle":
                cash[wallet] += call.amount_minor
                held[wallet] -= stakes[call.bet_id]
            case "rollback" if body["status"] == "rolled_back" and call.bet_id not in refunded:
                refunded.add(call.bet_id)
                cash[wallet] += stakes[call.bet_id]
                held[wallet] -= stakes[call.bet_id]
    ledger: Counter[tuple[str, str, str]] = Counter()
    for entry in log:
        for posting in entry.record["postings"]:
            ledger[str(entry.record["player_id"]), posting["currency"], posting["account"]] += posting["amount_minor"]
    for wallet in cash:
        ours, theirs = (cash[wallet], held[wallet]), (ledger[*wallet, "cash"], ledger[*wallet, "held"])
        found.demand(ours == theirs, f"bank: by the answers {wallet} has {ours} cash and held, by the ledger {theirs}")


# The topics and the read models ------------------------------------------------------------------------------------------


def _check_topics(system: System, log: Sequence[Entry], found: Findings) -> Counter[str]:
    """I8 and I9: every event once in its stream's order in both faces, nothing else, and the read models are its fold."""
    settings = system.settings()
    servers, topics = settings.kafka_bootstrap_servers, Topics(settings.topic_prefix)
    counts: Counter[str] = Counter()
    with registry.connect(settings.schema_registry_url.get_secret_value()) as client:
        reader = Reader(client)
        events = list(_published(servers, topics.events, reader, found))
        of_types = [entry for topic in topics.of_types for entry in _published(servers, topic, reader, found)]
    wanted = Counter((entry.stream, entry.version, entry.hash) for entry in log)
    for name, entries in ((topics.events, events), ("the type topics", of_types)):
        have = Counter((entry.stream, entry.version, entry.hash) for entry in entries)
        lost, alien = wanted - have, have.keys() - wanted.keys()
        twice = len(entries) - len(have)
        counts[f"duplicates in {name}"] = twice
        found.demand(not lost, f"I8: {name} lacks {sum(lost.values())} events, such as {list(lost)[:2]}")
        found.demand(
            not alien, f"I8: {name} holds {len(alien)} events that the log does not have, such as {list(alien)[:2]}"
        )
        found.demand(not twice, f"I8: {name} holds {twice} events more than once")
    counts["records of aborted Kafka transactions"] = sum(
        1 for _ in read_all(servers, topics.events, isolation="read_uncommitted")
    ) - len(events)
    for _ in read_all(servers, topics.dead_letters):
        counts["dead letters"] += 1
    found.demand(not counts["dead letters"], f"{counts['dead letters']} dead letters")
    with psycopg.connect(system.stack.bi_database.url) as connection:
        stored, folded = reference.stored(connection), reference.fold(entry.record for entry in events)
        for view in folded:
            differing = [
                key
                for key in stored[view].keys() | folded[view].keys()
                if not _same(stored[view].get(key), folded[view].get(key))
            ]
            found.demand(
                not differing,
                lambda v=view, d=differing: (
                    f"I9: bi.{v} differs in {len(d)} rows: {stored[v].get(d[0])} instead of {folded[v].get(d[0])}"
                ),
            )
        (parked,) = connection.execute("select count(*) from bi.parked_streams").fetchone() or (None,)
        found.demand(parked == 0, f"{parked} streams are parked")
    return counts


def _same(stored: dict[str, Any] | None, folded: dict[str, Any] | None) -> bool:
    """The reference may know more than the view shows."""
    if stored is None or folded is None:
        return False
    return all(folded.get(name) == value for name, value in stored.items())


def _published(servers: str, topic: str, reader: Reader, found: Findings) -> Iterator[Entry]:
    partitions: dict[Stream, int] = {}
    versions: dict[Stream, int] = {}
    for message in read_all(servers, topic):
        _, body, record = reader.read(message.value())
        stream = (record["tenant_id"], record["stream_type"], record["stream_id"])
        version, partition = record["stream_version"], message.partition()
        found.demand(
            partitions.setdefault(stream, partition) == partition, f"I8: {topic} has {stream} in several partitions"
        )
        found.demand(
            version > versions.get(stream, 0),
            f"I8: {topic} has version {version} of {stream} after {versions.get(stream)}",
        )
        versions[stream] = version
        yield Entry(stream, version, body, record)


# How often -----------------------------------------------------------------------------------------------------------------


def how_often(system: System, history: Sequence[Call]) -> Counter[str]:
    """How often the states were reached that the tests are about: a run that never reaches them proves nothing."""
    with psycopg.connect(system.stack.ledger_database.url) as connection:
        acted = {trace_id for (trace_id,) in connection.execute("select trace_id from wagerledger.commands")}
    counts: Counter[str] = Counter({"calls": len(history)})
    for call in history:
        counts["attempts"] += len(call.attempts)
        counts["outcomes unknown to the caller"] += len(call.unknown)
        counts["of these had acted"] += sum(attempt.trace_id in acted for attempt in call.unknown)
        counts["of these silent"] += sum(attempt.status is None for attempt in call.unknown)
        counts["duplicates while the first was in flight"] += _overlaps(call)
        counts["calls heard more than once"] += len([a for a in call.attempts if a.final and a.remembered]) > 1
        codes = {attempt.code for attempt in call.attempts}
        counts["settlements before their bet that worked later"] += "BET_NOT_FOUND" in codes and call.accepted
        counts["bets after their rollback"] += "BET_TOMBSTONED" in codes
        counts["bets beyond the balance"] += "INSUFFICIENT_FUNDS" in codes
    return counts


def _overlaps(call: Call) -> int:
    attempts = sorted((attempt for attempt in call.attempts if attempt.final), key=lambda attempt: attempt.sent_at)
    return sum(later.sent_at < earlier.ended_at for earlier, later in itertools.pairwise(attempts))


def tell(counts: Counter[str]) -> None:
    """Print the counts for whoever reads the run."""
    print(json.dumps(dict(counts), indent=2))
