"""Find films by the words of their reports, and sentences of models by theirs (SQLite FTS5, BM25); and reports whose
findings are still to be read."""

from __future__ import annotations

import re

from filmroom.db.catalog import Catalog
from filmroom.db.reads.filters import fts_phrase, present
from filmroom.db.records import Filter

_WORD = re.compile(r"\w+")
_UNREAD = "(read_by IS NULL OR read_by != ?)"


def holds(catalog: Catalog, word: str) -> bool:
    """Tell whether any report of the archive has this word."""
    statement = "SELECT 1 FROM report_fts WHERE report_fts MATCH ? LIMIT 1"
    with catalog.look() as connection:
        return connection.execute(statement, (fts_phrase(word),)).fetchone() is not None


def rank(catalog: Catalog, words: str, k: int, where: Filter | None = None) -> list[int]:
    """Return the ids of the k films whose reports match best (BM25; any of the words), best first, within the
    filter."""
    terms = " OR ".join(fts_phrase(word) for word in dict.fromkeys(_WORD.findall(words.lower())))
    if not terms:
        return []
    passing = present(where or Filter())
    statement = f"""
WITH matched AS MATERIALIZED (SELECT rowid AS id, bm25(report_fts) AS score FROM report_fts WHERE report_fts MATCH ?)
SELECT id FROM (
    SELECT film.id AS id, matched.score AS score FROM report JOIN matched ON matched.id = report.id
    JOIN film ON film.id = report.film_id WHERE {passing.sql}
    UNION ALL
    SELECT film.id, matched.score FROM report JOIN matched ON matched.id = report.id
    JOIN film ON film.study_uid = report.study_uid WHERE report.film_id IS NULL AND {passing.sql}
) AS hits GROUP BY id ORDER BY min(score), id LIMIT ?
"""
    with catalog.look() as connection:
        return [row[0] for row in connection.execute(statement, (terms, *passing.values, *passing.values, k))]


def sentences(catalog: Catalog, words: str) -> list[tuple[int, float]]:
    """Return (sentence, score) of those that hold all the words, the best first (BM25, higher is better)."""
    terms = " ".join(fts_phrase(word) for word in words.split())
    if not terms:
        return []
    statement = (
        "SELECT rowid AS id, bm25(sentence_fts) AS score FROM sentence_fts WHERE sentence_fts MATCH ? "
        "ORDER BY score, id"
    )
    with catalog.look() as connection:
        return [(int(row[0]), -float(row[1])) for row in connection.execute(statement, (terms,))]


def count_unread(catalog: Catalog, reader: int) -> int:
    """Count the reports that this version of the reader has not read."""
    with catalog.look() as connection:
        return int(connection.execute(f"SELECT count(*) FROM report WHERE {_UNREAD}", (reader,)).fetchone()[0])


def unread(catalog: Catalog, reader: int, limit: int) -> list[tuple[int, str]]:
    """Return (id, text) of reports that this version of the reader has not read."""
    with catalog.look() as connection:
        rows = connection.execute(f"SELECT id, text FROM report WHERE {_UNREAD} LIMIT ?", (reader, limit))
        return [(row[0], row[1]) for row in rows]
