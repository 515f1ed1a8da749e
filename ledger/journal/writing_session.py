"""The session that bets are committed in: what it must be able to do, and the settings that it relies on."""

from collections.abc import Mapping

from ledger.journal.pipeline import Connection
from patience import session
from runtime.settings import Settings

# Every statement is planned once and finds its rows by an index. Left to itself, the planner takes the arrays for ten
# values, and tables that were empty when it looked for small, and would scan whole ones.
PLANS = {
    "plan_cache_mode": "force_generic_plan",
    "enable_seqscan": "off", "enable_hashjoin": "off", "enable_mergejoin": "off",
}  # fmt: skip


def wanted(settings: Settings) -> Mapping[str, str]:
    """The settings without which no bet is taken. A yes is sent after a durable commit, and nobody waits for ever."""
    timeout_ms = settings.journal_deadline_ms
    return {
        "synchronous_commit": "on",
        "default_transaction_isolation": "read committed",
        "lock_timeout": str(timeout_ms // 2),
        "statement_timeout": str(timeout_ms),
        "idle_in_transaction_session_timeout": str(timeout_ms),
        **PLANS,
    }


async def connect(settings: Settings, *, application_name: str = "wagerledger journal") -> Connection:
    """In autocommit. Raises psycopg.OperationalError, also where the session cannot write or is not kept for us."""
    url = settings.database_url.get_secret_value()
    return await session.connect_async(
        url, wanted(settings), Connection, application_name=application_name, writes=True
    )
