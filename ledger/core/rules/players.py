"""Players: their sessions, and what stops their stakes."""

from ledger.core.commands import EndSession, Policy, RestrictPlayer, StartSession
from ledger.core.decision import Accepted, Decision, Refusal, accept, unexplained, wallet_of
from ledger.core.events import PlayerFreed, PlayerRestricted, SessionEnded, SessionStarted
from ledger.core.state import Session, State


def restrict(state: State, command: RestrictPlayer, _: Policy) -> Decision:
    player = state.player(command.origin.tenant_id, command.player)
    asked = command.restriction
    if refusal := unexplained(command.actor, command.reason):
        return refusal
    if player is None:
        return Refusal("PLAYER_NOT_FOUND", {"player_id": command.player})
    if player.restriction == asked:
        return Accepted((), {"status": "restricted" if asked else "freed"})
    if asked is None:
        return accept(command, command.player, (), PlayerFreed(command.reason, command.actor))
    return accept(command, command.player, (), PlayerRestricted(asked, command.reason, command.actor))


def start_session(state: State, command: StartSession, _: Policy) -> Decision:
    wallet = wallet_of(state, command, command.player, command.currency)
    if isinstance(wallet, Refusal):
        return wallet
    integration_id = command.for_integration or command.origin.integration_id
    assert integration_id, "a session belongs to an integration"
    payload = SessionStarted(
        command.named("s"), integration_id, command.currency, command.mode, command.game_id, command.locale,
        command.expires_at, command.jurisdiction,
    )  # fmt: skip
    return accept(command, command.player, (), payload)


def end_session(state: State, command: EndSession, _: Policy) -> Decision:
    session = state.session(command.session_id)
    if session is None or not _may_end(session, command):
        return Refusal("SESSION_NOT_FOUND", {"session_id": command.session_id})
    if session.ended:
        return Accepted((), {"status": "ended", "session_id": session.session_id})
    payload = SessionEnded(session.session_id, session.currency, session.mode, command.reason)
    return accept(command, session.player_id, (), payload)


def _may_end(session: Session, command: EndSession) -> bool:
    if command.by_operator:
        return session.tenant_id == command.origin.tenant_id
    return session.integration_id == command.origin.integration_id
