"""The films of a collection have a place in it: a second was too coarse to keep the order in which they were put there."""

from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.execute("ALTER TABLE collection_film RENAME COLUMN added_at TO place")
    op.execute(
        """
CREATE TEMPORARY TABLE placed AS
	SELECT rowid AS row, row_number() OVER (PARTITION BY collection_id ORDER BY place, rowid) AS place FROM collection_film
"""
    )
    op.execute("UPDATE collection_film SET place = (SELECT place FROM placed WHERE placed.row = collection_film.rowid)")
    op.execute("DROP TABLE placed")
