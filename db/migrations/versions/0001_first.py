"""The first catalog, as SQL: a migration stands for one day's tables, whatever the program makes of them later."""

from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

STATEMENTS = (
    """CREATE TABLE meta (
    "key" VARCHAR NOT NULL, 
    value VARCHAR NOT NULL, 
    PRIMARY KEY ("key")
)""",
    """CREATE TABLE root (
    id INTEGER NOT NULL, 
    path TEXT NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (path)
)""",
    """CREATE TABLE space (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
    model VARCHAR NOT NULL, 
    fingerprint VARCHAR NOT NULL, 
    dim INTEGER NOT NULL, 
    vectors INTEGER NOT NULL, 
    has_text BOOLEAN NOT NULL, 
    generation INTEGER NOT NULL, 
    UNIQUE (model, fingerprint)
)""",
    """CREATE TABLE run (
    id INTEGER NOT NULL, 
    paths TEXT NOT NULL, 
    model VARCHAR NOT NULL, 
    pid INTEGER NOT NULL, 
    state VARCHAR NOT NULL, 
    started_at INTEGER NOT NULL, 
    ended_at INTEGER, 
    listed INTEGER NOT NULL, 
    "indexed" INTEGER NOT NULL, 
    unchanged INTEGER NOT NULL, 
    duplicate INTEGER NOT NULL, 
    rejected INTEGER NOT NULL, 
    gone INTEGER NOT NULL, 
    message TEXT, 
    PRIMARY KEY (id)
)""",
    """CREATE TABLE collection (
    id INTEGER NOT NULL, 
    name VARCHAR NOT NULL, 
    created_at INTEGER NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (name)
)""",
    """CREATE TABLE saved_search (
    id INTEGER NOT NULL, 
    name VARCHAR NOT NULL, 
    "query" TEXT NOT NULL, 
    created_at INTEGER NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (name)
)""",
    """CREATE TABLE recent_search (
    "query" TEXT NOT NULL, 
    searched_at INTEGER NOT NULL, 
    PRIMARY KEY ("query")
)""",
    """CREATE INDEX ix_recent_search_searched_at ON recent_search (searched_at)""",
    """CREATE TABLE file (
    id INTEGER NOT NULL, 
    root_id INTEGER NOT NULL, 
    path TEXT NOT NULL, 
    size INTEGER NOT NULL, 
    mtime_ns INTEGER NOT NULL, 
    sha256 VARCHAR, 
    outcome VARCHAR NOT NULL, 
    listed BOOLEAN NOT NULL, 
    duplicate_of INTEGER, 
    stage VARCHAR, 
    reason VARCHAR, 
    remedy VARCHAR, 
    tried_at INTEGER NOT NULL, 
    PRIMARY KEY (id), 
    UNIQUE (root_id, path), 
    FOREIGN KEY(root_id) REFERENCES root (id), 
    CONSTRAINT fk_file_duplicate_of FOREIGN KEY(duplicate_of) REFERENCES film (id)
)""",
    """CREATE INDEX ix_file_outcome ON file (outcome)""",
    """CREATE INDEX ix_file_sha256 ON file (sha256)""",
    """CREATE INDEX ix_file_duplicate_of ON file (duplicate_of)""",
    """CREATE TABLE film (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
    identity VARCHAR NOT NULL, 
    file_id INTEGER NOT NULL, 
    frame INTEGER NOT NULL, 
    state VARCHAR NOT NULL, 
    modality VARCHAR, 
    "view" VARCHAR, 
    body_part VARCHAR, 
    laterality VARCHAR, 
    sex VARCHAR, 
    age INTEGER, 
    year INTEGER, 
    rows INTEGER NOT NULL, 
    columns INTEGER NOT NULL, 
    photometric VARCHAR, 
    study_uid VARCHAR, 
    series_uid VARCHAR, 
    instance_uid VARCHAR, 
    patient_key VARCHAR, 
    burned_in BOOLEAN, 
    added_at INTEGER NOT NULL, 
    UNIQUE (identity), 
    FOREIGN KEY(file_id) REFERENCES file (id)
)""",
    """CREATE INDEX ix_film_state ON film (state)""",
    """CREATE INDEX ix_film_file_id ON film (file_id)""",
    """CREATE INDEX ix_film_year ON film (year)""",
    """CREATE INDEX ix_film_patient_key ON film (patient_key)""",
    """CREATE INDEX ix_film_view ON film ("view")""",
    """CREATE INDEX ix_film_instance_uid ON film (instance_uid)""",
    """CREATE INDEX ix_film_study_uid ON film (study_uid)""",
    """CREATE TABLE embedding (
    id INTEGER NOT NULL PRIMARY KEY AUTOINCREMENT, 
    space_id INTEGER NOT NULL, 
    film_id INTEGER NOT NULL, 
    vectors BLOB NOT NULL, 
    UNIQUE (space_id, film_id), 
    FOREIGN KEY(space_id) REFERENCES space (id) ON DELETE CASCADE, 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_embedding_space_id_id ON embedding (space_id, id)""",
    """CREATE INDEX ix_embedding_film_id ON embedding (film_id)""",
    """CREATE TABLE thumbnail (
    film_id INTEGER NOT NULL, 
    webp BLOB NOT NULL, 
    PRIMARY KEY (film_id), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE TABLE label (
    film_id INTEGER NOT NULL, 
    name VARCHAR NOT NULL, 
    source VARCHAR NOT NULL, 
    value FLOAT NOT NULL, 
    PRIMARY KEY (film_id, name, source), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_label_name ON label (name, film_id)""",
    """CREATE TABLE report (
    id INTEGER NOT NULL, 
    film_id INTEGER, 
    study_uid VARCHAR, 
    source VARCHAR NOT NULL, 
    text TEXT NOT NULL, 
    PRIMARY KEY (id), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_report_study_uid ON report (study_uid)""",
    """CREATE INDEX ix_report_film_id ON report (film_id)""",
    """CREATE TABLE collection_film (
    collection_id INTEGER NOT NULL, 
    film_id INTEGER NOT NULL, 
    added_at INTEGER NOT NULL, 
    PRIMARY KEY (collection_id, film_id), 
    FOREIGN KEY(collection_id) REFERENCES collection (id) ON DELETE CASCADE, 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_collection_film_film_id ON collection_film (film_id)""",
    """CREATE TABLE tag (
    film_id INTEGER NOT NULL, 
    name VARCHAR NOT NULL, 
    PRIMARY KEY (film_id, name), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_tag_name ON tag (name)""",
    """CREATE TABLE note (
    film_id INTEGER NOT NULL, 
    text TEXT NOT NULL, 
    updated_at INTEGER NOT NULL, 
    PRIMARY KEY (film_id), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE TABLE judgement (
    "query" TEXT NOT NULL, 
    film_id INTEGER NOT NULL, 
    judge VARCHAR NOT NULL, 
    grade INTEGER NOT NULL, 
    judged_at INTEGER NOT NULL, 
    PRIMARY KEY ("query", film_id, judge), 
    FOREIGN KEY(film_id) REFERENCES film (id) ON DELETE CASCADE
)""",
    """CREATE INDEX ix_judgement_film_id ON judgement (film_id)""",
    """CREATE VIRTUAL TABLE report_fts USING fts5(text, content='report', content_rowid='id', tokenize='unicode61 remove_diacritics 2')""",
    """CREATE TRIGGER report_fts_insert AFTER INSERT ON report BEGIN INSERT INTO report_fts(rowid, text) VALUES (new.id, new.text); END""",
    """CREATE TRIGGER report_fts_delete AFTER DELETE ON report BEGIN INSERT INTO report_fts(report_fts, rowid, text) VALUES ('delete', old.id, old.text); END""",
    """CREATE TRIGGER report_fts_update AFTER UPDATE ON report BEGIN INSERT INTO report_fts(report_fts, rowid, text) VALUES ('delete', old.id, old.text); INSERT INTO report_fts(rowid, text) VALUES (new.id, new.text); END""",
    """CREATE TRIGGER film_state AFTER UPDATE OF state ON film WHEN old.state IS NOT new.state BEGIN UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'film_states'; END""",
    "INSERT INTO meta(key, value) VALUES ('film_states', '0')",
)


def upgrade() -> None:
    for statement in STATEMENTS:
        op.execute(statement)
