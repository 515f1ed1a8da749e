"""Guards that no kind of session passes by."""

from pathlib import Path

from alembic import op

revision = "0006"
down_revision = "0005"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0006_guards.sql").read_text().replace("%", "%%"))
