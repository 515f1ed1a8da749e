"""The interface of a driver: a provider's side of its protocol, and what its contract promises about the answers."""

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import ClassVar, NamedTuple


@dataclass(frozen=True)
class Request:
    """A provider's callback; path and query are below the base URL. An unsigned one carries no credentials at all."""

    path: str
    body: bytes = b""
    method: str = "POST"
    query: str = ""
    """The query without its question mark, as sent."""
    headers: Mapping[str, str] = field(default_factory=dict)

    def target(self, base_path: str) -> str:
        """The request target, below `base_path`: path and query as the request line has them."""
        return base_path + self.path + ("?" + self.query if self.query else "")


@dataclass(frozen=True)
class Answer:
    """The HTTP answer to a request, untouched. Header names are lower-case."""

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
class Reading:
    """An answer as the provider reads it."""

    ok: bool
    """Whether the provider takes the call as done, now or earlier."""
    says: Says
    balance: Decimal | None = None
    """The player's balance in the answer, in whole units of the currency, such as 98.50."""
    ids: tuple[str, ...] = ()
    """Our transaction ids in the answer, in order."""


@dataclass(frozen=True)
class Seat:
    """A player at a game, as the launch named them to the provider."""

    player_id: str
    session_id: str
    """The session's id, which is also the provider's token or sid."""
    currency: str = "EUR"
    exponent: int = 2
    """Decimals of the wallet's currency. Only protocols that count in minor units use them."""
    game_id: str = "game_1"


@dataclass(frozen=True)
class Credit:
    """A call that gives a player money, takes a win back, or ends what holds money."""

    request: Request
    pays: str = "0"
    """How much more the player has after the call, in whole units; below zero where it takes back."""
    before: tuple[Request, ...] = ()
    """Calls that must be answered first. Then the credit is made once more: it may name an id of ours."""
    signed: bool = False
    """Whether an amount below zero means something: a debit."""


@dataclass(frozen=True, kw_only=True)
class Setup:
    """What an integration of this provider is added with: options and keys."""

    secret: str | None = None
    public_keys: tuple[bytes, ...] = ()
    """The provider's public keys, in PEM."""
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Traits:
    """What a provider's contract says about answers and proof. The conformance suite reads its expectations here and
    asks no driver's name.

    Every `Says | None` with the default None: the protocol cannot ask this, so it is not tested.
    """

    # Words
    ok: Says
    """The answer to a call that was done: the plain yes."""
    bad_signature: Says
    """The answer to a call whose signature is wrong, truncated or missing."""
    stale: Says | None = None
    """The answer where the signed time is too far off. None: as `bad_signature`."""
    incomplete: Says | None = None
    """The protocol's other word for 'again', of a call that is many in one: a part of it could not be done."""
    malformed: Says
    """The answer to a signed body that cannot be parsed. A missing or wrong field is refused too, in any word."""
    insufficient: Says
    temporary: Says
    """The word for 'ask again with the same id': the database is gone, or overloaded."""
    repeat: Says | None = None
    """The answer to the same call again. None: as the first time."""
    other_amount: Says
    """The answer to the same id with another amount, which never moves money."""
    unknown_player: Says
    """The answer to a balance asked of a player that nobody knows."""
    cancel_unknown: Says
    """The answer to a cancel of a bet that nobody knows. It never moves money, and always keeps the bet from beginning
    later.
    """
    late_bet: Says
    """The answer to a bet that arrives after its cancel. It never moves money."""
    cancel_again: Says | None = None
    """The answer where the same bet is cancelled under another cancel id. It never moves money."""
    too_fine: Says | None = None
    """The answer to an amount with more decimals than the wallet. None: the protocol cannot say one."""
    missing_id: Says
    """The answer to a bet without the provider's id (`without_id`)."""
    restricted_bet: Says
    """The answer to a bet of a locked or self-excluded player."""
    expired_bet: Says | None = None
    """The answer to a bet in an expired session. None: the protocol names no session, and the bet passes."""
    win_without_bet: Says
    """The answer to a win whose bet or round nobody knows."""
    win_without_bet_pays: bool
    win_after_cancel: Says
    win_after_cancel_pays: bool = False
    cancel_after_win: Says
    """The answer to a cancel of a bet that was won."""
    cancel_after_win_effect: str
    """The effect of a cancel after the win: none, refund (the stake comes back, the win stays) or reverse (stake back,
    win taken back).
    """
    cancel_win: Says | None = None
    """The answer to a cancel that names the win (`cancel_win`)."""
    cancel_win_effect: str = "none"
    """The effect of a cancel that names the win: none or reverse."""
    cancel_win_names_our_id: bool = False
    """Whether that cancel names the id that we answered the win with, so that it cannot come first."""
    zero_bet: Says | None = None
    zero_win: Says | None = None
    answered_ok: frozenset[str] = frozenset()
    """Codes of our catalogue that the protocol answers with a success of its own (a repeat, an acknowledgement)."""

    # Proof
    covers_body: bool = True
    """Whether the credentials prove the content too. False: a shared secret beside it (Basic, a token in the query)."""
    covers_query: bool = True
    """Whether the credentials prove the query too, of requests that have one: a changed query is refused."""
    signature_headers: tuple[str, ...] = ()
    """Headers that carry credentials; every mutated byte in them is refused."""
    time_window_s: int | None = None
    """How far a signed time may be off, in seconds. None: no time is signed."""
    uses_signature_once: bool = False
    """Whether the very same signed request is refused the second time (a nonce); a repeat must be signed anew."""

    # Content
    decimals: int | None = None
    """Decimals that an amount can have on the wire: 5 for x100000, 2 for cents. None: any number, or the wallet's."""
    minor_units: bool = False
    """Whether amounts are whole minor units of the wallet's currency."""
    balance_decimals: int | None = None
    """Decimals of the balance in an answer, rounded down to them. None: exactly as it is."""
    replay_balance: str = "stored"
    """The balance in the answer to a repeat: `stored` with the first answer, or `current`; "" where the answer has
    none.
    """
    tolerates_unknown_fields: bool = True
    names_currency: bool = True
    """Whether callbacks name the currency."""
    json: bool = True
    """Whether bodies are JSON (False: forms)."""
    needs_session: bool = False
    """Whether a bet needs a session that lives (`expired_bet` is the answer where it does not)."""
    win_names_bet: bool = True
    """Whether a win names its bet. False: only the round."""


class Driver(ABC):
    """One provider with its keys. Amounts are plain decimals in whole units ("2.00"); the driver turns them into the
    wire's unit. Requests are made without credentials; `signed` adds them.
    """

    name: ClassVar[str]
    traits: ClassVar[Traits]

    base_path: str = ""
    """Path of the integration's base URL, such as /integrations/brand/EU/name, once the integration exists."""
    kid: str = ""

    def __init__(self, who: str = "studio") -> None:
        """Make the provider's keys; they depend on `who` only, where the kind of key allows it."""
        self.who = who

    def mounted(self, base_path: str, kid: str) -> None:
        """Take where the integration is served, and the id of its key, once it exists."""
        self.base_path, self.kid = base_path, kid

    @abstractmethod
    def setup(self) -> Setup: ...

    @abstractmethod
    def signed(self, request: Request, at: float | None = None) -> Request:
        """The request with credentials, made at the time `at` (Unix seconds; None: now) where time is signed. Takes any
        bytes as body, also such that are none of the protocol's.
        """

    @abstractmethod
    def read(self, answer: Answer, seat: Seat) -> Reading:
        """An answer as the provider reads it, which may remember our ids in it for later calls. Raises ValueError where
        the answer is not of the contract's form.
        """

    # Calls. The ids are made with `id`.

    def id(self, name: str) -> str:
        """The provider's id that `name` stands for: the same for the same name, in the form the protocol wants."""
        return name

    def player_id(self, number: int) -> str:
        """The id of player `number`, in a form that the protocol can say."""
        return f"p_{number}"

    @abstractmethod
    def balance(self, seat: Seat) -> Request: ...

    @abstractmethod
    def bet(self, seat: Seat, bet_id: str, amount: str, round_id: str) -> Request: ...

    @abstractmethod
    def win(self, seat: Seat, win_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        """A win of a bet, in whole units. Protocols that name only the round leave `bet_id` out."""

    @abstractmethod
    def cancel(self, seat: Seat, cancel_id: str, bet_id: str, amount: str, round_id: str) -> Request:
        """A cancel of a bet with its stake. Protocols whose cancels have no id of their own leave `cancel_id` out."""

    @abstractmethod
    def without_id(self, seat: Seat) -> Request:
        """A bet that lacks the provider's transaction id."""

    def cancel_win(
        self, seat: Seat, cancel_id: str, win_id: str, bet_id: str, amount: str, round_id: str
    ) -> Request | None:
        """A cancel that names a win. None: a win cannot be cancelled."""
        return None

    def bet_and_win(self, seat: Seat, bet_id: str, stake: str, win_id: str, win: str, round_id: str) -> Request | None:
        """A bet and its win in one callback, all or none. None: there is no such call."""
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
