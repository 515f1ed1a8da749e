"""Wins, refunds and round ends in every spelling: each field of what a driver sends, written in many ways. Registers checks
of the conformance suite.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gateway.dialect import Call, Endpoint
from gateway.errors import Rejected
from gateway.strict_json import Number, dump, parse_object
from ledger.core.money import parse_number
from sandbox.dialects.driver import Answer, Request
from tests.dialects.checks import START, Tables, call_of, check, expect, has, yes
from tests.dialects.house import Heard, Play

STAKE, WIN = "2", "5"
ZEROS = "0" * 23
NOTHINGS = None, [], {}, "", True
"""What some languages write for what is not there, or for something else altogether."""
BOMBS = Number("1E400"), Number("1E-400"), Number("9" * 4_000), Number("-1"), Number("1E99999999"), "x" * 2_500
BAD_AMOUNTS = "-", "1E400", "x" * 2_500, "-1", "1E-400"
BAD_TEXTS = *BAD_AMOUNTS, "999999999999999", "1758326400000123", "1758326400000.0"


@dataclass(frozen=True)
class Spelling:
    """One field of a credit in another spelling; `same` where its value is the same one."""

    about: str
    request: Request
    same: bool = False


def spellings(request: Request, known: set[str], untouched: Collection[str] = ()) -> Iterator[Spelling]:
    """Of each field but `untouched` values. `known` are those that say what the call is about: another text there is
    another call.
    """
    form = not request.body.startswith(b"{")
    fields: dict[str, Any] = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) if form else parse_object(
        request.body
    )  # fmt: skip
    for path, value in _leaves(fields):
        if isinstance(value, list) or (isinstance(value, str) and value in untouched):
            continue  # the list is what the call is about
        for other, same in (_texts if form else _values)(path[-1], value, known):
            changed = _with(fields, path, other)
            body = urlencode(changed).encode() if form else dump(changed)
            shown = f"{'.'.join(map(str, path))} as {str(other)[:40]!r}"
            yield Spelling(f"{request.path} with {shown}", replace(request, body=body), same)
    if form:
        yield Spelling("an empty pair in the middle", replace(request, body=request.body.replace(b"&", b"&&", 1)), True)
        yield Spelling("an empty pair at the end", replace(request, body=request.body + b"&"), True)


def _leaves(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[tuple[Any, ...], Any]]:
    """And what holds them."""
    if path:
        yield path, value
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, one in inner:
        yield from _leaves(one, (*path, name))


def _with(value: Any, path: tuple[Any, ...], other: Any) -> Any:
    if not path:
        return other
    copied = dict(value) if isinstance(value, dict) else list(value)
    copied[path[0]] = _with(value[path[0]], path[1:], other)
    return copied


def _values(name: object, value: Any, known: set[str]) -> Iterator[tuple[Any, bool]]:
    for other in (*NOTHINGS, *BOMBS):
        if other is not value and other != value:
            yield other, False
    if isinstance(value, bool):
        yield from ((Number(str(int(value))), True), (Number(f"{int(value)}.0"), True), (str(value).lower(), True))
    elif isinstance(value, Number):
        yield from ((Number(token), True) for token in respelled(value.token))
    elif isinstance(value, str) and _is_amount(name, value):
        yield from ((text, True) for text in respelled(value))
    elif isinstance(value, str) and value not in known:
        yield Number("7"), False


def _texts(name: object, value: str, known: set[str]) -> Iterator[tuple[str, bool]]:
    if _is_amount(name, value):
        yield from ((text, True) for text in respelled(value))
        yield from ((text, False) for text in BAD_AMOUNTS)
    elif value not in known:
        yield from ((text, False) for text in BAD_TEXTS)
    yield "", False


def _is_amount(name: object, value: str) -> bool:
    return "amount" in str(name).lower() and parse_number(value) is not None


def respelled(token: str) -> Iterator[str]:
    """The same number as other languages write it."""
    number = parse_number(token)
    assert number is not None, token
    sign, (unscaled, scale) = "-" if number[0] else "", number[1]
    yield f"{sign}{unscaled}E-{scale}"
    yield f"{sign}{unscaled}{ZEROS}e-{scale + len(ZEROS):03}"
    yield f"{sign}0.{str(unscaled).rjust(20, '0')}E+{20 - scale}"
    yield f"{number[1]}.{ZEROS}" if not scale and not sign else f"{sign}{number[1]}{ZEROS}"


@check
def every_spelling_of_a_win_is_paid_once_or_asked_for_again(at: Tables) -> None:
    """Each field of a win in many spellings: the same value is paid; another is paid as much, or the provider hears its
    word for 'repeat', and the win is paid when it repeats.
    """
    _all_spellings(at, lambda play, name: play.a_win(f"win-{name}", name, WIN, f"round-{name}"), int(WIN))


@check
def every_spelling_of_a_cancel_refunds_once_or_is_asked_for_again(at: Tables) -> None:
    """Likewise of what gives a stake back."""
    _all_spellings(at, lambda play, name: play.a_cancel(f"cancel-{name}", name, STAKE, f"round-{name}"), int(STAKE))


@check
def every_spelling_of_a_round_end_is_heard_or_asked_for_again(at: Tables) -> None:
    """Likewise of what ends a round."""
    if at.home.driver.finish(at.home.sit().seat, "round") is not None:
        _all_spellings(at, _the_end, 0)


def _the_end(play: Play, name: str) -> Request:
    request = play.driver.finish(play.seat, play.id(f"round-{name}"))
    assert request is not None
    return request


@check
def every_spelling_of_a_bet_with_its_win_is_paid_once_or_asked_for_again(at: Tables) -> None:
    """Likewise of a call that has both: all of it or nothing."""
    seat = at.home.sit().seat
    if at.home.driver.bet_and_win(seat, "bet", STAKE, "win", WIN, "round") is not None:
        _all_spellings(at, _both, int(WIN) - int(STAKE), debits=True)


def _both(play: Play, name: str) -> Request:
    ids = play.id(f"both-{name}"), play.id(f"win-{name}"), play.id(f"round-{name}")
    request = play.driver.bet_and_win(play.seat, ids[0], STAKE, ids[1], WIN, ids[2])
    assert request is not None
    return request


@check
def a_win_of_nothing_in_any_spelling(at: Tables) -> None:
    """Minus zero is zero, and so is a zero with more decimals than any amount has."""
    if at.traits.zero_win is None:
        return
    for number, zero in enumerate(("-0.0", f"0.{ZEROS}", "0E400", "-0")):
        play = at.home.sit()
        yes(play.bet(), at.traits)
        request = play.a_win(f"win {number}", amount="0")
        form = not request.body.startswith(b"{")
        fields: Any = dict(parse_qsl(request.body.decode())) if form else parse_object(request.body)
        for path, value in _leaves(fields):
            text = value.token if isinstance(value, Number) else value
            if isinstance(text, str) and _is_amount(path[-1], text) and not (parse_number(text) or (0, (1,)))[1][0]:
                fields = _with(fields, path, Number(zero) if isinstance(value, Number) else zero)
        body = urlencode(fields).encode() if form else dump(fields)
        expect(play.send(replace(request, body=body)), at.traits.zero_win)
        has(play, START - 2)


def _all_spellings(at: Tables, credit: Callable[[Play, str], Request], given: int, *, debits: bool = False) -> None:
    """All bets at once, then all credits as they are spelled, then all of them as they should be. A call that `debits` too
    is nothing without its session.
    """
    # Their ids say nothing of the place in the list, so that one list made in advance tells how many there are.
    play = at.home.sit("100000")
    _each_ok(at, [play.a_bet("0", STAKE, "round-0")], play)
    count = len(list(_spelled(at, play, credit(play, "0"), "0", debits)))
    names = [str(number) for number in range(1, count + 1)]
    _each_ok(at, [play.a_bet(name, STAKE, f"round-{name}") for name in names], play)
    after_bets = play.available
    clean = [credit(play, name) for name in names]
    assert _called(at, clean[0])[1].is_credit(_called(at, clean[0])[0]), (
        f"{clean[0]} is a credit, and its endpoint says no"
    )
    spelled = [list(_spelled(at, play, request, name, debits))[index] for index, (request, name) in enumerate(zip(clean, names, strict=True))]  # fmt: skip
    paid = 0
    for one, heard in zip(spelled, _sent(at, [one.request for one in spelled], play), strict=True):
        about = f"{one.about}: {heard}"
        assert heard.answer.status != 500 or at.traits.temporary.status == 500, about
        assert heard.told.ok or not one.same, about
        call, endpoint = _called(at, one.request)
        if not endpoint.is_credit(call):  # what the call is can no longer be told
            continue
        if heard.told.ok:
            paid += 1
        else:
            again = at.dialect.refuse(call, Rejected("UNAVAILABLE"))
            said = at.home.driver.told(Answer(again.status, {}, again.body), play.seat).says
            assert heard.says == said, f"{about}, expected {said}"
    has(play, after_bets + paid * given)
    _sent(at, clean, play)
    has(play, after_bets + count * given)


def _spelled(at: Tables, play: Play, request: Request, name: str, debits: bool) -> Iterator[Spelling]:
    ids = {play.id(one) for one in (name, f"both-{name}", f"win-{name}", f"cancel-{name}", f"round-{name}")}
    ids |= set(at.integration.options.values())
    known = ids | {play.seat.player_id, play.seat.session_id, play.seat.currency}
    return spellings(request, known, {play.seat.session_id} if debits else ())


def _called(at: Tables, request: Request) -> tuple[Call, Endpoint]:
    call = call_of(at, at.home.driver.signed(request))
    (endpoint,) = (one for one in at.dialect.endpoints if (one.method, one.path) == (call.method, call.path))
    return call, endpoint


def _each_ok(at: Tables, requests: list[Request], play: Play) -> None:
    for heard in _sent(at, requests, play):
        yes(heard, at.traits)


def _sent(at: Tables, requests: list[Request], play: Play) -> list[Heard]:
    """Some at a time, in order."""
    signed = [at.home.driver.signed(request) for request in requests]

    async def some(some_of_them: list[Request]) -> list[Heard]:
        return list(await asyncio.gather(*(at.home._sending(one, play.seat) for one in some_of_them)))

    return [heard for start in range(0, len(signed), 40) for heard in at.home.house.run(some(signed[start : start + 40]))]  # fmt: skip
