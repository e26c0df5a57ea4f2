"""Sentences and boxes that models write about films; what evaluations found."""

from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE sentence (
    id INTEGER NOT NULL, 
    text TEXT NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (text)
)""",
    """CREATE TABLE finding (
    id INTEGER NOT NULL, 
    film_id INTEGER NOT NULL, 
    source VARCHAR NOT NULL, 
    position INTEGER NOT NULL, 
    sentence_id INTEGER NOT NULL, 
    boxes TEXT NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (film_id, source, position), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE, 
    FOREIGN KEY(sentence_id) REFERENCES sentence (id)
)""",
    "CREATE INDEX ix_finding_sentence_id ON finding (sentence_id)",
    """CREATE TABLE described (
    film_id INTEGER NOT NULL, 
    source VARCHAR NOT NULL, 
    described_at INTEGER NOT NULL, 
    PRIMARY KEY (film_id, source), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE TABLE sentence_vector (
    sentence_id INTEGER NOT NULL, 
    space_id INTEGER NOT NULL, 
    vector BLOB NOT NULL, 
    PRIMARY KEY (sentence_id, space_id), 
    FOREIGN KEY(sentence_id) REFERENCES sentence (id) ON DELETE CASCADE, 
    FOREIGN KEY(space_id) REFERENCES space (id) ON DELETE CASCADE
)""",
    "CREATE INDEX ix_sentence_vector_space_id ON sentence_vector (space_id)",
    """CREATE TABLE measured (
    space_id INTEGER NOT NULL, 
    queries VARCHAR NOT NULL, 
    measure VARCHAR NOT NULL, 
    value FLOAT NOT NULL, 
    count INTEGER NOT NULL, 
    measured_at INTEGER NOT NULL, 
    PRIMARY KEY (space_id, queries, measure), 
    FOREIGN KEY(space_id) REFERENCES space (id) ON DELETE CASCADE
)""",
    "CREATE VIRTUAL TABLE sentence_fts USING fts5(text, content='sentence', content_rowid='id', tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER sentence_fts_insert AFTER INSERT ON sentence BEGIN INSERT INTO sentence_fts(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER sentence_fts_delete AFTER DELETE ON sentence BEGIN INSERT INTO sentence_fts(sentence_fts, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER finding_delete AFTER DELETE ON finding BEGIN DELETE FROM sentence WHERE id = old.sentence_id AND NOT EXISTS (SELECT 1 FROM finding WHERE sentence_id = old.sentence_id); END",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
