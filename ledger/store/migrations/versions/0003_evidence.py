"""What auditors need beside the events."""

from pathlib import Path

from alembic import op

revision = "0003"
down_revision = "0002"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0003_evidence.sql").read_text().replace("%", "%%"))
