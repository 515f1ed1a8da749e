"""The log's generation: raised when the log was moved or restored on purpose. It is part of the relay's epoch, so that
no relay goes on by transaction ids that mean something else now.
"""

from typing import Any

import psycopg

from ledger.admin import actions
from ledger.admin.actions import Actor, AdminAction
from ledger.store import log_generation

# Whoever may migrate may become the owner; the services' roles may not.
BECOME_OWNER = "set local role wagerledger_owner"


def raise_generation(connection: psycopg.Connection[Any], by: Actor) -> int:
    """Begin a new generation and give its number. Raises AdminActionError."""
    with connection.transaction():
        connection.execute(BECOME_OWNER)
        row = connection.execute(log_generation.RAISE, [by.reason]).fetchone()
        assert row, "an insert that returns has a row"
        generation, content = row
        actions.record(
            connection, AdminAction(by, "log.generation_raised", str(generation), {"log_generation": [content]})
        )
        connection.execute("reset role")
    return int(generation)
