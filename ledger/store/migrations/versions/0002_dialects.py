"""The tables of the dialects."""

from pathlib import Path

from alembic import op

revision = "0002"
down_revision = "0001"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0002_dialects.sql").read_text().replace("%", "%%"))
