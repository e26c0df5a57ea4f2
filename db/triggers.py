"""State in SQL what SQLAlchemy has no words for: full-text tables, triggers, and the first rows of a new catalog."""

from __future__ import annotations

_WORDS_OF_REPORTS = (
    "CREATE VIRTUAL TABLE report_fts USING fts5(text, content='report', content_rowid='id', "
    "tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER report_fts_insert AFTER INSERT ON report BEGIN "
    "INSERT INTO report_fts(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER report_fts_delete AFTER DELETE ON report BEGIN "
    "INSERT INTO report_fts(report_fts, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER report_fts_update AFTER UPDATE ON report BEGIN "
    "INSERT INTO report_fts(report_fts, rowid, text) VALUES ('delete', old.id, old.text); "
    "INSERT INTO report_fts(rowid, text) VALUES (new.id, new.text); END",
)

_WORDS_OF_FINDINGS = (
    "CREATE VIRTUAL TABLE sentence_fts USING fts5(text, content='sentence', content_rowid='id', "
    "tokenize='unicode61 remove_diacritics 2')",
    "CREATE TRIGGER sentence_fts_insert AFTER INSERT ON sentence BEGIN "
    "INSERT INTO sentence_fts(rowid, text) VALUES (new.id, new.text); END",
    "CREATE TRIGGER sentence_fts_delete AFTER DELETE ON sentence BEGIN "
    "INSERT INTO sentence_fts(sentence_fts, rowid, text) VALUES ('delete', old.id, old.text); END",
    "CREATE TRIGGER finding_delete AFTER DELETE ON finding BEGIN DELETE FROM sentence WHERE id = old.sentence_id "
    "AND NOT EXISTS (SELECT 1 FROM finding WHERE sentence_id = old.sentence_id); END",
)

_STATES_OF_FILMS = (
    "INSERT INTO meta(key, value) VALUES ('film_states', '0')",
    "CREATE TRIGGER film_state AFTER UPDATE OF state ON film WHEN old.state IS NOT new.state BEGIN "
    "UPDATE meta SET value = CAST(value AS INTEGER) + 1 WHERE key = 'film_states'; END",
)


def _versions(relation: str, column: str, facts: str = "") -> tuple[str, ...]:
    """Draw the version of a stretch of ids anew when a row in it comes, goes, or has other `facts`."""
    changed = " OR ".join(f"old.{fact} IS NOT new.{fact}" for fact in facts.split(", "))
    events = {"insert": ("INSERT", "new", ""), "delete": ("DELETE", "old", "")}
    if facts:
        events["update"] = (f"UPDATE OF {facts}", "new", f"WHEN {changed} ")
    return tuple(
        f"CREATE TRIGGER stretch_{relation}_{name} AFTER {event} ON {relation} {condition}BEGIN "
        f"INSERT INTO stretch(relation, number, version) VALUES ('{relation}', {row}.{column} >> 14, random()) "
        "ON CONFLICT(relation, number) DO UPDATE SET version = excluded.version; END"
        for name, (event, row, condition) in events.items()
    )


# Which stretches of ids were written to since (`filmroom.db.stretches.versions`).
_VERSIONS_OF_STRETCHES = (
    "CREATE TABLE stretch (relation VARCHAR NOT NULL, number INTEGER NOT NULL, version INTEGER NOT NULL, "
    "PRIMARY KEY (relation, number)) WITHOUT ROWID",
    *_versions("film", "id", "state, view, modality, body_part, sex, age, year, burned_in"),
    *_versions("file", "id", "outcome, listed"),
    *_versions("label", "film_id", "value"),
    *_versions("report", "id"),
)

# An index on the disk bears it, too: one of another archive is not taken for this one's.
_ID_OF_ARCHIVE = ("INSERT INTO meta(key, value) VALUES ('archive_id', lower(hex(randomblob(16))))",)

STATEMENTS = (*_WORDS_OF_REPORTS, *_WORDS_OF_FINDINGS, *_STATES_OF_FILMS, *_VERSIONS_OF_STRETCHES, *_ID_OF_ARCHIVE)
