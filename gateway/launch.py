"""Where a session is opened for: the caller's own games, or a launch into another integration's, and what it allows."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from gateway.auth.keys import KeyRing
from gateway.dialect.errors import Rejected
from gateway.dialect.integration import Integration
from gateway.dialect.launch_url import DEFAULT_TTL_S, sign_launch


@dataclass(frozen=True, slots=True)
class Launch:
    """A way into a game, judged before its session is there."""

    integration: Integration
    base_url: str
    """Empty where the operator makes the address, from the token."""
    parameters: Mapping[str, str]
    secret: bytes = field(repr=False)
    expires_at_s: int = 0

    def url(self, token: str | None) -> str | None:
        """The signed address; without a token for demo play, which calls no wallet."""
        if not self.base_url:
            return None
        return sign_launch(self.base_url, {**self.parameters, **({"token": token} if token else {})}, self.secret)


def launch(
    target: Integration,
    now: float,
    *,
    game_id: str,
    player_id: str,
    currency: str,
    mode: str,
    jurisdiction: str | None,
    locale: str | None = None,
    return_url: str | None = None,
) -> Launch:
    """A launch into `target` at `now` (unix seconds). Raises Rejected where its game, jurisdiction or currency is not
    allowed there.
    """
    if not target.enabled:
        raise Rejected("INTEGRATION_DISABLED")
    game = allowed_game(target, game_id, jurisdiction)
    provider_currency = _provider_currency(target, currency)
    base_url = target.option("launch_url")
    if not base_url:
        return Launch(target, "", {}, b"")
    kid, secret = _newest_secret(target, now)
    expires_at_s = int(now) + int(target.option("launch_ttl_s") or DEFAULT_TTL_S)
    parameters = {
        "game": game, "player": player_id, "currency": provider_currency, "locale": locale, "mode": mode,
        "jurisdiction": jurisdiction, "return_url": return_url, "expires": str(expires_at_s), "kid": kid,
    }  # fmt: skip
    given = {name: value for name, value in parameters.items() if value is not None}
    return Launch(target, base_url, given, secret, expires_at_s)


async def target_of(keys: KeyRing, caller: Integration, game_id: str, integration_id: str | None) -> Integration:
    """Whose session it shall be: of the integration that is named, else of the one whose catalogue has the game, else
    the caller's own. Raises Rejected.
    """
    if integration_id == caller.integration_id:
        return caller
    may_launch = caller.option("may_launch") == "true"
    if integration_id is not None:
        if not may_launch:
            raise Rejected("LAUNCH_NOT_ALLOWED")
        named = await keys.find_by_id_or_read(integration_id)
        if named is None or (named.tenant_id, named.region) != (caller.tenant_id, caller.region):
            raise Rejected("FIELD_INVALID", field="integration_id", reason="is none of this brand and region")
        return named
    if not may_launch:
        return caller
    having = [one for one in keys.of_region(caller.tenant_id, caller.region) if game_id in one.games]
    having = [one for one in having if one.enabled and one.games[game_id].enabled] or having[:1]
    if len(having) > 1:
        names = ", ".join(one.integration_id for one in having)
        raise Rejected("FIELD_INVALID", field="integration_id", reason=f"must say which: {names} have the game")
    return having[0] if having else caller


def allowed_game(target: Integration, game_id: str, jurisdiction: str | None) -> str:
    """The provider's code of a game that may be played there, whoever opens the session. Raises Rejected."""
    code = _provider_game(target, game_id)
    _check_jurisdiction(target, jurisdiction)
    return code


def playable_game(target: Integration, game_id: str) -> None:
    """New bets may be placed in it. With `unlisted_games=accept` the catalogue need not have it: a live lobby has more
    tables than anybody lists. Raises Rejected.
    """
    if game_id in target.games or target.option("unlisted_games") != "accept":
        _provider_game(target, game_id)


def _provider_game(target: Integration, game_id: str) -> str:
    """The provider's code. A catalogue that has games has all of them; without one codes are the same on both sides."""
    if not target.games:
        return game_id
    game = target.games.get(game_id)
    if game is None:
        raise Rejected("GAME_NOT_FOUND", game_id=game_id)
    if not game.enabled:
        raise Rejected("GAME_DISABLED", game_id=game_id)
    return game.provider_game_id


def _provider_currency(target: Integration, currency: str) -> str:
    code = target.provider_currency(currency)
    if target.currency(code) != currency:
        raise Rejected("CURRENCY_NOT_SUPPORTED", currency=currency)
    return code


def _check_jurisdiction(target: Integration, jurisdiction: str | None) -> None:
    allowed = [word for word in target.option("jurisdictions").replace(" ", "").split(",") if word]
    if not allowed:
        return
    if jurisdiction is None:
        raise Rejected("FIELD_INVALID", field="jurisdiction", reason="is required, because the provider has a list")
    if jurisdiction not in allowed:
        raise Rejected("JURISDICTION_NOT_ALLOWED", jurisdiction=jurisdiction)


def _newest_secret(target: Integration, now: float) -> tuple[str, bytes]:
    valid = [key for key in target.keys if key.secret and key.valid_at(now)]
    if not valid:
        raise Rejected("LAUNCH_NOT_POSSIBLE", integration_id=target.integration_id)
    newest = max(valid, key=lambda key: key.not_before)
    assert newest.secret, "chosen for it"
    return newest.kid, newest.secret
