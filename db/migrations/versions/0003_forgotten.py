"""What was forgotten on request is remembered as keyed hashes."""

from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("""CREATE TABLE forgotten (
    mark VARCHAR NOT NULL, 
    PRIMARY KEY (mark)
)""")
