"""What people typed is not kept: the table of recent searches goes (`filmroom.db.migrate` has overwritten what it held)."""

from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("DROP TABLE recent_search")
