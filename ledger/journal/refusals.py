"""What a refusal's record says of who was refused, from its row in `refusals` or its entry of the log."""

from ledger.core.commands import TENANT_SCOPE
from ledger.streams import PLAYER


def refused(scope: str, stream_type: str, stream_id: str) -> dict[str, str | None]:
    """The integration, null for the operator's own commands; and the player, null where none was known."""
    return {
        "integration_id": None if scope.startswith(TENANT_SCOPE) else scope,
        "player_id": stream_id if stream_type == PLAYER else None,
    }
