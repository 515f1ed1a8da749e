"""A bet on one page: all that was asked, answered, recorded and stored of it."""

import asyncio
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from itertools import count

import psycopg
import pytest
from typer.testing import CliRunner

from audit.bet_page import as_html
from audit.bet_picture import arrows
from audit.bet_story import headline, problems, proven
from audit.bet_text import lines
from audit.event_proofs import FOLLOWING
from audit.explain import (
    BETS,
    COMMANDS,
    EVENTLESS,
    INTEGRATIONS,
    REFUSALS,
    THE_WIN,
    WINS_OF_BET,
    WINS_OF_ROUND,
    explain,
)
from audit.explanation import BET, ROUND, Event, EventCopy
from cli.main import app
from ledger.core.chain import hash_of
from ledger.core.commands import Command
from ledger.core.policy import KNOWN, Policy
from ledger.journal.writer import Journal
from ledger.outcome import Callback
from runtime.settings import Settings
from schemas.events import BY_FINGERPRINT
from tests.support.commands import Asks
from tests.support.seals import seal
from tests.support.wrong_hand import disarm

EVIL = "<script>alert(1)</script>"
CHANGE = "update wagerledger.event_log set body = %s where position = %s"
AWAY = "update wagerledger.event_log set stream_id = %s where position = %s"
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


@contextmanager
def _changed(url: str, event: Event) -> Iterator[None]:
    """Meanwhile somebody has written another win into it."""
    record = {**event.record, "payload": {**event.record["payload"], "win_minor": 900}}
    with psycopg.connect(url) as connection:
        disarm(connection)
        connection.execute(CHANGE, [BY_FINGERPRINT[event.fingerprint].encode(record), event.position])
    try:
        yield
    finally:
        with psycopg.connect(url) as connection:
            connection.execute(CHANGE, [event.body, event.position])


def test_its_rows_are_found_by_their_keys(settings):
    """Of a large ledger nothing is read whole for one bet."""
    queries = [*INTEGRATIONS.values(), *BETS.values(), THE_WIN, WINS_OF_ROUND, WINS_OF_BET, COMMANDS]
    queries += [*EVENTLESS.values(), *REFUSALS.values()]
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        connection.execute("set local enable_seqscan = off")
        for query in queries:
            numbers = count(1)
            asked = re.sub("%s", lambda _: f"${next(numbers)}", query)  # noqa: B023  # called at once
            plan = "\n".join(line for (line,) in connection.execute("explain (generic_plan) " + asked))
            assert set(re.findall(r"Seq Scan on (\w+)", plan)) <= {"integrations"}, plan
            assert re.search(r"(Index|Recheck) Cond: .*sha256", plan), plan
        plan = "\n".join(line for (line,) in connection.execute("explain " + FOLLOWING, [["a"], ["b"], ["c"], [1]]))
        assert "Seq Scan" not in plan, plan


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


def test_a_bet_is_told_in_one_sentence(settings):
    """Who staked what on what, what came of it, and what it did to the cash: without microseconds, brackets or Python's words."""
    one, whole_round, never, refused = (
        headline(explain(settings, subject, what=what, integration_id="acme/eu/spin"))
        for subject, what in (("b1", BET), ("r1", ROUND), ("never", BET), ("twice", BET))
    )
    assert re.fullmatch(
        r"ann staked 5.00 EUR on a game that was not named at 20\d\d-\d\d-\d\d \d\d:\d\d:\d\d UTC, won 10.00 EUR, "
        r"paid [\d.]+ (ms|s) later; cash 100.00 → 102.00 EUR \(-3.00 of it by other play in between\).",
        one,
    ), one
    assert "ann staked 8.00 EUR with 2 bets" in whole_round
    assert "It never began and never can; no money moved." in never
    assert "ann staked 1.00 EUR" in refused
    for page in (as_html(explain(settings, "b1")), "\n".join(lines(explain(settings, "b1"), details=True))):
        assert not re.search(r"\bNone\b|\bTrue\b|\bFalse\b|\{'|\d\d:\d\d\.\d{4}", page)
    assert page.count("b1") > 1


def test_a_picture_shows_where_the_money_went(settings):
    """Each event's postings as arrows from account to account, the end of the round included."""
    found = explain(settings, "b1")
    told = [(one.from_account, one.to_account, one.amount_minor) for one in arrows(found)]
    assert told == [
        ("cash", "held", 500),
        ("held", "cash", 500),
        ("house", "cash", 300),
        ("house", "cash", 200),
        ("held", "house", 300),
    ]
    assert as_html(found).count('class="arrow"') == len(told)


def test_a_changed_event_is_said_first(settings):
    """Before it was sealed the next event tells, afterwards the leaf too, also where the chain was computed again; the copy that is true is named with what differs."""
    url = settings.database_url.get_secret_value()
    assert proven(explain(settings, "b1")) == "Not sealed yet: the next tree head covers it; chain whole."
    assert 'class="ok"' not in as_html(explain(settings, "b1"))
    seal(url)
    found = explain(settings, "b1")
    assert re.fullmatch(r"Proven: sealed as leaves [\d, ]+ and \d+, chain whole.", proven(found))
    assert not list(problems(found))
    assert 'class="ok"' in as_html(found)
    bet, win = found.steps[1].events[0], found.steps[2].events[0]
    with _changed(url, win):
        wrong = explain(settings, "b1", integration_id="acme/eu/spin")
        (problem,) = problems(wrong)
        assert (
            problem.title == f"bet.settled, version {win.version} of acme/player/ann, was changed after it was written."
        )
        assert "Another content was sealed." in problem.texts
        assert any(hash_of(win.body).hex() in text for text in problem.texts), "what the next event carries"
        wrong.copies[win.place] = EventCopy("ledger.events, partition 1, offset 2", win.record, true=True)
        (problem,) = problems(wrong)
        assert "Win: the log says 9.00 EUR, the true copy 8.00 EUR." in problem.texts
        page, text = as_html(wrong), "\n".join(lines(wrong))
        assert 'class="alarm"' in page
        assert '<li class="changed">' in page
        assert "WRONG: bet.settled" in text
        assert headline(wrong).startswith("As the log has it now: ")
        assert "Proven" not in page + text
        forged = replace(wrong.proofs[win.place], carried=wrong.proofs[win.place].hash)
        assert (wrong.proofs[bet.place].whole, forged.followed, forged.changed) == (True, True, True)
    assert not list(problems(explain(settings, "b1")))


def test_an_event_that_is_gone_is_said(settings):
    """The tables still name what it made."""
    found = explain(settings, "b1")
    win = found.steps[2].events[0]
    with psycopg.connect(settings.database_url.get_secret_value()) as connection:
        disarm(connection)
        connection.execute(AWAY, ["nobody", win.position])
        connection.commit()
        try:
            texts = [text for problem in problems(explain(settings, "b1")) for text in problem.texts]
        finally:
            connection.execute(AWAY, [win.stream.stream_id, win.position])
    assert any(text.startswith("No event of the log makes win ") for text in texts), texts


def test_the_page_is_whole_and_safe(settings, tmp_path):
    """Text, JSON and a page that loads nothing; other people's text is never markup, and absent read models are said."""
    found = explain(settings, "b2")
    page = as_html(found)
    assert "&lt;script&gt;alert" in page
    assert "<script" not in page
    assert "WAGERLEDGER_BI_DATABASE_URL" in page
    assert "default-src &#x27;none&#x27;" in page
    text = "\n".join(lines(found, details=True))
    for wanted in ("acme/ann/EUR held", "3.00 EUR", "kid-7", "hash", found.steps[0].trace_id):
        assert wanted in text

    environment = {
        "WAGERLEDGER_DATABASE_URL": settings.database_url.get_secret_value(),
        "WAGERLEDGER_BI_DATABASE_URL": NOWHERE,
    }

    def run(*arguments: str) -> tuple[int, str]:
        done = CliRunner().invoke(app, ["audit", "explain", *arguments], env=environment)
        return done.exit_code, done.stdout

    code, said = run("b1", "--json", "--html", str(tmp_path / "bet.html"))
    assert (code, json.loads(said)["stored"]["bets"][0]["bet_id"]) == (0, "b1")
    assert "Bet b1" in (tmp_path / "bet.html").read_text()
    code, said = run("--round", "r1")
    assert (code, max(map(len, said.splitlines())) <= 160) == (0, True), "long lines are wrapped"
    assert run("twice")[0] == 1
    assert run()[0] == 2
