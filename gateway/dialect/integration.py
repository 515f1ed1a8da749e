"""One provider for one tenant and region, as the gateway keeps it in memory between two looks at the database. What
never changes from request to request is worked out once.
"""

import os
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, cached_property

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from gateway.dialect.currency_unit import CurrencyUnit, currency_units
from gateway.dialect.errors import Rejected
from gateway.dialect.launch_url import base_url_fault, ttl_fault
from gateway.dialect.option import Network, OptionError, networks
from gateway.dialect.signing import Place
from ledger.admin.games import Game
from ledger.admin.integrations import CANONICAL, SECRET
from ledger.admin.public_keys import ECDSA, ED25519, PublicKey
from ledger.core.policy import Policy
from runtime.identifiers import is_currency


@dataclass(frozen=True, slots=True)
class SigningKey:
    """One key of an integration: either a `secret` that both sides have, or a `public_key` of the provider's. It proves
    a caller from `not_before` until `not_after`, unix seconds.
    """

    kid: str
    """The key's id, as callers and events name it."""
    secret: bytes | None
    public_key: PublicKey | None
    not_before: float
    not_after: float
    identity: bytes = b""
    """Tells one key from another without saying it: the same for the same secret or public key, whatever its kid."""
    shared: bool = False
    """Whether another integration has the same key."""

    def valid_at(self, now: float) -> bool:
        """Whether the key proves a caller at `now` (unix seconds)."""
        return self.not_before <= now < self.not_after


@dataclass(frozen=True)
class Integration:
    """One provider for one tenant and region: who it is, its keys, and what it may say otherwise than others."""

    integration_id: str
    """BRAND/REGION/NAME, which is also the path of its base URL."""
    tenant_id: str
    """The brand, whose players they are."""
    region: str
    provider_id: str
    """The provider's name in events and read models."""
    policy: Policy
    """The policy in force: the dialect's, with what the integration says otherwise."""
    enabled: bool
    """False after the red button: all its calls are refused."""
    keys: tuple[SigningKey, ...]
    dialect: str = CANONICAL
    """The name of its protocol."""
    options: Mapping[str, str] = field(default_factory=dict)
    """The options in force: defaults, with what the integration says otherwise."""
    games: Mapping[str, Game] = field(default_factory=dict, repr=False)
    """The catalogue, by our game id; empty where the integration lists no games."""
    key_kinds: tuple[str, ...] = (SECRET, ED25519)
    """The kinds of keys that its dialect takes."""

    def secrets(self, now: float) -> list[bytes]:
        """The integration's secrets that are valid at `now` (unix seconds). A stand-in where there is none, so that
        every caller costs the same.
        """
        return [key.secret for key in self.keys if key.secret and key.valid_at(now)] or [_NOBODY_SECRET]

    def public_keys(self, now: float) -> list[PublicKey]:
        """The integration's public keys that are valid at `now` (unix seconds); stand-ins where there are none."""
        found = [key.public_key for key in self.keys if key.public_key and key.valid_at(now)]
        return found or [_nobody_public_key(kind) for kind in self.key_kinds if kind != SECRET]

    @property
    def place(self) -> Place:
        """Whose integration it is, as signatures name it."""
        return Place(self.tenant_id, self.region, self.provider_id)

    def key(self, kid: str | None) -> SigningKey | None:
        """The integration's key with this id, valid or not."""
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
        """Value of an option in force; an empty text where there is none."""
        return self.options.get(name, "")

    def currency(self, code: str) -> str:
        """Our code of the currency that the provider calls `code`. Raises Rejected CURRENCY_NOT_SUPPORTED."""
        listed = self._currencies
        found = listed.get(code) if listed else CurrencyUnit(code)
        if found is None or not is_currency(found.ours):
            raise Rejected("CURRENCY_NOT_SUPPORTED", currency=code)
        return found.ours

    @cached_property
    def powers(self) -> Mapping[str, int]:
        """By our code, for currencies that the provider counts in another unit: 3 where one of its units is 1000 of
        ours.
        """
        return {named.ours: named.power for named in self._currencies.values() if named.power}

    def provider_currency(self, currency: str) -> str:
        """The provider's code of our `currency`; the same code where it has no other."""
        return self._provider_currencies.get(currency, currency)

    def game(self, code: str) -> str:
        """Our id of the game that the provider calls `code`; the code itself where the catalogue does not have it."""
        found = self._games_by_code.get(code)
        return found.game_id if found else code

    def provider_game(self, game_id: str) -> str:
        """The provider's code of our game; our id itself where the catalogue does not have it."""
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
    def _currencies(self) -> Mapping[str, CurrencyUnit]:
        return currency_units(self.option("currencies"))

    @cached_property
    def _provider_currencies(self) -> Mapping[str, str]:
        return {named.ours: theirs for theirs, named in reversed([*self._currencies.items()])}

    @cached_property
    def _games_by_code(self) -> Mapping[str, Game]:
        return {game.provider_game_id: game for game in self.games.values()}

    def validate_options(self) -> None:
        """Read every option whose value is more than text. Raises OptionError, saying which and what it may be."""
        _ = self.allowed_networks, self.client_certificate, self._currencies
        for name in ("currency", "wallet_currency"):
            if (code := self.option(name)) and not is_currency(code):
                raise OptionError(f"option {name} cannot be {code!r}: a currency is 3 to 16 of A-Z 0-9 _")
        for name, fault_of in (("launch_url", base_url_fault), ("launch_ttl_s", ttl_fault)):
            if (text := self.option(name)) and (fault := fault_of(text)):
                raise OptionError(f"option {name} {fault}")


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
"""The integration that unknown callers are verified against. Nobody knows its keys."""


def claimed(integrations: Sequence[Integration], claims: Mapping[str, str]) -> Integration | None:
    """The one enabled integration whose options are the claims; without claims, the one with the option `as_written`.
    None where it is not exactly one.
    """
    wanted = claims.items() if claims else {"as_written": "true"}.items()
    found = [one for one in integrations if one.enabled and all(one.option(name) == value for name, value in wanted)]
    return found[0] if len(found) == 1 else None
