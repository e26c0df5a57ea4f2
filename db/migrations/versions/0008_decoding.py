"""Which version of decoding the films of a file are as: what an earlier one made is looked at again, once."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE file ADD COLUMN decoding INTEGER DEFAULT '1' NOT NULL")
