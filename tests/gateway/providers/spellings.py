"""Wins, refunds and round ends in every spelling: each field of what a driver sends, written in many ways. Registers checks
of the conformance suite.
"""

import asyncio
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from functools import cached_property, partial
from inspect import unwrap
from itertools import islice
from typing import Any
from urllib.parse import parse_qsl, urlencode

from gateway.dialect.call import Call
from gateway.dialect.endpoint import Endpoint, Handle
from gateway.dialect.errors import Rejected
from gateway.dialect.strict_json import Number, dump, parse_object
from ledger.core.commands import Command
from ledger.core.money import parse_number
from sandbox.drivers.driver import Answer, Credit, Request, Says
from tests.gateway.providers.checks import START, Tables, call_of, check, expect, has, yes
from tests.support.house import Heard, Play

STAKE, WIN = "2", "5"
ZEROS = "0" * 23
NOTHINGS = None, [], {}, "", True
"""What some languages write for what is not there, or for something else altogether."""
BOMBS = (
    *map(Number, ("1E400", "1E-400", "9" * 4_000, "-1", "1E99999999", "5.0000000000000001")), "x" * 2_500, "\0",
)  # fmt: skip
BAD_AMOUNTS = "-", "1E400", "x" * 2_500, "-1", "1E-400", "5.0000000000000001", "\0"
BAD_TEXTS = *BAD_AMOUNTS, "999999999999999", "1758326400000123", "1758326400000.0"


Known = Callable[[str], bool]


@dataclass(frozen=True)
class Spelling:
    """One field of a credit in another spelling; `same` where its value is the same one."""

    of: Request
    changed: str
    value: object
    spelled: Callable[[], bytes]
    """Called where it is sent: of the hundreds of each credit only one is."""
    same: bool = False

    @cached_property
    def request(self) -> Request:
        return replace(self.of, body=self.spelled())

    @property
    def about(self) -> str:
        return f"{self.of.path} with {self.changed} as {str(self.value)[:40]!r}"

    @property
    def below_zero(self) -> bool:
        text = self.value.token if isinstance(self.value, Number) else self.value
        number = parse_number(text) if isinstance(text, str) else None
        return number is not None and number[0]


def spellings(request: Request, known: Known, untouched: Collection[str] = ()) -> Iterator[Spelling]:
    """Of each field but `untouched` values. `known` are those that say what the call is about: another text there is
    another call.
    """
    form = not request.body.startswith(b"{")
    fields: dict[str, Any] = dict(parse_qsl(request.body.decode(), keep_blank_values=True)) if form else parse_object(
        request.body
    )  # fmt: skip

    def spelled(path: tuple[Any, ...], other: object) -> bytes:
        changed = _with(fields, path, other)
        return urlencode(changed).encode() if form else dump(changed)

    for path, value in _leaves(fields):
        if isinstance(value, list) or (isinstance(value, str) and value in untouched):
            continue  # the list is what the call is about
        for other, same in (_texts if form else _values)(path[-1], value, known):
            yield Spelling(request, ".".join(map(str, path)), other, partial(spelled, path, other), same)
    if form:
        middle, end = request.body.replace(b"&", b"&&", 1), request.body + b"&"
        yield Spelling(request, "an empty pair in the middle", "&&", lambda: middle, True)
        yield Spelling(request, "an empty pair at the end", "&", lambda: end, True)


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


def _values(name: object, value: Any, known: Known) -> Iterator[tuple[Any, bool]]:
    for other in (*NOTHINGS, *BOMBS):
        if other is not value and other != value:
            yield other, False
    if isinstance(value, bool):
        yield from ((Number(str(int(value))), True), (Number(f"{int(value)}.0"), True), (str(value).lower(), True))
    elif isinstance(value, Number):
        yield from ((Number(token), True) for token in respelled(value.token))
    elif isinstance(value, str) and _is_amount(name, value):
        yield from ((text, True) for text in respelled(value))
    elif isinstance(value, str) and not known(value):
        yield Number("7"), False


def _texts(name: object, value: str, known: Known) -> Iterator[tuple[str, bool]]:
    if _is_amount(name, value):
        yield from ((text, True) for text in respelled(value))
        yield from ((text, False) for text in BAD_AMOUNTS)
    elif not known(value):
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
    long = f"{unscaled}{ZEROS}" if unscaled else f"0.{ZEROS}"  # JSON lets no number begin with several zeros
    yield f"{sign}{long}e-{scale + len(ZEROS):03}"
    yield f"{sign}0.{str(unscaled).rjust(20, '0')}E+{20 - scale}"
    yield f"{number[1]}.{ZEROS}" if not scale and not sign else f"{sign}{number[1]}{ZEROS}"


@dataclass(frozen=True)
class Kind:
    """A kind of credit. Its calls are made of a name, which is also that of an open bet in a round of its own."""

    make: Callable[[Play, str], Credit]
    answer: Says
    debits: bool = False
    """It stakes too, and is nothing without its session."""


def kinds(at: Tables) -> dict[str, Kind]:
    """All that the driver can ask for, by a name for people."""
    driver, seat, ok = at.home.driver, at.home.sit().seat, at.traits.ok
    found = {
        "win": Kind(lambda play, name: Credit(play.a_win(f"win-{name}", name, WIN, f"round-{name}"), WIN), ok),
        "cancel": Kind(lambda play, name: Credit(play.a_cancel(f"cancel-{name}", name, STAKE, f"round-{name}"), STAKE), ok),
    }  # fmt: skip
    if driver.finish(seat, "round") is not None:
        found["round end"] = Kind(_the_end, ok)
    if driver.bet_and_win(seat, "bet", STAKE, "win", WIN, "round") is not None:
        found["bet with its win"] = Kind(_both, ok, debits=True)
    if at.traits.cancel_win is not None:
        taken = f"-{WIN}" if at.traits.cancel_win_effect == "reverse" else "0"
        found["cancel of a win"] = Kind(partial(_cancel_of_a_win, taken), at.traits.cancel_win)
    for kind in driver.credits(seat, "credit", "bet", STAKE, WIN, "round"):
        found[f"other: {kind}"] = Kind(partial(_other, kind), ok)
    return found


def _the_end(play: Play, name: str) -> Credit:
    request = play.driver.finish(play.seat, play.id(f"round-{name}"))
    assert request is not None
    return Credit(request)


def _both(play: Play, name: str) -> Credit:
    ids = play.id(f"both-{name}"), play.id(f"win-{name}"), play.id(f"round-{name}")
    request = play.driver.bet_and_win(play.seat, ids[0], STAKE, ids[1], WIN, ids[2])
    assert request is not None
    return Credit(request, str(int(WIN) - int(STAKE)))


def _cancel_of_a_win(taken: str, play: Play, name: str) -> Credit:
    win = play.a_win(f"win-{name}", name, WIN, f"round-{name}")
    request = play.a_cancel_of_win(f"cancel-{name}", f"win-{name}", name, WIN, f"round-{name}")
    assert request is not None
    return Credit(request, taken, (win,))


def _other(kind: str, play: Play, name: str) -> Credit:
    ids = play.id(f"credit-{name}"), play.id(name)
    return play.driver.credits(play.seat, *ids, STAKE, WIN, play.id(f"round-{name}"))[kind]


@check
def every_spelling_of_a_win_is_paid_once_or_asked_for_again(at: Tables) -> None:
    """Each field of a win in many spellings: the same value is paid; another is paid as much, or the provider hears its
    word for 'repeat', and the win is paid when it repeats.
    """
    _all_spellings(at, "win")


@check
def every_spelling_of_a_cancel_refunds_once_or_is_asked_for_again(at: Tables) -> None:
    """Likewise of what gives a stake back."""
    _all_spellings(at, "cancel")


@check
def every_spelling_of_a_cancel_of_a_win_is_heard_once_or_asked_for_again(at: Tables) -> None:
    """Likewise of what takes a win back: refused for its spelling, it leaves a win that never was."""
    _all_spellings(at, "cancel of a win")


@check
def every_spelling_of_a_round_end_is_heard_or_asked_for_again(at: Tables) -> None:
    """Likewise of what ends a round."""
    _all_spellings(at, "round end")


@check
def every_spelling_of_a_bet_with_its_win_is_paid_once_or_asked_for_again(at: Tables) -> None:
    """Likewise of a call that has both: all of it or nothing."""
    _all_spellings(at, "bet with its win")


@check
def every_spelling_of_any_other_credit_is_paid_once_or_asked_for_again(at: Tables) -> None:
    """Likewise of whatever else the contract has: promotions, jackpots, corrections, settlements."""
    for name in kinds(at):
        if name.startswith("other: "):
            _all_spellings(at, name)


@check
def every_endpoint_that_credits_is_spelled(at: Tables) -> None:
    """One that no driver calls could refuse a win for good, and nobody would know."""
    spelled = {endpoint for endpoint, _ in asked_by_all_kinds(at)}
    missing = [one.path or "/" for one in at.dialect.endpoints if one.credits and unwrap(one.handle) not in spelled]
    assert not missing, f"nothing that `credits` of the driver makes gives anything at {', '.join(missing)}"


def asked_by_all_kinds(at: Tables) -> set[tuple[Handle, type[Command]]]:
    """What one credit of each kind asks of the ledger, and at which endpoint."""
    mark, play = len(at.calls.asked), at.home.sit("100000")
    for number, kind in enumerate(kinds(at).values()):
        (credit,) = _ready(at, play, kind, [str(number)])
        expect(play.send(credit.request), kind.answer)
    return at.calls.since(mark)


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


def _all_spellings(at: Tables, name: str) -> None:
    """All bets at once, then all credits as they are spelled, then all of them as they should be."""
    kind = kinds(at).get(name)
    if kind is None:
        return
    # Their ids say nothing of the place in the list, so that one list made in advance tells how many there are.
    play = at.home.sit("100000")
    (example,) = _ready(at, play, kind, ["0"])
    names = [str(number + 1) for number, _ in enumerate(_spelled(at, play, example, "0", kind.debits))]
    given = _ready(at, play, kind, names)
    before, pays = play.available, int(example.pays)
    clean = [credit.request for credit in given]
    call, endpoint = _called(at, clean[0])
    assert endpoint.is_credit(call), f"{clean[0]} is a credit, and its endpoint says no"
    spelled = [
        next(islice(_spelled(at, play, credit, name, kind.debits), index, None))
        for index, (credit, name) in enumerate(zip(given, names, strict=True))
    ]
    paid = 0
    for one, heard in zip(spelled, _sent(at, [one.request for one in spelled], play), strict=True):
        paid += _is_done(at, kind, one, heard, play)
    has(play, before + paid * pays)
    _sent(at, clean, play)
    has(play, before + len(clean) * pays)


def _ready(at: Tables, play: Play, kind: Kind, names: list[str]) -> list[Credit]:
    """Their bets are placed, and what else comes before them is answered."""
    _each_ok(at, [play.a_bet(name, STAKE, f"round-{name}") for name in names], play)
    first = [kind.make(play, name) for name in names]
    _each_ok(at, [request for credit in first for request in credit.before], play)
    return [kind.make(play, name) for name in names]


def _is_done(at: Tables, kind: Kind, one: Spelling, heard: Heard, play: Play) -> bool:
    """Whether it was taken as what it is; else the provider must have been told to repeat it."""
    about = f"{one.about}: {heard}"
    done = heard.reading.ok or heard.says == kind.answer
    assert heard.answer.status != 500 or at.traits.temporary.status == 500, about
    assert done or not one.same, about
    call, endpoint = _called(at, one.request)
    if not endpoint.is_credit(call):  # what the call is can no longer be told
        return False
    if not done:
        again = at.dialect.refuse(call, Rejected("UNAVAILABLE"))
        said = at.home.driver.read(Answer(again.status, {}, again.body), play.seat).says
        assert heard.says in (said, at.traits.incomplete), f"{about}, expected {said}"
    return done


def _spelled(at: Tables, play: Play, credit: Credit, name: str, debits: bool) -> Iterator[Spelling]:
    ids = {play.id(f"{what}{name}") for what in ("", "both-", "win-", "cancel-", "credit-", "round-")}
    said = {play.seat.player_id, play.seat.session_id, play.seat.currency, *at.integration.options.values()}
    untouched = {play.seat.session_id} if debits else set[str]()

    def known(text: str) -> bool:
        return text in said or any(one in text for one in ids)

    for one in spellings(credit.request, known, untouched):
        if not (credit.signed and one.below_zero):
            yield one


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
