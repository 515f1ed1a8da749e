"""Keys of 16 bytes."""

from pathlib import Path

from alembic import op

revision = "0008"
down_revision = "0007"


def upgrade() -> None:
    op.get_bind().exec_driver_sql((Path(__file__).parent.parent / "0008_keys.sql").read_text().replace("%", "%%"))
