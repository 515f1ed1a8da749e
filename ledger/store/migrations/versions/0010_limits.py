"""Limits of players, and their calendar."""

from pathlib import Path

from alembic import op

revision = "0010"
down_revision = "0009"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0010_limits.sql").read_text().replace("%", "%%"))
