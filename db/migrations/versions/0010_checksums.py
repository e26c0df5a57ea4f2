"""Damage is found: a checksum for each vector and thumbnail, facts in an index that can be compared, an archive's own id."""

from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None

STATEMENTS = (
    "ALTER TABLE embedding ADD COLUMN checksum INTEGER",
    "ALTER TABLE thumbnail ADD COLUMN checksum INTEGER",
    "CREATE INDEX ix_embedding_unchecked ON embedding (id) WHERE checksum IS NULL",
    "CREATE INDEX ix_thumbnail_unchecked ON thumbnail (film_id) WHERE checksum IS NULL",
    "CREATE INDEX ix_film_facts ON film (modality, body_part, laterality, sex, age, photometric, rows, columns, series_uid)",
    "INSERT INTO meta(key, value) VALUES ('archive_id', lower(hex(randomblob(16))))",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
