"""Where a player's data lives. The first wallet says it, and no command of another region is taken after that."""

from ledger.core.commands import Command
from ledger.core.decision import Refusal
from ledger.core.rounds import FinishRound
from ledger.core.state import Bet, Settlement, State
from ledger.core.wins import SettleBet


def foreign(state: State, command: Command) -> Refusal | None:
    """A no to what another region asks about a player. What stands on a bet or win that this integration has taken
    passes: nothing won is ever lost for it.
    """
    origin = command.origin
    player_id = command.player_id or _of_session(state, command)
    player = state.player(origin.tenant_id, player_id) if player_id else None
    if player is None or player.region == origin.region or _is_taken(state, command):
        return None
    return Refusal("REGION_MISMATCH", {"player_id": player.player_id, "region": origin.region})


def _of_session(state: State, command: Command) -> str | None:
    session_id = getattr(command, "session_id", None)
    session = state.session(session_id) if session_id else None
    return session.player_id if session and session.tenant_id == command.origin.tenant_id else None


def _is_taken(state: State, command: Command) -> bool:
    if any(isinstance(state.get(key), Bet | Settlement) for key in command.needs):
        return True
    round_id = command.round_id if isinstance(command, SettleBet | FinishRound) else None
    if round_id is None or command.player_id is None or command.origin.integration_id is None:
        return False
    return bool(state.bets_of_round(command.origin.integration_id, command.player_id, round_id))
