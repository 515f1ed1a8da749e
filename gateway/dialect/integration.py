"""One provider for one tenant and region, as the gateway keeps it in memory between two looks at the database. What
never changes from request to request is worked out once.
"""

import os
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property
from ipaddress import IPv4Network, IPv6Network, ip_network
from typing import NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.dialect.errors import Rejected
from gateway.dialect.launch_url import base_url_fault, ttl_fault
from gateway.dialect.signing import Place
from ledger.admin.games import Game
from ledger.admin.integrations import CANONICAL, SECRET
from ledger.admin.public_keys import ECDSA, ED25519, PublicKey
from ledger.core.currencies import is_real
from ledger.core.policy import Policy
from runtime.identifiers import is_currency

Network = IPv4Network | IPv6Network


class OptionError(ValueError):
    """An option has a value that means nothing; the message says which and what it may be."""


@dataclass(frozen=True, slots=True)
class SigningKey:
    """Exactly one of `secret` and `public_key` is there. Times are unix seconds."""

    kid: str
    secret: bytes | None
    public_key: PublicKey | None
    not_before: float
    not_after: float
    identity: bytes = b""
    """Tells one key from another without saying it: the same for the same secret or public key, whatever its kid."""
    shared: bool = False
    """Another integration has the same one."""

    def valid_at(self, now: float) -> bool:
        return self.not_before <= now < self.not_after


@dataclass(frozen=True)
class Integration:
    """One provider for one tenant and region."""

    integration_id: str
    tenant_id: str
    region: str
    provider_id: str
    policy: Policy
    """In force: the dialect's, with what the integration says otherwise."""
    enabled: bool
    keys: tuple[SigningKey, ...]
    dialect: str = CANONICAL
    options: Mapping[str, str] = field(default_factory=dict)
    """In force, likewise."""
    games: Mapping[str, Game] = field(default_factory=dict, repr=False)
    """By our game id."""
    key_kinds: tuple[str, ...] = (SECRET, ED25519)
    """Those of its dialect."""

    def secrets(self, now: float) -> list[bytes]:
        """Those that are valid now. A stand-in where there is none, so that every caller costs the same."""
        return [key.secret for key in self.keys if key.secret and key.valid_at(now)] or [_NOBODY_SECRET]

    def public_keys(self, now: float) -> list[PublicKey]:
        """Likewise."""
        found = [key.public_key for key in self.keys if key.public_key and key.valid_at(now)]
        return found or [_nobody_public_key(kind) for kind in self.key_kinds if kind != SECRET]

    @property
    def place(self) -> Place:
        return Place(self.tenant_id, self.region, self.provider_id)

    def key(self, kid: str | None) -> SigningKey | None:
        return next((key for key in self.keys if key.kid == kid), None)

    def signer(self, now: float, proves: Callable[["Integration"], bool], named: str = "") -> str | None:
        """The kid of the key that proved a caller who is proven: where there are several, the first that does so alone,
        the `named` one before the others.
        """
        valid = [key for key in self.keys if key.valid_at(now)]
        if len(valid) == 1:
            return valid[0].kid
        valid.sort(key=lambda key: key.kid != named)
        return next((key.kid for key in valid if proves(replace(self, keys=(key,)))), None)

    def option(self, name: str) -> str:
        return self.options.get(name, "")

    def currency(self, code: str) -> str:
        """Our code of the provider's. Raises Rejected."""
        listed = self._currencies
        found = listed.get(code) if listed else Named(code)
        if found is None or not is_currency(found.ours):
            raise Rejected("CURRENCY_NOT_SUPPORTED", currency=code)
        return found.ours

    @cached_property
    def powers(self) -> Mapping[str, int]:
        """Of our currencies that the provider counts in another unit: 3 where its unit is 1000 of ours."""
        return {named.ours: named.power for named in self._currencies.values() if named.power}

    def provider_currency(self, currency: str) -> str:
        """The provider's code of ours; ours where it has none."""
        return self._provider_currencies.get(currency, currency)

    def game(self, code: str) -> str:
        """Our game of the provider's code; the code itself where the catalogue does not have it."""
        found = self._games_by_code.get(code)
        return found.game_id if found else code

    def provider_game(self, game_id: str) -> str:
        """The provider's code of our game, likewise."""
        found = self.games.get(game_id)
        return found.provider_game_id if found else game_id

    @cached_property
    def allowed_networks(self) -> tuple[Network, ...]:
        """Option `ip_allow`: where callers may come from; empty is from anywhere."""
        return networks(self.option("ip_allow"))

    @cached_property
    def client_certificate(self) -> str:
        """Option `client_certificate`: SHA-256 of the caller's certificate, 64 hexadecimal digits, or empty."""
        digits = self.option("client_certificate").replace(":", "").lower()
        if digits and (len(digits) != 64 or not set(digits) <= set("0123456789abcdef")):
            raise OptionError("option client_certificate is the SHA-256 of a certificate: 64 hexadecimal digits")
        return digits

    @property
    def reuses_proofs(self) -> bool:
        """Option `reused_proofs`: its calls may be made of each other's signed bytes."""
        return self.option("reused_proofs") == "accept"

    @cached_property
    def _currencies(self) -> Mapping[str, "Named"]:
        return currency_pairs(self.option("currencies"))

    @cached_property
    def _provider_currencies(self) -> Mapping[str, str]:
        return {named.ours: theirs for theirs, named in reversed([*self._currencies.items()])}

    @cached_property
    def _games_by_code(self) -> Mapping[str, Game]:
        return {game.provider_game_id: game for game in self.games.values()}

    def check(self) -> None:
        """Read every option that has a form. Raises OptionError."""
        _ = self.allowed_networks, self.client_certificate, self._currencies
        for name in ("currency", "wallet_currency"):
            if (code := self.option(name)) and not is_currency(code):
                raise OptionError(f"option {name} cannot be {code!r}: a currency is 3 to 16 of A-Z 0-9 _")
        for name, fault_of in (("launch_url", base_url_fault), ("launch_ttl_s", ttl_fault)):
            if (text := self.option(name)) and (fault := fault_of(text)):
                raise OptionError(f"option {name} {fault}")


def networks(text: str) -> tuple[Network, ...]:
    """A comma-separated list of networks or addresses. Raises OptionError."""
    try:
        return tuple(ip_network(part.strip()) for part in text.split(",") if part.strip())
    except ValueError as error:
        raise OptionError(f"{error}: networks are written 203.0.113.0/24,2001:db8::/32") from error


class Named(NamedTuple):
    """What a provider's code of a currency is here."""

    ours: str
    power: int = 0
    """One of the provider's is 10 to the `power` of ours."""


_UNIT = re.compile(r"(?P<ours>[^*/]+)(?:(?P<sign>[*/])1(?P<zeros>0{0,12}))?")
_SCALES = "k|m|u|µ|μ|n|kilo|mega|milli|mili|micro|nano|sat|sats|satoshi|gwei|wei|1000|1k|000|thousand|thousands"


def currency_pairs(text: str) -> dict[str, Named]:
    """THEIRS:OURS,... by their code; a code alone is both. THEIRS:OURS*1000 where one of theirs is 1000 of ours,
    THEIRS:OURS/1000 where it is a thousandth. Raises OptionError.
    """
    pairs: dict[str, Named] = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        theirs, colon, said = part.partition(":")
        unit = _UNIT.fullmatch(said if colon else theirs)
        if not theirs or not unit or not is_currency(unit["ours"]) or theirs in pairs or (unit["sign"] and not colon):
            raise OptionError(
                f"option currencies: {part!r} is not THEIRS:OURS with a code of ours, each of theirs once, nor "
                "THEIRS:OURS*1000 or THEIRS:OURS/1000"
            )
        power = len(unit["zeros"] or "") * (-1 if unit["sign"] == "/" else 1)
        if fault := _unit_fault(theirs, unit["ours"], stated=unit["sign"] is not None):
            raise OptionError(f"option currencies: {part!r} {fault}")
        pairs[theirs] = Named(unit["ours"], power)
    for ours in {named.ours for named in pairs.values() if named.power}:
        if len({named.power for named in pairs.values() if named.ours == ours}) > 1:
            raise OptionError(f"option currencies: balances in {ours} are told in one unit, so it is named in one unit")
    return pairs


def _unit_fault(theirs: str, ours: str, *, stated: bool) -> str | None:
    """What is wrong with taking one of theirs for one, or a power of ten, of ours."""
    if theirs != ours and is_real(theirs.upper()) and is_real(ours):
        return "names two currencies: from one to another it takes a rate, see option wallet_currency and `rates set`"
    if not stated and _is_scaled(theirs, ours):
        return f"looks like another unit: say how much it is, such as {theirs}:{ours}*1000, or *1 where it is the same"
    return None


def _is_scaled(theirs: str, ours: str) -> bool:
    """kVND, VND(K), mBTC, BTC_1000 and their like."""
    plain, code = re.sub(r"[\W_]", "", theirs.lower()), re.escape(re.sub(r"\W", "", ours.lower()))
    if theirs == ours or plain == code:
        return False
    return re.fullmatch(rf"(?:{_SCALES}){code}|{code}(?:{_SCALES})|sats?|satoshis?|g?wei", plain) is not None


_NOBODY_SECRET = os.urandom(32)


@cache
def _nobody_public_key(kind: str) -> PublicKey:
    if kind == ED25519:
        return Ed25519PrivateKey.generate().public_key()
    if kind == ECDSA:
        return ec.generate_private_key(ec.SECP256R1()).public_key()
    # Any odd number will do for a modulus whose factors nobody knows; to look for primes would hold up everybody.
    return rsa.RSAPublicNumbers(65537, secrets.randbits(2048) | 1 << 2047 | 1).public_key()


NOBODY = Integration("", "", "", "", Policy(), enabled=False, keys=())
"""Verified against in place of an unknown caller. Nobody knows its keys."""


def claimed(integrations: Sequence[Integration], claims: Mapping[str, str]) -> Integration | None:
    """The one that the claims name; where they name none, the one with the option `as_written`. None where it is not
    exactly one.
    """
    wanted = claims.items() if claims else {"as_written": "true"}.items()
    found = [one for one in integrations if one.enabled and all(one.option(name) == value for name, value in wanted)]
    return found[0] if len(found) == 1 else None
