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

# An index on the disk bears it, too: one of another archive is not taken for this one's.
_ID_OF_ARCHIVE = ("INSERT INTO meta(key, value) VALUES ('archive_id', lower(hex(randomblob(16))))",)

STATEMENTS = (*_WORDS_OF_REPORTS, *_WORDS_OF_FINDINGS, *_STATES_OF_FILMS, *_ID_OF_ARCHIVE)
