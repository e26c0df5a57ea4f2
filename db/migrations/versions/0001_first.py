"""The first catalog: every table as of version 0.1.

Later migrations must not call `create_all`: this one may, because the first release defines the tables.
"""

from alembic import op

from db.schema import metadata

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    metadata.create_all(op.get_bind())
