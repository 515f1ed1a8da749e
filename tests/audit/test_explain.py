"""A bet on one page: all that was asked, answered, recorded and stored of it."""

import asyncio
import json
import re
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from typer.testing import CliRunner

from audit.bet_page import as_html, lines
from audit.explain import BETS, COMMANDS, INTEGRATIONS, ROUND, THE_WIN, WINS_OF_BET, WINS_OF_ROUND, explain
from cli.main import app
from ledger.core.chain import hash_of
from ledger.core.commands import Command
from ledger.core.policy import KNOWN, Policy
from ledger.journal.writer import Journal
from ledger.outcome import Callback
from runtime.settings import Settings
from tests.support.commands import Asks

EVIL = "<script>alert(1)</script>"
NOWHERE = "postgresql://nobody@127.0.0.1:1/none"
REGISTER = """
with added as (
    insert into wagerledger.integrations (integration_id, tenant_id, region, provider_id, dialect, policy)
    values (%(id)s, 'acme', 'eu', %(id)s, 'canonical', '{}')
)
insert into wagerledger.acts (act_id, acted_at, tenant_id, region, action, subject, actor, reason, content)
values (gen_random_uuid(), now(), 'acme', 'eu', 'integration.added', %(id)s, 'ann', 'test', '{}')
"""


@pytest.fixture(scope="module")
def settings(ledger_database_of_module) -> Settings:
    """A bet that was refused first, won with its round, was undone and repeated; a bet id that two integrations use."""
    settings = Settings(database_url=ledger_database_of_module, bi_database_url=NOWHERE)
    asyncio.run(_play(settings))
    return settings


async def _play(settings: Settings) -> None:
    asks, other, operator = Asks("acme", "acme/eu/spin"), Asks("acme", "acme/eu/other"), Asks("acme", None)
    policy = Policy(session=KNOWN, win_needs_bet=False)
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        for integration_id in ("acme/eu/spin", "acme/eu/other"):
            connection.execute(REGISTER, {"id": integration_id})

    async with Journal(settings) as journal:

        async def do(*commands: Command) -> None:
            signed = tuple(replace(one, origin=replace(one.origin, kid="kid-7")) for one in commands)
            await journal.submit(Callback(signed, policy, render=lambda outcome: f"told {outcome.code}".encode()))

        await do(operator.open_wallet())
        await do(asks.debit("5", "b1", "r1", key="too-early"))
        await do(operator.deposit("100"))
        await do(asks.debit("5", "b1", "r1", key="bet-1"))
        await do(asks.debit("3", "b2", "r1", key=EVIL))
        await do(asks.settle("8", "b1", "r1", key="win-1"))
        await do(asks.win("2", "w2", "r1", key="round-win"), asks.finish("r1", key="end"))
        await do(asks.settle("8", "b1", "r1", key="win-again"))
        await do(other.debit("1", "twice", "o1"))
        await do(asks.debit("1", "twice", "o1"))
        await do(asks.rollback("never", "r7", key="void"))


def test_its_rows_are_found_by_their_keys(settings):
    """Of a large ledger nothing is read whole for one bet, but what was refused and what made no event."""
    queries = [*INTEGRATIONS.values(), *BETS.values(), THE_WIN, WINS_OF_ROUND, WINS_OF_BET, COMMANDS]
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        connection.execute("set local enable_seqscan = off")
        for query in queries:
            numbers = count(1)
            asked = re.sub("%s", lambda _: f"${next(numbers)}", query)  # noqa: B023  # called at once
            plan = "\n".join(line for (line,) in connection.execute("explain (generic_plan) " + asked))
            assert set(re.findall(r"Seq Scan on (\w+)", plan)) <= {"refusals", "integrations"}, plan
            assert re.search(r"(Index|Recheck) Cond: .*sha256", plan), plan


def test_a_bet_is_told_from_its_first_refusal_to_its_end(settings):
    """Each command once, in the order of time, with key, signer, fingerprint, outcome and answer, and each event below its own command."""
    found = explain(settings, "b1")
    told = [(step.command.idempotency_key, step.command.outcome_text.partition(" (")[0]) for step in found.steps]
    assert told == [
        ("too-early", "refused: INSUFFICIENT_FUNDS"),
        ("bet-1", "authorized"),
        ("win-1", "credited"),
        ("round-win", "credited"),
        ("end", "finished"),
        ("win-again", "refused: BET_ALREADY_SETTLED"),
    ]
    for step in found.steps:
        command = step.command
        assert (command.kid, command.scope) == ("kid-7", "acme/eu/spin")
        assert command.fingerprint
        assert command.answer == f"told {command.refusal or 'ACCEPTED'}".encode()
        assert command.command_json["bet_id"] == "b1" if command.refusal else command.command_json is None
        assert len(step.events) == (0 if command.refusal else 1)
        assert all(event.record["trace_id"] == command.trace_id for event in step.events)
    bet, win, round_win, end = (event for step in found.steps for event in step.events)
    assert [event.record["event_type"] for event in (bet, win, round_win, end)] == [
        *("bet.authorized", "bet.settled", "bet.settled", "round.finished"),
    ]
    assert win.version > bet.version
    assert end.record["previous_hash"] == hash_of(round_win.body)
    assert sum(posting.amount_minor for posting in bet.postings) == 0
    assert (found.stored["bets"][0]["status"], found.stored["bets"][0]["win_minor"]) == ("settled", 800)


def test_a_round_is_told_with_all_its_bets(settings):
    """By the round's id come both bets and the win that names neither."""
    found = explain(settings, "r1", what=ROUND)
    assert {row["bet_id"] for row in found.stored["bets"]} == {"b1", "b2"}
    assert [step.command.idempotency_key for step in found.steps if step.events] == [
        *("bet-1", EVIL, "win-1", "round-win", "end"),
    ]
    tombstone = explain(settings, "never")
    assert tombstone.steps[0].events[0].record["event_type"] == "bet.tombstoned"
    assert explain(settings, "w2").steps[0].command.kind == "SettleBet", "a win's own id is known too"


def test_who_is_meant_must_be_clear(settings):
    """An id of two integrations asks which; an id of nobody says so."""
    with pytest.raises(LookupError, match=r"acme/eu/other, acme/eu/spin.*--integration"):
        explain(settings, "twice")
    assert (
        explain(settings, "twice", integration_id="acme/eu/other").stored["bets"][0]["integration_id"]
        == "acme/eu/other"
    )
    with pytest.raises(LookupError, match="nothing"):
        explain(settings, "nothing")


def test_the_page_is_whole_and_safe(settings, tmp_path):
    """Text, JSON and a page that loads nothing; other people's text is never markup, and absent read models are said."""
    found = explain(settings, "b2")
    page = as_html(found)
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert "WAGERLEDGER_BI_DATABASE_URL" in page
    assert "default-src &#x27;none&#x27;" in page
    text = "\n".join(lines(found))
    for wanted in ("acme/ann/EUR held", "3.00 EUR", "kid-7", "hash", found.steps[0].trace_id):
        assert wanted in text

    environment = {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_BI_DATABASE_URL": NOWHERE,
    }

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", "explain", *arguments], env=environment)
        return done.exit_code, done.output

    code, said = run("b1", "--json", "--html", str(tmp_path / "bet.html"))
    assert (code, json.loads(said)["stored"]["bets"][0]["bet_id"]) == (0, "b1")
    assert "Bet b1" in (tmp_path / "bet.html").read_text()
    code, said = run("--round", "r1")
    assert (code, max(map(len, said.splitlines())) <= 160) == (0, True), "long lines are wrapped"
    assert run("twice")[0] == 1
    assert run()[0] == 2
