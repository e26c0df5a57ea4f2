"""How a film lay in its file."""

from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE film ADD COLUMN orientation VARCHAR")
