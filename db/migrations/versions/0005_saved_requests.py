"""A saved search keeps the whole request: examples, order, per study and the rest, not its words alone."""

from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE saved_search ADD COLUMN request TEXT")
