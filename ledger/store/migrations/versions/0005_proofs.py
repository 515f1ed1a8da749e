"""The signed bytes of calls whose proof does not name the operation."""

from pathlib import Path

from alembic import op

revision = "0005"
down_revision = "0004"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0005_proofs.sql").read_text().replace("%", "%%"))
