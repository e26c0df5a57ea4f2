"""Who made the machine that took a film, by a code."""

from alembic import op

revision = "0016"
down_revision = "0014"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE film ADD COLUMN maker VARCHAR")
