"""The demo: real rounds over signed HTTP, then the same money as Kafka, the BI database and the auditor see it."""

import time
from collections.abc import Callable, Mapping
from typing import Any

import psycopg
from rich.console import Console
from rich.table import Table

from audit.verify import verify
from ledger.core.money import format_minor
from projector.models import folded
from runtime.clock import to_datetime
from sandbox.provider import Answer, Provider
from sandbox.servers.kafka_reader import read_all
from sandbox.system import PLAYERS, System
from schemas import registry
from schemas.topics import Topics

CATCH_UP_TIMEOUT_S = 60.0

BALANCES = "select player_id, currency, cash, bonus, held, as_of_version from bi.balances order by 1, 2"
BETS = "select bet_id, round_id, player_id, status, stake, win, currency from bi.bets order by bet_id"
ROUNDS = "select round_id, bets, open_bets, stake, win, rolled_back_stake, currency from bi.rounds order by round_id"
SEALED = """
select (select max(xid::text::bigint) from wagerledger.event_log) <= (select max(last_xid) from wagerledger.anchors)
"""


class DemoError(Exception):
    """Something that the demo shows did not hold."""


def play(system: System, console: Console) -> None:
    """Play, show, compare. Raises DemoError at the first thing that is not as promised."""
    description = system.description()
    rounds = _Rounds(Provider(description["gateway_url"], description["integration"]), console)
    rounds.play()
    _wait_for_read_models(system, rounds)
    _show_events(system, console)
    _show_read_models(system, console)
    _show_verdict(system, console)


class _Rounds:
    """The provider's side: each step says what it expects to hear."""

    def __init__(self, provider: Provider, console: Console) -> None:
        self._provider = provider
        self._console = console
        self.run_id = f"{time.time_ns() // 1_000_000:x}"

    def play(self) -> None:
        player, poor = PLAYERS[0].player_id, PLAYERS[2].player_id
        self._console.rule("A player sits down at a game")
        session = self._session(player)
        self._console.rule("A bet and its win")
        self._bet(session, "1", "2.00", expect=200)
        self._settle("1", "14.60")
        self._console.rule("A bet that loses")
        self._bet(session, "2", "5.00", expect=200)
        self._settle("2", "0")
        self._console.rule("The same callback twice: one bet, the same answer to the byte")
        first, again = self._bet(session, "3", "1.50", expect=200), self._bet(session, "3", "1.50", expect=200)
        _demand(first.raw == again.raw, f"the repeat heard {again.raw!r} instead of {first.raw!r}")
        self._console.rule("Its rollback: the stake returns")
        self._rollback("3", expect="rolled_back")
        self._console.rule("A rollback that overtakes its bet: the late bet never begins")
        self._rollback("4", expect="tombstoned")
        self._bet(session, "4", "3.00", expect=409, code="BET_TOMBSTONED")
        self._console.rule("More than the player has")
        self._bet(self._session(poor), "5", "50.00", expect=402, code="INSUFFICIENT_FUNDS")
        self._console.rule("A forged signature")
        self._bet(session, "6", "1.00", expect=401, code="SIGNATURE_INVALID", secret=session)
        self._console.rule("The wallet")
        self._tell(
            "GET",
            f"/v1/players/{player}/wallets/EUR",
            None,
            self._provider.get(f"/v1/players/{player}/wallets/EUR"),
            200,
        )

    def _session(self, player_id: str) -> str:
        body = {"player_id": player_id, "game_id": "studio:slot_forge_02", "currency": "EUR", "locale": "de-DE"}
        return str(self._post("/v1/sessions", body, f"session_{player_id}", 201).body["session_id"])

    def _bet(
        self,
        session_id: str,
        name: str,
        amount: str,
        *,
        expect: int,
        code: str | None = None,
        secret: str | None = None,
    ) -> Answer:
        money = {"amount": amount, "currency": "EUR"}
        body = {
            "session_id": session_id,
            "bet_id": self._id("b", name),
            "round_id": self._id("r", name),
            "amount": money,
        }
        answer = self._post("/v1/bets/authorize", body, f"bet_{name}", expect, secret=secret)
        _demand(code in (None, answer.body.get("code")), f"expected {code}, heard {answer.body}")
        return answer

    def _settle(self, name: str, win: str) -> None:
        body = {
            "bet_id": self._id("b", name),
            "round_id": self._id("r", name),
            "win": {"amount": win, "currency": "EUR"},
        }
        self._post("/v1/bets/settle", body, f"settle_{name}", 200)

    def _rollback(self, name: str, *, expect: str) -> None:
        answer = self._post(
            "/v1/bets/rollback",
            {"bet_id": self._id("b", name), "round_id": self._id("r", name)},
            f"rollback_{name}",
            200,
        )
        _demand(answer.body["status"] == expect, f"expected {expect}, heard {answer.body}")

    def _id(self, kind: str, name: str) -> str:
        return f"{kind}_{self.run_id}_{name}"

    def _post(
        self, target: str, body: Mapping[str, Any], key: str, expect: int, *, secret: str | None = None
    ) -> Answer:
        return self._tell(
            "POST", target, body, self._provider.post(target, body, f"{key}_{self.run_id}", secret=secret), expect
        )

    def _tell(self, method: str, target: str, body: Mapping[str, Any] | None, answer: Answer, expect: int) -> Answer:
        colour = "green" if answer.status < 300 else "yellow"
        self._console.print(f"[bold]{method} {target}[/]", body or "", highlight=False, soft_wrap=True)
        self._console.print(f"  [{colour}]{answer.status}[/]", answer.body, highlight=False, soft_wrap=True)
        _demand(
            answer.status == expect,
            f"{method} {target} was answered {answer.status} instead of {expect}: {answer.body}",
        )
        return answer


def _wait_for_read_models(system: System, rounds: _Rounds) -> None:
    """Until the BI database has come as far as the ledger's streams are now."""
    with psycopg.connect(system.stack.ledger_database.url) as ledger:
        (goal,) = ledger.execute("select coalesce(sum(version), 0) from wagerledger.streams").fetchone() or (0,)
    with psycopg.connect(system.stack.bi_database.url, autocommit=True) as bi:
        _wait(lambda: folded(bi) == goal)


def _sealed(system: System) -> bool:
    """Whether a signed tree head covers everything."""
    with psycopg.connect(system.stack.ledger_database.url) as connection:
        row = connection.execute(SEALED).fetchone()
        return bool(row and row[0])


def _wait(condition: Callable[[], bool], otherwise: str = "the read models did not catch up") -> None:
    deadline = time.monotonic() + CATCH_UP_TIMEOUT_S
    while not condition():
        _demand(time.monotonic() < deadline, f"{otherwise} within {CATCH_UP_TIMEOUT_S:.0f} s")
        time.sleep(0.05)


def _show_events(system: System, console: Console) -> None:
    settings = system.settings()
    reader = registry.Reader(registry.connect(settings.schema_registry_url.get_secret_value()))
    grid = Table(
        "partition@offset",
        "event",
        "stream",
        "version",
        "postings",
        "time",
        title=f"Topic {Topics().events}, decoded through the registry",
        title_justify="left",
    )
    for message in read_all(settings.kafka_bootstrap_servers, Topics(settings.topic_prefix).events):
        record = reader.read(message.value()).record
        postings = ", ".join(
            f"{p['account']} {format_minor(p['amount_minor'], record['payload']['exponent'])}"
            for p in record["postings"]
        )
        grid.add_row(
            f"{message.partition()}@{message.offset()}",
            record["event_type"],
            record["stream_id"],
            str(record["stream_version"]),
            postings,
            f"{to_datetime(record['occurred_at']):%H:%M:%S.%f}",
        )
    console.print(grid)


def _show_read_models(system: System, console: Console) -> None:
    with psycopg.connect(system.stack.bi_database.url) as connection:
        for title, query in (("bi.balances", BALANCES), ("bi.bets", BETS), ("bi.rounds", ROUNDS)):
            cursor = connection.execute(query)
            grid = Table(
                *(column.name for column in cursor.description or ()),
                title=f"BI database: {title}",
                title_justify="left",
            )
            for row in cursor:
                grid.add_row(*("" if value is None else str(value) for value in row))
            console.print(grid)


def _show_verdict(system: System, console: Console) -> None:
    settings = system.settings()
    _wait(lambda: _sealed(system), "the log was not sealed")
    report = verify(settings, anchors=True)
    console.rule("The audit's verdict")
    for what, count in report.checked.items():
        console.print(f"  {what}: {count}", highlight=False)
    for finding in report.findings:
        console.print(f"  {finding}", highlight=False, markup=False)
    _demand(report.ok, "the audit has findings")
    agreed = "[green]Everything agrees:[/] chains, sums, folds, commands, topics, signed tree heads."
    console.print(agreed, highlight=False)


def _demand(holds: bool, otherwise: str) -> None:  # reads as a sentence
    if not holds:
        raise DemoError(otherwise)
