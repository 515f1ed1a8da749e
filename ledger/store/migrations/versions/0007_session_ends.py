"""How far bets have moved the end of a session."""

from pathlib import Path

from alembic import op

revision = "0007"
down_revision = "0006"


def upgrade() -> None:
    op.get_bind().exec_driver_sql(
        (Path(__file__).parent.parent / "0007_session_ends.sql").read_text().replace("%", "%%")
    )
