"""Tokens of people and programs that use the archive over the network; of a token its hash alone is kept."""

from alembic import op

revision = "0012"
down_revision = "0011"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute(
        """
CREATE TABLE token (
	id INTEGER NOT NULL, 
	name VARCHAR NOT NULL, 
	digest VARCHAR NOT NULL, 
	scope VARCHAR NOT NULL, 
	created_at INTEGER NOT NULL, 
	revoked_at INTEGER, 
	PRIMARY KEY (id), 
	UNIQUE (name), 
	UNIQUE (digest)
)
"""
    )
