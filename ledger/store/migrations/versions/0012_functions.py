"""The guard of the ledger's functions."""

from pathlib import Path

from alembic import op

revision = "0012"
down_revision = "0011"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0012_functions.sql").read_text().replace("%", "%%"))
