"""What every dialect must do, whatever its protocol. Each check plays with players of its own and reads from the driver's
traits what its contract says; none asks which dialect it is.
"""

import base64
import copy
import re
import string
import time
import uuid
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from decimal import ROUND_DOWN, Decimal

from gateway.dialect.call import Call
from gateway.dialect.dialect import Dialect
from gateway.dialect.errors import Rejected
from gateway.dialect.incoming import Trace
from gateway.dialect.integration import Integration
from sandbox.drivers import driver_of
from sandbox.drivers.driver import Answer, Request, Says, Traits
from schemas.errors import ERRORS
from tests.gateway.providers.calls import Calls
from tests.support.house import LONG_AGO_US, Heard, Play, Table
from tests.support.seeds import seeded_random

START = Decimal(100)
"""What a new player has."""
TEMPORARY = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "OVERLOADED", "RATE_LIMITED")
WHOLE_BODY = 400
"""Bytes up to which each one is mutated; of longer bodies some are."""


@dataclass(frozen=True)
class Tables:
    """One dialect, mounted for several tenants, and for one of them in two regions."""

    home: Table
    other: Table
    fine: Table
    abroad: Table
    """Of home's tenant, in another region."""
    twin: Table
    twin_brand: Table
    """Another brand's, with the same key."""
    dialect: Dialect
    integration: Integration
    """Home's, as the gateway has it."""
    calls: Calls

    @property
    def traits(self) -> Traits:
        return self.home.driver.traits


Check = Callable[[Tables], None]
CHECKS: list[Check] = []


def check(function: Check) -> Check:
    CHECKS.append(function)
    return function


def expect(heard: Heard, says: Says) -> None:
    assert heard.says == says, f"{heard}, expected {says}"


def yes(heard: Heard, traits: Traits, *, repeat: bool = False) -> None:
    expect(heard, (repeat and traits.repeat) or traits.ok)
    assert heard.reading.ok, heard


def no(heard: Heard, says: Says) -> None:
    expect(heard, says)
    assert not heard.reading.ok, heard


def as_told(traits: Traits, amount: Decimal) -> Decimal:
    if traits.balance_decimals is None:
        return amount
    return amount.quantize(Decimal(1).scaleb(-traits.balance_decimals), ROUND_DOWN)


def tells(heard: Heard, traits: Traits, amount: Decimal) -> None:
    """Where the answer names a balance, it is this one."""
    if heard.reading.balance is not None:
        assert heard.reading.balance == as_told(traits, amount), heard


def has(play: Play, amount: Decimal) -> None:
    assert play.available == amount, f"{play.wallet}, expected {amount} available"


# Signatures ---------------------------------------------------------------------------------------------------------


@check
def a_signed_call_is_answered(at: Tables) -> None:
    """A correctly signed question for the balance hears it."""
    play = at.home.sit("98.50")
    heard = play.balance()
    yes(heard, at.traits)
    assert heard.reading.balance == Decimal("98.50"), heard


@check
def each_mutated_byte_of_the_body_is_refused(at: Tables) -> None:
    """Where the credentials prove the content, one changed bit of it is a forgery, and moves nothing."""
    if not at.traits.covers_body:
        return
    play = at.home.sit()
    signed = at.home.driver.signed(play.a_bet())
    with at.home.house.nothing_changes():
        for body in _mutations(signed.body):
            _forged(at, at.home.send_as_is(replace(signed, body=body), play.seat))


@check
def each_mutated_byte_of_the_credentials_is_refused(at: Tables) -> None:
    """So is one changed bit of the signature or whatever else proves the caller."""
    play = at.home.sit()
    with at.home.house.nothing_changes():
        for request in (play.a_bet(), at.home.driver.balance(play.seat)):
            signed = at.home.driver.signed(request)
            for name in at.traits.signature_headers:
                if (value := signed.headers.get(name)) is None:
                    continue
                for mutated in _mutations(value.encode("latin-1")):
                    headers = {**signed.headers, name: mutated.decode("latin-1")}
                    _forged(at, at.home.send_as_is(replace(signed, headers=headers), play.seat))
            if at.traits.covers_query:
                for mutated in _mutations(signed.query.encode()):
                    forged = replace(signed, query=mutated.decode("latin-1"))
                    _forged(at, at.home.send_as_is(forged, play.seat))


@check
def a_missing_or_cut_signature_is_refused(at: Tables) -> None:
    """No, an empty, a shorter and a longer signature are refused like a wrong one, and break nothing."""
    play = at.home.sit()
    signed = at.home.driver.signed(play.a_bet())
    with at.home.house.nothing_changes():
        no(at.home.send_as_is(play.a_bet(), play.seat), at.traits.bad_signature)
        for name in at.traits.signature_headers:
            value = signed.headers[name]
            for wrong in (None, "", value[:-1], value[:1], value + "0", value + value, "é" * len(value)):
                headers = {key: text for key, text in signed.headers.items() if key != name}
                headers |= {} if wrong is None else {name: wrong}
                no(at.home.send_as_is(replace(signed, headers=headers), play.seat), at.traits.bad_signature)


@check
def another_key_is_refused(at: Tables) -> None:
    """A call signed with another integration's key is a forgery on this path, and so is ours on the other's path."""
    for victim, forger in ((at.home, at.other), (at.other, at.home)):
        play = victim.sit()
        thief = copy.copy(forger.driver)
        for kid in {victim.driver.kid, forger.driver.kid}:
            thief.mounted(victim.driver.base_path, kid)
            with victim.house.nothing_changes():
                no(victim.send_as_is(thief.signed(play.a_bet()), play.seat), at.traits.bad_signature)


@check
def a_stale_signature_is_refused(at: Tables) -> None:
    """Where time is signed, a call from outside the window is refused, and one inside of it is not."""
    window = at.traits.time_window_s
    if window is None:
        return
    play, now = at.home.sit(), time.time()
    with at.home.house.nothing_changes():
        for off in (-window - 5, window + 5, -86_400 * 400):
            no(at.home.send(play.a_bet(), play.seat, at=now + off), at.traits.stale or at.traits.bad_signature)
    yes(at.home.send(play.a_bet(), play.seat, at=now - window + 5), at.traits)


def _forged(at: Tables, heard: Heard) -> None:
    assert not heard.reading.ok, heard
    if at.traits.signature_headers:
        assert heard.says in (at.traits.bad_signature, at.traits.stale), heard
    assert heard.says != at.traits.temporary, heard


def _mutations(value: bytes) -> Iterator[bytes]:
    """`value` with the lowest bit of one byte changed: each byte of a short value, the ends and a sample of a long one."""
    positions = range(len(value))
    chosen = (
        positions if len(value) <= WHOLE_BODY else sorted({0, len(value) - 1, *seeded_random().sample(positions, 100)})
    )
    for index in chosen:
        yield value[:index] + bytes([value[index] ^ 1]) + value[index + 1 :]


@check
def every_endpoint_wants_credentials(at: Tables) -> None:
    """No path of the dialect answers a stranger, but those that touch nothing and say so."""
    play = at.home.sit()
    with at.home.house.nothing_changes():
        for endpoint in at.dialect.endpoints:
            if not endpoint.open:
                path = re.sub(r"{\w+}", "x", endpoint.path)
                for body in (b"", b"{}", play.a_bet().body):
                    request = Request(path, body if endpoint.method == "POST" else b"", endpoint.method)
                    heard = at.home.send_as_is(request, play.seat)
                    assert not heard.reading.ok, heard
                    assert heard.says.code == at.traits.bad_signature.code, heard
                for path in endpoint.as_written:
                    answer = at.home.ask(endpoint.method, re.sub(r"{\w+}", "x", path), play.a_bet().body)
                    assert answer.status == 404 or not at.home.driver.read(answer, play.seat).ok, answer


# One proof, one call ---------------------------------------------------------------------------------------------


@check
def an_accepted_call_proves_no_other(at: Tables) -> None:
    """Its signed bytes move nothing at any other endpoint, path spelling, integration or brand; nor do those of a
    repeat.
    """
    at.twin_brand.sit(player_id=(play := at.twin.sit()).seat.player_id)
    for request in _whole_round(play):
        first, repeat = at.twin.driver.signed(request), at.twin.driver.signed(request)
        yes(at.twin.send_as_is(first, play.seat), at.traits)
        proves_nothing_else(at.twin, at.dialect, [first], at.twin_brand)
        if not at.traits.uses_signature_once:
            assert at.twin.send_as_is(repeat, play.seat).reading.ok
        if repeat != first:
            proves_nothing_else(at.twin, at.dialect, [repeat], at.twin_brand)
    own = at.home.sit()
    for request in _whole_round(own) if at.dialect.proof_names_operation else ():  # also where no twin has the key
        signed = at.home.driver.signed(request)
        yes(at.home.send_as_is(signed, own.seat), at.traits)
        proves_nothing_else(at.home, at.dialect, [signed])


@check
def a_refused_call_proves_no_other(at: Tables) -> None:
    """Nor do those of a refused one, also when there is money now."""
    for table, others in ((at.home, ()), (at.twin, (at.twin_brand,))):
        play = table.sit("1")
        for other in others:
            other.sit("1000", player_id=play.seat.player_id)
        signed = table.driver.signed(play.a_bet(amount="200"))
        with table.house.no_event():
            no(table.send_as_is(signed, play.seat), at.traits.insufficient)
        unknown = table.driver.signed(play.a_win())
        table.send_as_is(unknown, play.seat)
        table.deposit(play.seat, "1000")
        proves_nothing_else(table, at.dialect, [signed, unknown], *others)


@check
def a_refused_win_is_paid_when_it_comes_again(at: Tables) -> None:
    """A win that overtook its bet works when it is sent again unchanged: it is the same call."""
    if at.traits.win_without_bet_pays:
        return
    play = at.home.sit()
    early = at.home.driver.signed(play.a_win())
    expect(at.home.send_as_is(early, play.seat), at.traits.win_without_bet)
    yes(play.bet(), at.traits)
    again = at.home.driver.signed(play.a_win()) if at.traits.uses_signature_once else early
    assert at.home.send_as_is(again, play.seat).reading.ok
    has(play, START + 3)


def _whole_round(play: Play) -> Iterator[Request]:
    """A bet that wins and one that is cancelled, and what else the protocol has."""
    yield play.driver.balance(play.seat)
    yield play.a_bet()
    yield play.a_win()
    yield play.a_bet("lost", "2", "lost round")
    yield play.a_cancel("cancel", "lost", "2", "lost round")
    both = play.driver.bet_and_win(play.seat, play.id("b2"), "2", play.id("w2"), "3", play.id("round 2"))
    end = play.driver.finish(play.seat, play.id("round"))
    yield from filter(None, (both, end))


def proves_nothing_else(table: Table, dialect: Dialect, sent: Iterable[Request], *with_same_key: Table) -> None:
    """No event comes of signed bytes at another endpoint, another spelling of the path, or another integration."""
    house = table.house
    before = house.row(MARKS_OF_EVENTS)
    for signed in sent:
        moved = [*_other_calls(dialect, signed, covers_body=table.driver.traits.covers_body)]
        answers = table.sending_all(moved)
        for other in with_same_key:
            answers += other.sending_all([signed, *moved])
        assert house.row(MARKS_OF_EVENTS) == before, f"{signed} moved something as another call: {answers}"


MARKS_OF_EVENTS = "select count(*), max(position) from wagerledger.event_log"


def _other_calls(dialect: Dialect, signed: Request, *, covers_body: bool) -> Iterator[Request]:
    """`signed` wherever else it could be sent, and in such spellings as its signature may not notice."""
    paths = {one.path for one in dialect.endpoints if one.method == signed.method and not one.open} - {signed.path}
    bodies = {signed.body}
    if covers_body:
        bodies |= {signed.body + b" ", b"&".join(reversed(signed.body.split(b"&")))}
    for path in sorted(paths):
        yield from (replace(signed, path=path, body=body) for body in sorted(bodies))
    spellings = {signed.path + end for end in ("/", "%20", ";a")} | {signed.path.swapcase(), "/" + signed.path}
    spellings |= {signed.path[:-1] + f"%{ord(letter):02x}" for letter in signed.path[-1:]}
    # Where the proof says it, the slash after the base URL is nothing that could be taken for another call.
    spellings -= {signed.path, *paths, *(["/" + signed.path] if dialect.proof_names_operation else ())}
    yield from (replace(signed, path=path) for path in sorted(spellings))
    if signed.method != "GET" and not dialect.query_has_credentials:
        yield replace(signed, query="a=1")


# Idempotency --------------------------------------------------------------------------------------------------------


@check
def the_same_bet_three_times_is_one_bet(at: Tables) -> None:
    """Repeats take nothing, hear our first id, and the balance that the contract wants."""
    play = at.home.sit()
    first = play.bet()
    yes(first, at.traits)
    tells(first, at.traits, START - 2)
    yes(play.bet("another", "1"), at.traits)
    for _ in range(2):
        again = play.bet()
        yes(again, at.traits, repeat=True)
        assert again.reading.ids == first.reading.ids, again
        if at.traits.replay_balance:
            tells(again, at.traits, START - 2 if at.traits.replay_balance == "stored" else START - 3)
    has(play, START - 3)


@check
def an_answer_echoes_its_own_request(at: Tables) -> None:
    """A repeat under a new request id hears that one; the money moved once."""
    play = at.home.sit()
    asked = set()
    for _ in range(2):
        heard = play.bet()
        echo = at.home.driver.echo(heard.request, heard.answer)
        if echo is None:
            return
        assert echo[0] == echo[1], heard
        asked.add(echo[0])
    assert len(asked) == 2, "the driver must give each request an id of its own"
    has(play, START - 2)


@check
def the_same_bet_at_the_same_moment_is_one_bet(at: Tables) -> None:
    """Concurrent twins commit once, and each of them hears yes."""
    play = at.home.sit()
    for heard in at.home.send_at_once(play.a_bet(), play.seat, 5):
        assert heard.reading.ok, heard
        assert heard.says in (at.traits.ok, at.traits.repeat), heard
    has(play, START - 2)


@check
def the_same_win_three_times_is_paid_once(at: Tables) -> None:
    """Repeats of a win give nothing more."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    first = play.win()
    yes(first, at.traits)
    tells(first, at.traits, START + 3)
    for heard in (play.win(), play.win()):
        assert heard.reading.ok, heard
        assert heard.reading.ids == first.reading.ids, heard
    has(play, START + 3)


@check
def the_same_cancel_three_times_refunds_once(at: Tables) -> None:
    """Repeats of a cancel give nothing more, nor does another cancel of the same bet."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    yes(play.cancel(), at.traits)
    has(play, START)
    assert play.cancel().reading.ok
    expect(play.cancel(), at.traits.cancel_again or at.traits.ok)
    expect(play.cancel("another cancel"), at.traits.cancel_again or at.traits.ok)
    has(play, START)


@check
def the_same_id_with_another_amount_moves_nothing(at: Tables) -> None:
    """An id means one amount."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    with at.home.house.no_event():
        expect(play.bet(amount="3"), at.traits.other_amount)
    has(play, START - 2)


@check
def a_call_without_an_id_is_refused(at: Tables) -> None:
    """A made-up id would pay twice."""
    play = at.home.sit()
    with at.home.house.nothing_changes():
        no(play.send(at.home.driver.without_id(play.seat)), at.traits.missing_id)


# Rules --------------------------------------------------------------------------------------------------------------


@check
def a_bet_above_the_balance_is_refused(at: Tables) -> None:
    """Refused with the balance as it is; the whole balance may be staked."""
    play = at.home.sit()
    with at.home.house.no_event():
        heard = play.bet("too much", "100.01" if at.traits.decimals != 0 else "101")
    no(heard, at.traits.insufficient)
    tells(heard, at.traits, START)
    yes(play.bet("all of it", "100"), at.traits)
    has(play, Decimal(0))


@check
def a_refused_bet_can_be_cancelled(at: Tables) -> None:
    """Nothing comes back, since nothing was taken."""
    play = at.home.sit()
    no(play.bet(amount="200"), at.traits.insufficient)
    expect(play.cancel(amount="200"), at.traits.cancel_unknown)
    has(play, START)


@check
def a_cancel_overtakes_its_bet(at: Tables) -> None:
    """A cancel of what nobody knows is remembered: the late bet never begins, however often it is tried."""
    play = at.home.sit()
    expect(play.cancel(), at.traits.cancel_unknown)
    for _ in range(2):
        expect(play.bet(), at.traits.late_bet)
        has(play, START)
    expect(play.cancel(), at.traits.cancel_unknown)
    has(play, START)


@check
def a_bet_after_its_cancel_stays_cancelled(at: Tables) -> None:
    """The repeat of a bet that was cancelled takes nothing again."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    yes(play.cancel(), at.traits)
    play.bet()
    has(play, START)


@check
def a_win_without_a_bet(at: Tables) -> None:
    """Paid or refused, as the contract says."""
    play = at.home.sit()
    expect(play.win(), at.traits.win_without_bet)
    has(play, START + (5 if at.traits.win_without_bet_pays else 0))


@check
def a_win_that_overtook_its_bet_is_paid_when_it_is_repeated(at: Tables) -> None:
    """A refusal for lack of the bet does not use the id up."""
    if at.traits.win_without_bet_pays:
        return
    play = at.home.sit()
    play.win()
    yes(play.bet(), at.traits)
    yes(play.win(), at.traits)
    has(play, START + 3)


@check
def a_win_after_the_cancel(at: Tables) -> None:
    """Paid or refused, as the contract says."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    yes(play.cancel(), at.traits)
    expect(play.win(), at.traits.win_after_cancel)
    has(play, START + (5 if at.traits.win_after_cancel_pays else 0))


@check
def a_cancel_after_the_win(at: Tables) -> None:
    """Refused, the stake given back, or bet and win undone, as the contract says; a second cancel adds nothing."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    yes(play.win(), at.traits)
    expected = {"none": START + 3, "refund": START + 5, "reverse": START}[at.traits.cancel_after_win_effect]
    expect(play.cancel(), at.traits.cancel_after_win)
    has(play, expected)
    play.cancel("another cancel")
    has(play, expected)


@check
def a_cancel_of_the_win(at: Tables) -> None:
    """Taken back once, or not at all, as the contract says."""
    play = at.home.sit()
    request = play.a_cancel_of_win()
    if request is None or at.traits.cancel_win is None:
        return
    yes(play.bet(), at.traits)
    yes(play.win(), at.traits)
    request = play.a_cancel_of_win()
    assert request is not None
    expected = START - 2 if at.traits.cancel_win_effect == "reverse" else START + 3
    for _ in range(2):
        expect(play.send(request), at.traits.cancel_win)
        has(play, expected)


@check
def a_win_that_was_spent_is_taken_back_without_a_negative_balance(at: Tables) -> None:
    """The shortfall is owed; what is told is never below zero."""
    if at.traits.cancel_win is None or at.traits.cancel_win_effect != "reverse":
        return
    play = at.home.sit("2")
    yes(play.bet(), at.traits)
    yes(play.win(), at.traits)
    yes(play.bet("spent", "5", "another round"), at.traits)
    request = play.a_cancel_of_win()
    assert request is not None
    heard = play.send(request)
    expect(heard, at.traits.cancel_win)
    tells(heard, at.traits, Decimal(0))
    assert play.wallet.receivable == -5, play.wallet
    has(play, Decimal(0))


@check
def a_cancel_overtakes_the_win(at: Tables) -> None:
    """A cancel that names a win that nobody knows yet is remembered too: the late win is never paid."""
    play = at.home.sit()
    if at.traits.cancel_win_effect != "reverse" or at.traits.cancel_win_names_our_id:
        return
    yes(play.bet(), at.traits)
    request = play.a_cancel_of_win()
    assert request is not None
    play.send(request)
    for _ in range(2):
        play.win()
        has(play, START - 2)


@check
def zero_amounts(at: Tables) -> None:
    """A win of nothing, and a bet of nothing, are answered as the contract says and move nothing."""
    play = at.home.sit()
    if at.traits.zero_bet is not None:
        expect(play.bet("nothing", "0"), at.traits.zero_bet)
        has(play, START)
    yes(play.bet(), at.traits)
    if at.traits.zero_win is not None:
        expect(play.win(amount="0"), at.traits.zero_win)
        has(play, START - 2)


@check
def several_bets_in_one_round(at: Tables) -> None:
    """A round is no key: its bets are taken, cancelled and won one by one."""
    play = at.home.sit()
    yes(play.bet("first", "1"), at.traits)
    yes(play.bet("second", "2"), at.traits)
    yes(play.cancel(bet="second", amount="2"), at.traits)
    has(play, START - 1)
    yes(play.win(bet="first", amount="5"), at.traits)
    has(play, START + 4)


@check
def two_players_share_a_round(at: Tables) -> None:
    """At a live table one round has many players, and each has their own money."""
    one, two = at.home.sit(), at.home.sit()
    two = replace(two, prefix=one.prefix)
    yes(one.bet("one", "2", "shared"), at.traits)
    yes(two.bet("two", "3", "shared"), at.traits)
    yes(two.win("two wins", "two", "7", "shared"), at.traits)
    has(one, START - 2)
    has(two, START + 4)
    yes(one.cancel("one cancels", "one", "2", "shared"), at.traits)
    has(one, START)
    has(two, START + 4)


@check
def bet_and_win_in_one_call(at: Tables) -> None:
    """Both or neither, in order, once."""
    play = at.home.sit()
    ids = play.id("bet"), play.id("win"), play.id("round")
    too_much = at.home.driver.bet_and_win(play.seat, ids[0] + "x", "200", ids[1] + "x", "500", ids[2])
    if too_much is None:
        return
    with at.home.house.no_event():
        heard = play.send(too_much)
    no(heard, at.traits.insufficient)
    tells(heard, at.traits, START)
    both = at.home.driver.bet_and_win(play.seat, ids[0], "2", ids[1], "5", ids[2])
    assert both is not None
    first = play.send(both)
    yes(first, at.traits)
    tells(first, at.traits, START + 3)
    assert play.send(both).reading.ok
    has(play, START + 3)


@check
def the_end_of_a_round(at: Tables) -> None:
    """It moves no money of the player's, may be told twice, and a late win still comes."""
    play = at.home.sit()
    request = at.home.driver.finish(play.seat, play.id("round"))
    if request is None:
        return
    yes(play.bet(), at.traits)
    request = at.home.driver.finish(play.seat, play.id("round"))
    assert request is not None
    for _ in range(2):
        yes(play.send(request), at.traits)
        has(play, START - 2)
    assert play.wallet.held == 0, play.wallet


# Players and sessions ------------------------------------------------------------------------------------------------


@check
def a_restricted_player_still_wins_and_is_refunded(at: Tables) -> None:
    """Locked or self-excluded: debits stop; what is won or given back comes."""
    for restriction in ("locked", "self_excluded"):
        play = at.home.sit()
        yes(play.bet("won", "2", "first"), at.traits)
        yes(play.bet("cancelled", "3", "second"), at.traits)
        at.home.restrict(play.seat, restriction)
        with at.home.house.no_event():
            no(play.bet("late", "1", "third"), at.traits.restricted_bet)
        yes(play.win("win", "won", "5", "first"), at.traits)
        yes(play.cancel("cancel", "cancelled", "3", "second"), at.traits)
        has(play, START + 3)


@check
def an_expired_session_stops_debits_only(at: Tables) -> None:
    """Wins and cancels of earlier bets pass with the session that expired."""
    play = at.home.sit()
    yes(play.bet("won", "2", "first"), at.traits)
    yes(play.bet("cancelled", "3", "second"), at.traits)
    late = play.in_session(at.home.session(play.seat, expires_at=LONG_AGO_US))
    heard = late.bet("late", "1", "third")
    if at.traits.expired_bet is None:
        yes(heard, at.traits)
    else:
        no(heard, at.traits.expired_bet)
    expected = START - 5 - (1 if at.traits.expired_bet is None else 0)
    has(play, expected)
    yes(late.win("win", "won", "5", "first"), at.traits)
    yes(late.cancel("cancel", "cancelled", "3", "second"), at.traits)
    has(play, expected + 8)


@check
def play_keeps_a_session_alive(at: Tables) -> None:
    """Past its first end, while no pause is longer than the idle time; but never past its last."""
    if at.traits.expired_bet is None:
        return
    policy, now = at.integration.policy, time.time_ns() // 1000
    idle_s, last_end_s = policy.session_idle_s, 60 + policy.session_overtime_s

    def bet(play: Play, after_s: int) -> Heard:
        with at.home.house.at(now + after_s * 1_000_000):
            return play.bet(f"after-{after_s}", "1", f"at-{after_s}")

    leaves, stays = [
        play.in_session(at.home.session(play.seat, expires_at=now + 60_000_000))
        for play in (at.home.sit(), at.home.sit())
    ]
    yes(bet(leaves, 59), at.traits)
    with at.home.house.no_event():
        no(bet(leaves, 59 + idle_s), at.traits.expired_bet)
    for after_s in (*range(30, last_end_s, idle_s * 9 // 10), last_end_s - 1):
        yes(bet(stays, after_s), at.traits)
    with at.home.house.no_event():
        no(bet(stays, last_end_s), at.traits.expired_bet)


@check
def an_unknown_player_is_refused(at: Tables) -> None:
    """In the contract's word, and nothing is opened for them."""
    play = at.home.sit()
    seat = replace(play.seat, player_id=at.home.driver.player_id(987_654_321), session_id="sess_" + "0" * 32)
    with at.home.house.nothing_changes():
        no(at.home.send(at.home.driver.balance(seat), seat), at.traits.unknown_player)
        assert not at.home.send(at.home.driver.bet(seat, play.id("bet"), "2", play.id("round")), seat).reading.ok


@check
def another_player_s_session_is_refused(at: Tables) -> None:
    """Where a bet names player and session, they must belong together."""
    thief, victim = at.home.sit(), at.home.sit()
    crossed = victim.in_session(thief.seat.session_id)
    if not (_names(crossed.a_bet(), victim.seat.player_id) and _names(crossed.a_bet(), thief.seat.session_id)):
        return
    with at.home.house.no_event():
        heard = crossed.bet()
    assert not heard.reading.ok, heard
    has(victim, START)
    has(thief, START)


@check
def another_player_s_bet_stands_still(at: Tables) -> None:
    """Whoever names a bet of another player neither gets it back, nor wins on it."""
    one = at.home.sit()
    two = replace(at.home.sit(), prefix=one.prefix)
    yes(one.bet(), at.traits)
    if _names(two.a_cancel(), two.seat.player_id):
        two.cancel("theft")
        has(two, START)
        has(one, START - 2)
    if _names(two.a_win(), two.seat.player_id) and not at.traits.win_without_bet_pays:
        assert not two.win("theft too").reading.ok
        has(two, START)
    yes(one.win(), at.traits)
    has(one, START + 3)


def _names(request: Request, text: str) -> bool:
    return text in request.body.decode() + request.query


@check
def another_currency_is_refused(at: Tables) -> None:
    """Nothing is converted in passing: not a bet in a currency without a wallet, nor the win or cancel of a bet in another
    one.
    """
    play = at.home.sit()
    abroad = replace(play, seat=replace(play.seat, currency="JPY", exponent=0))
    if not _names(abroad.a_bet(), "JPY"):
        return
    with at.home.house.no_event():
        assert not abroad.bet().reading.ok
    yes(play.bet("another"), at.traits)
    if _names(abroad.a_win("win", "another"), "JPY"):
        heard = abroad.win("win", "another")
        assert not heard.reading.ok, heard
        has(play, START - 2)


@check
def a_tenant_sees_only_its_own_players(at: Tables) -> None:
    """Another tenant's player, session, bet: as if they did not exist; their money stands still."""
    play = at.home.sit()
    yes(play.bet(), at.traits)
    stranger = replace(play, table=at.other)
    with at.home.house.nothing_changes():
        assert not stranger.balance().reading.ok
        assert not stranger.bet("theirs").reading.ok
    stranger.win()
    stranger.cancel()
    has(play, START - 2)
    yes(play.win(), at.traits)
    has(play, START + 3)


@check
def a_player_of_another_region_is_nobody(at: Tables) -> None:
    """A player has one region: its integrations alone take bets of them, see their balance, and name them in the ledger."""
    rich = Decimal(70_605_040)  # its digits are in no hash or id by chance
    play = at.home.sit(str(rich))
    yes(play.bet(), at.traits)
    stranger = replace(play, table=at.abroad)
    with at.home.house.nothing_changes():
        assert not stranger.balance().reading.ok
        assert not stranger.bet("theirs").reading.ok
        refused = stranger.win("theirs too")
        assert str(rich - 2) not in refused.answer.body.decode(), refused
    if _names(play.a_cancel(), play.seat.player_id):
        with at.home.house.no_event():
            stranger.cancel("undo theirs", "theirs")
    has(play, rich - 2)
    yes(play.win(), at.traits)
    has(play, rich + 3)


# Amounts ------------------------------------------------------------------------------------------------------------


@check
def amounts_are_exact_in_every_currency(at: Tables) -> None:
    """The smallest amount of currencies with 0, 2, 3 and 8 decimals is taken, paid and told to the last digit."""
    for currency, exponent in (("JPY", 0), ("EUR", 2), ("KWD", 3), ("BTC", 8)):
        play = at.home.sit("100", currency)
        places = exponent if at.traits.decimals is None else min(exponent, at.traits.decimals)
        unit = Decimal(1).scaleb(-places)
        heard = play.bet(amount=f"{unit:f}")
        yes(heard, at.traits)
        tells(heard, at.traits, START - unit)
        has(play, START - unit)
        yes(play.win(amount=f"{3 * unit:f}"), at.traits)
        has(play, START + 2 * unit)
        heard = play.balance()
        yes(heard, at.traits)
        assert heard.reading.balance == as_told(at.traits, START + 2 * unit), heard


@check
def minor_units_are_never_guessed(at: Tables) -> None:
    """A currency with 0, 3, 4 or unknown decimals is scaled as it should be, or refused before money moves."""
    start, stake = Decimal(10_000), Decimal(1500)
    for currency, exponent in (("CLP", 0), ("UGX", 0), ("IQD", 3), ("CLF", 4), ("ZZZ", 3), ("ZZY", 0)):
        play = at.home.sit(str(start), currency, exponent)
        before = at.home.house.row("select count(*) from wagerledger.event_log")
        heard = play.bet(amount=str(stake))
        if heard.reading.ok:
            assert play.available == start - stake, f"{heard}: {play.available} {currency} are left"
            tells(heard, at.traits, start - stake)
            yes(play.win(amount="3"), at.traits)
            assert play.available == start - stake + 3
        else:
            assert at.home.house.row("select count(*) from wagerledger.event_log") == before, heard
            assert heard.says != at.traits.temporary, heard
            assert currency.startswith("ZZ"), f"{heard}: ISO 4217 says its decimals"


@check
def more_decimals_than_the_wallet_has(at: Tables) -> None:
    """Refused cleanly, never rounded; a wallet with four decimals takes four."""
    if at.traits.too_fine is None:
        return
    play = at.home.sit()
    with at.home.house.no_event():
        no(play.bet(amount="0.123"), at.traits.too_fine)
    has(play, START)
    fine = at.fine.sit()
    if at.traits.decimals is None or at.traits.decimals >= 4:
        heard = fine.bet(amount="0.1234")
        yes(heard, at.traits)
        tells(heard, at.traits, START - Decimal("0.1234"))
        has(fine, START - Decimal("0.1234"))


@check
def amounts_that_are_none_are_refused(at: Tables) -> None:
    """Negative, or beyond everything: a bet for good; a win is asked for again, since refused it would be lost."""
    play = at.home.sit()
    with at.home.house.no_event():
        for number, amount in enumerate(("-1", "99999999999999999999999")):
            heard = play.bet(f"bet {number}", amount)
            assert not heard.reading.ok, heard
            assert heard.says != at.traits.temporary, heard
            expect(play.win(f"win {number}", amount=amount), at.traits.temporary)
    has(play, START)


# Bodies -------------------------------------------------------------------------------------------------------------

NOT_JSON = (
    b"", b"{", b"[]", b"null", b"\x00", b"\xff\xfe{}", b'{"a":NaN}', b'{"a":Infinity}', b'{"a":1,"a":2}', b"[" * 5_000,
    b'{"a":' * 3_000, b'{"a":' + b"9" * 5_000 + b"}", b'{"a":1e999999}', b'{"a":"\\ud800"}', b"{} {}", b"\xef\xbb\xbf{}",
)  # fmt: skip
NOT_FORMS = (b"", b"%", b"a", b"&&&", b"\xff=1", b"\x00", b"a=%00", b"a=%ff", b"a=" + b"9" * 5_000, b"a[[[]]=1", b"=")
EXTRA = (
    b',"z":NaN}',
    b',"z":1,"z":2}',
    b',"z":\xff}',
    b',"z":"\xff"}',
    b",}",
    b',"z":' + b"[" * 3_000 + b"]" * 3_000 + b"}",
)


@check
def malformed_bodies_are_refused_cleanly(at: Tables) -> None:
    """Whatever is signed: no crash, no money, and the contract's word for it."""
    play = at.home.sit()
    bet = play.a_bet()
    bodies = [*(NOT_JSON if at.traits.json else NOT_FORMS)]
    if at.traits.json and bet.body.endswith(b"}"):
        bodies += [bet.body[:-1] + extra for extra in EXTRA]
    elif not at.traits.json:
        bodies += [bet.body + b"&" + bet.body]
    with at.home.house.nothing_changes():
        for body in bodies:
            _refused_cleanly(at, play.send(replace(bet, body=body)))
    broken = play.send(replace(bet, body=b"{" if at.traits.json else b"%"))
    assert broken.says == at.traits.malformed or not at.traits.signature_headers, broken


@check
def a_body_too_large_is_refused_cleanly(at: Tables) -> None:
    """Bounded before anything is computed from it."""
    play = at.home.sit()
    with at.home.house.nothing_changes():
        body = play.a_bet().body + b" " * (at.dialect.body_limit_bytes + 1)
        heard = play.send(replace(play.a_bet(), body=body))
        assert not heard.reading.ok, heard


def _refused_cleanly(at: Tables, heard: Heard) -> None:
    assert not heard.reading.ok, heard
    assert heard.says != at.traits.temporary, heard
    assert heard.answer.status < 500 or heard.answer.status == at.traits.malformed.status, heard


@check
def an_acknowledged_late_bet_has_an_answer(at: Tables) -> None:
    """Under `late_bet=acknowledge` a bet that comes after its cancel is answered in the protocol's form, for nothing."""
    driver = driver_of(at.home.driver.name, "acknowledging")
    name = f"acknowledging-{uuid.uuid4().hex[:8]}"
    play = at.home.house.mount(driver, name, **{"policy.late_bet": "acknowledge"}).sit()
    play.cancel("undo", "gone")
    written = len(at.home.house.log.getvalue())
    late = play.bet("gone")
    assert "crashed" not in at.home.house.log.getvalue()[written:], late
    has(play, START)


@check
def unknown_fields_are_tolerated(at: Tables) -> None:
    """Providers add fields without notice."""
    play = at.home.sit()
    extended = at.home.driver.with_extra_field(play.a_bet())
    if extended is None or not at.traits.tolerates_unknown_fields:
        return
    yes(play.send(extended), at.traits)
    has(play, START - 2)


# Refusals -----------------------------------------------------------------------------------------------------------

CANARY = "canary-4d1f"


@check
def every_code_has_an_answer(at: Tables) -> None:
    """Any refusal, of any request, becomes an answer of the contract's form that tells no inner detail; what may pass by
    itself becomes the word for 'again', never one about money.
    """
    play = at.home.sit()
    signed = at.home.driver.signed(play.a_bet())
    for request in (signed, replace(signed, body=b"\xff{", query="%%")):
        call = call_of(at, request)
        for code, error in ERRORS.items():
            names = [name for _, name, _, _ in string.Formatter().parse(error.message) if name]
            details: dict[str, object] = dict.fromkeys(names, "1") | {"dsn": CANARY}
            reply = at.dialect.refuse(call, Rejected(code, **details))
            reading = at.home.driver.read(Answer(reply.status, {}, reply.body), play.seat)
            assert reading.ok == (code in at.traits.answered_ok), f"{code} is answered with {reply}"
            assert CANARY.encode() not in reply.body, f"{code} tells its details: {reply}"
            if code in TEMPORARY:
                assert reading.says == at.traits.temporary, (
                    f"{code} is answered as {reply}, not as {at.traits.temporary}"
                )
            if code == "INSUFFICIENT_FUNDS":
                assert reading.says == at.traits.insufficient, reply
            elif not reading.ok:
                assert reading.says != at.traits.insufficient, f"{code} is reading as a lack of money: {reply}"


def call_of(at: Tables, request: Request) -> Call:
    headers = {name.lower().encode(): value.encode("latin-1") for name, value in request.headers.items()}
    target = request.target(at.home.driver.base_path).encode()
    return Call(
        request.method, request.path, {}, target, request.query.encode(), headers, request.body, "127.0.0.1",
        Trace("0" * 32, None), at.integration,
    )  # fmt: skip


@check
def no_secret_is_logged(at: Tables) -> None:
    """Neither a secret nor a credential stands in any log line of what was good, forged or broken."""
    play = at.home.sit()
    house, driver = at.home.house, at.home.driver
    signed = [
        driver.signed(request) for request in (driver.balance(play.seat), play.a_bet(), play.a_win(), play.a_cancel())
    ]
    for request in signed:
        at.home.send_as_is(request, play.seat)
        at.home.send_as_is(replace(request, body=request.body + b"x"), play.seat)
        at.home.send_as_is(replace(request, query=request.query + "&x=%"), play.seat)
    written = house.log.getvalue()
    assert written, "nothing was logged at all"
    credentials = [
        request.headers[name] for request in signed for name in at.traits.signature_headers if name in request.headers
    ]
    for secret in (driver.setup().secret, *(value for value in credentials if len(value) >= 16)):
        if secret is not None:
            for form in (secret, base64.b64encode(secret.encode()).decode(), secret.encode().hex()):
                assert form not in written, "a secret is logged"
