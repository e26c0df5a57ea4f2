"""Paths are found from their end, and films by modality, body part, sex and age, through indexes."""

import os
from typing import Any

from alembic import op
from filmroom.db.path_names import tail_of

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None

INDEXES = (
    "CREATE INDEX ix_file_tail ON file (tail)",
    "CREATE INDEX ix_film_modality ON film (modality COLLATE NOCASE)",
    "CREATE INDEX ix_film_body_part ON film (body_part COLLATE NOCASE)",
    "CREATE INDEX ix_film_sex ON film (sex COLLATE NOCASE)",
    "CREATE INDEX ix_film_age ON film (age)",
)


def upgrade() -> None:
    op.execute("ALTER TABLE file ADD COLUMN tail BLOB")
    connection: Any = op.get_bind().connection.dbapi_connection
    connection.create_function("tail_of", 1, lambda path: tail_of(os.fsdecode(path)), deterministic=True)
    op.execute("UPDATE file SET tail = tail_of(path)")
    for statement in INDEXES:
        op.execute(statement)
