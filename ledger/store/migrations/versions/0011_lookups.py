"""Indexes of refusals and commands by what they name."""

from pathlib import Path

from alembic import op

revision = "0011"
down_revision = "0010"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0011_lookups.sql").read_text().replace("%", "%%"))
