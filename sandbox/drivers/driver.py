"""What a driver is: a provider's side of its protocol, and what its contract promises about the answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, NamedTuple


@dataclass(frozen=True)
class Request:
    """A callback, path and query below the base URL. Unsigned ones carry no credentials at all."""

    path: str
    body: bytes = b""
    method: str = "POST"
    query: str = ""
    """Without the question mark, as sent."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def target(self, base_path: str) -> str:
        """Path and query as the request line has them."""
        return base_path + self.path + ("?" + self.query if self.query else "")


@dataclass(frozen=True)
class Answer:
    """What came back, untouched. Header names are lower-case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Says(NamedTuple):
    """An answer's HTTP status, and its code as text: a word, or a number. Of a yes too, where the protocol has a word
    for it ("OK", "RS_OK", "0"), else "".
    """

    status: int
    code: str = ""


@dataclass(frozen=True)
class Told:
    """An answer as the provider understands it."""

    ok: bool
    """It takes the call as done, now or earlier."""
    says: Says
    balance: Decimal | None = None
    """In whole units of the currency, such as 98.50."""
    ids: tuple[str, ...] = ()
    """Our transaction ids in it, in order."""


@dataclass(frozen=True)
class Seat:
    """A player at a game: what the launch told the provider."""

    player_id: str
    session_id: str
    """Also the provider's token or sid."""
    currency: str = "EUR"
    exponent: int = 2
    """Decimals of the wallet. Only protocols that count in minor units use it."""
    game_id: str = "game_1"


@dataclass(frozen=True)
class Credit:
    """A call that gives a player money, takes a win back, or ends what holds money."""

    request: Request
    pays: str = "0"
    """What the player has more after it, in whole units; less than nothing where it takes back."""
    before: tuple[Request, ...] = ()
    """What is answered first. Then the credit is made once more: it may name an id of ours."""
    signed: bool = False
    """An amount below zero means something: a debit."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What the integration is added with."""

    secret: str | None = None
    public_keys: tuple[bytes, ...] = ()
    """In PEM."""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What the contract says. The suite reads its expectations here and asks no driver's name.

    Every `Says | None` with the default None: the protocol cannot ask this, so it is not tested.
    """

    # Words
    ok: Says
    """The plain yes."""
    bad_signature: Says
    """Wrong, truncated or missing."""
    stale: Says | None = None
    """The signed time is too far off. None: as `bad_signature`."""
    incomplete: Says | None = None
    """Its other word for 'again', of a call that is many in one: a part of it could not be done."""
    malformed: Says
    """A signed body that cannot be parsed. A missing or wrong field is refused too, in any word."""
    insufficient: Says
    temporary: Says
    """Ask again with the same id: database gone, overloaded."""
    repeat: Says | None = None
    """The same call again. None: as the first time."""
    other_amount: Says
    """The same id with another amount: never moves money."""
    unknown_player: Says
    """A balance asked of a player that nobody knows."""
    cancel_unknown: Says
    """Never moves money, and always keeps the bet from beginning later."""
    late_bet: Says
    """The bet that arrives after its cancel. Never moves money."""
    cancel_again: Says | None = None
    """The same bet, cancelled under another cancel id. Never moves money."""
    too_fine: Says | None = None
    """An amount with more decimals than the wallet. None: the protocol cannot say one."""
    missing_id: Says
    """A bet without the provider's id (`without_id`)."""
    restricted_bet: Says
    """A bet of a locked or self-excluded player."""
    expired_bet: Says | None = None
    """A bet in an expired session. None: the protocol names no session, and the bet passes."""
    win_without_bet: Says
    """A win whose bet or round nobody knows."""
    win_without_bet_pays: bool
    win_after_cancel: Says
    win_after_cancel_pays: bool = False
    cancel_after_win: Says
    """A cancel of a bet that was won."""
    cancel_after_win_effect: str
    """none, refund (the stake comes back, the win stays) or reverse (stake back, win taken back)."""
    cancel_win: Says | None = None
    """A cancel that names the win (`cancel_win`)."""
    cancel_win_effect: str = "none"
    """none or reverse."""
    cancel_win_names_our_id: bool = False
    """It names the id that we answered the win with, so it cannot come first."""
    zero_bet: Says | None = None
    zero_win: Says | None = None
    told_as_ok: frozenset[str] = frozenset()
    """Codes of our catalogue that the protocol answers with a success of its own (a repeat, an acknowledgement)."""

    # Proof
    covers_body: bool = True
    """The credentials prove the content too. False: a shared secret beside it (Basic, a token in the query)."""
    covers_query: bool = True
    """Of requests that have one: a changed query is refused."""
    signature_headers: tuple[str, ...] = ()
    """Headers that carry credentials; every mutated byte in them is refused."""
    time_window_s: int | None = None
    """A signed time may be this far off. None: no time is signed."""
    uses_signature_once: bool = False
    """The very same signed request is refused the second time (a nonce); a repeat must be signed anew."""

    # Content
    decimals: int | None = None
    """Decimals that an amount can have on the wire: 5 for x100000, 2 for cents. None: any number, or the wallet's."""
    minor_units: bool = False
    """Amounts are whole minor units of the wallet's currency."""
    balance_decimals: int | None = None
    """The balance is told with so many, rounded down. None: exactly."""
    replay_balance: str = "stored"
    """The balance that a repeat tells: `stored` with the first answer, or `current`; "" where none is told."""
    tolerates_unknown_fields: bool = True
    names_currency: bool = True
    """Callbacks say the currency."""
    json: bool = True
    """Bodies are JSON (False: forms)."""
    needs_session: bool = False
    """A bet needs a session that lives (expired_bet says the word)."""
    win_names_bet: bool = True
    """A win says which bet it is of. False: only the round."""


class Driver(ABC):
    """One provider with its keys. Amounts are plain decimals in whole units ("2.00"); the driver turns them into the
    wire's unit. Requests are made without credentials; `signed` adds them.
    """

    name: ClassVar[str]
    traits: ClassVar[Traits]

    base_path: str = ""
    """Path of the base URL, such as /integrations/brand/EU/name, once the integration exists."""
    kid: str = ""

    def __init__(self, who: str = "studio") -> None:
        """The keys depend on `who` only, where the kind of key allows it."""
        self.who = who

    def mounted(self, base_path: str, kid: str) -> None:
        """The integration exists."""
        self.base_path, self.kid = base_path, kid

    @abstractmethod
    def setup(self) -> Setup: ...

    @abstractmethod
    def signed(self, request: Request, at: float | None = None) -> Request:
        """With credentials, made at the time `at` (Unix seconds; None: now) where time is signed. Takes any bytes as
        body, also such that are none of the protocol's.
        """

    @abstractmethod
    def told(self, answer: Answer, seat: Seat) -> Told:
        """Raises ValueError where the answer is not of the contract's form. May remember our ids for later calls."""

    # Calls. The ids are made with `id`.

    def id(self, name: str) -> str:
        """The provider's id that `name` stands for: the same for the same name, in the form the protocol wants."""
        return name

    def player_id(self, number: int) -> str:
        """A player's id in the form that the protocol can say."""
        return f"p_{number}"

    @abstractmethod
    def balance(self, seat: Seat) -> Request: ...

    @abstractmethod
    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request: ...

    @abstractmethod
    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        """Protocols that name only the round leave `bet_id` out."""

    @abstractmethod
    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        """Protocols whose cancels have no id of their own leave `cancel_id` out."""

    @abstractmethod
    def without_id(self, seat: Seat) -> Request:
        """A bet that lacks the provider's transaction id."""

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        """None: a win cannot be cancelled."""
        return None

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request | None:
        """Both in one callback, all or none. None: there is no such call."""
        return None

    def finish(self, seat: Seat, round_id: str) -> Request | None:
        """The end of the round. None: there is no such call."""
        return None

    def credits(
        self, seat: Seat, credit_id: str, bet_id: str, stake: str, win: str, round_id: str
    ) -> Mapping[str, Credit]:
        """Every other call that gives money or ends what holds it, by a name for people: awards, jackpots, corrections,
        a win that ends its round. Each has the id for itself, and an open bet of `stake` in its round. The suite writes
        all of them in every spelling, and fails where the dialect takes a credit that is none of them.
        """
        return {}

    def echo(self, request: Request, answer: Answer) -> tuple[str, str] | None:
        """The id of this very request, and the one that the answer echoes. None: requests have no id of their own."""
        return None

    def with_extra_field(self, request: Request) -> Request | None:
        """`request` with a field that nobody knows. None: the body's form does not allow to add one generically."""
        if self.traits.json and request.body.endswith(b"}"):
            extra = b'"brand_new_field":{"deep":[1,null,"x"]}'
            body = request.body[:-1] + (b"," if len(request.body) > 2 else b"") + extra + b"}"
        elif not self.traits.json:
            body = request.body + b"&brand_new_field=x"
        else:
            return None
        return Request(request.path, body, request.method, request.query, request.headers)
