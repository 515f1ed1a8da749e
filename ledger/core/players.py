"""Players: their sessions, and what stops their stakes."""

from dataclasses import replace

from ledger.core import folds
from ledger.core.commands import Command, PlayerCommand
from ledger.core.decision import Accepted, Decision, Refusal, accept, reason_missing, wallet_of
from ledger.core.events import Event, Payload
from ledger.core.folds import Touched
from ledger.core.policy import Policy
from ledger.core.state import Key, Session, State
from ledger.core.value import value


@value()
class RestrictPlayer(Command):
    """Lock, exclude or free a player. Debits stop; what is won or refunded still comes."""

    kind = "RestrictPlayer"
    player: str
    restriction: str | None
    """locked or self_excluded; None frees."""
    reason: str
    actor: str

    @property
    def player_id(self) -> str | None:
        return self.player


@value()
class StartSession(PlayerCommand):
    """Open a session of a player in a game, which bets may name. It ends at `expires_at`, microseconds since the
    epoch; bets move that.
    """

    kind = "StartSession"
    game_id: str
    locale: str | None
    mode: str
    expires_at: int
    for_integration: str | None = None
    """Whose session it is: None is the caller's own; a launch opens one for the game's integration."""
    jurisdiction: str | None = None
    """Where the player plays: ISO 3166 or the operator's word."""


@value()
class EndSession(Command):
    """End a session before its time; bets can then not name it any more."""

    kind = "EndSession"
    session_id: str
    reason: str
    by_operator: bool = False
    """Who launches sessions for others may end them: any of the tenant."""

    @property
    def needs(self) -> tuple[Key, ...]:
        return ((Session, self.session_id),)


@value(slots=False)
class PlayerRestricted(Payload):
    """The player may not stake: `restriction` is locked or self_excluded."""

    event_type = "player.restricted"
    command_kind = "RestrictPlayer"
    restriction: str
    reason: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "restricted"}


@value(slots=False)
class PlayerFreed(Payload):
    """The player may stake again."""

    event_type = "player.freed"
    command_kind = "RestrictPlayer"
    reason: str
    actor: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "freed"}


@value(slots=False)
class SessionStarted(Payload):
    """A player has begun a session in a game, with one wallet."""

    event_type = "session.started"
    command_kind = "StartSession"
    session_id: str
    integration_id: str
    """Whose session it is."""
    currency: str
    mode: str
    game_id: str
    locale: str | None
    expires_at: int
    """Microseconds since the epoch, UTC."""
    jurisdiction: str | None

    @property
    def result(self) -> dict[str, str]:
        return {"status": "started", "session_id": self.session_id, "expires_at": str(self.expires_at)}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return ((Session, self.session_id),)


@value(slots=False)
class SessionEnded(Payload):
    """A session was ended before its time."""

    event_type = "session.ended"
    command_kind = "EndSession"
    session_id: str
    currency: str
    mode: str
    reason: str

    @property
    def result(self) -> dict[str, str]:
        return {"status": "ended", "session_id": self.session_id}

    def needs(self, event: Event) -> tuple[Key, ...]:
        return ((Session, self.session_id),)


def restrict(state: State, command: RestrictPlayer, _: Policy, at: int) -> Decision:
    """A person says who they are and why. What the player is already stays as it is."""
    player = state.player(command.origin.tenant_id, command.player)
    restriction = command.restriction
    if refusal := reason_missing(command.actor, command.reason):
        return refusal
    if player is None:
        return Refusal("PLAYER_NOT_FOUND", {"player_id": command.player})
    if player.restriction == restriction:
        return Accepted((), {"status": "restricted" if restriction else "freed"})
    if restriction is None:
        return accept(command, command.player, (), PlayerFreed(command.reason, command.actor), at)
    return accept(command, command.player, (), PlayerRestricted(restriction, command.reason, command.actor), at)


def start_session(state: State, command: StartSession, _: Policy, at: int) -> Decision:
    """A session needs its wallet. A restricted player may look, and not stake."""
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    integration_id = command.for_integration or command.origin.integration_id
    assert integration_id, "a session belongs to an integration"
    payload = SessionStarted(
        session_id=command.named("s"),
        integration_id=integration_id,
        currency=command.currency,
        mode=command.mode,
        game_id=command.game_id,
        locale=command.locale,
        expires_at=command.expires_at,
        jurisdiction=command.jurisdiction,
    )
    return accept(command, command.player, (), payload, at)


def end_session(state: State, command: EndSession, _: Policy, at: int) -> Decision:
    """Only whose session it is may end it; one that has ended stays so."""
    session = state.session(command.session_id)
    if session is None or not _may_end(session, command):
        return Refusal("SESSION_NOT_FOUND", {"session_id": command.session_id})
    if session.ended:
        return Accepted((), {"status": "ended", "session_id": session.session_id})
    payload = SessionEnded(
        session_id=session.session_id,
        currency=session.currency,
        mode=session.mode,
        reason=command.reason,
    )
    return accept(command, session.player_id, (), payload, at)


def _may_end(session: Session, command: EndSession) -> bool:
    if command.by_operator:
        return session.tenant_id == command.origin.tenant_id
    return session.integration_id == command.origin.integration_id


def player_restricted(state: State, event: Event, payload: PlayerRestricted) -> Touched:
    """The player carries the restriction from now on."""
    return (replace(folds.player(state, event), restriction=payload.restriction),)


def player_freed(state: State, event: Event, _: PlayerFreed) -> Touched:
    """The player carries no restriction any more."""
    return (replace(folds.player(state, event), restriction=None),)


def session_started(_: State, event: Event, payload: SessionStarted) -> Touched:
    """The session is there, for bets to name."""
    session = Session(
        session_id=payload.session_id,
        integration_id=payload.integration_id,
        tenant_id=event.tenant_id,
        player_id=folds.player_id(event),
        currency=payload.currency,
        mode=payload.mode,
        game_id=payload.game_id,
        expires_at=payload.expires_at,
    )
    return (session,)


def session_ended(state: State, _: Event, payload: SessionEnded) -> Touched:
    """The session is over, whatever its time says."""
    session = state.session(payload.session_id)
    assert session, f"session {payload.session_id} ends before it started"
    return (replace(session, ended=True),)
