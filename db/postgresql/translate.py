"""Write the statements of the reads, which are SQLite's, as PostgreSQL knows them.

They keep to what both know, but for the few forms below; a test asks both the same.
"""

from __future__ import annotations

import re
from functools import lru_cache

_FORMS: tuple[tuple[re.Pattern[str], str], ...] = tuple(
    (re.compile(known), written)
    for known, written in (
        # A list of ids as one text (`filmroom.db.batching.ids_of`), each of as many digits as it has.
        (r"SELECT max\(seq\) FROM sqlite_sequence", "SELECT CAST(99999999 AS bigint)"),
        (r"group_concat\(id\)", "string_agg(CAST(id AS text), ',')"),
        (r"GROUP BY (\w+) COLLATE NOCASE", r"GROUP BY lower(\1)"),
        (
            r"SELECT value FROM json_each\(\?\)",
            "SELECT CAST(value AS bigint) FROM json_array_elements_text(CAST(? AS json))",
        ),
        # Words of reports and sentences (`filmroom.db.postgresql.words`).
        (
            r"SELECT rowid AS id, bm25\((\w+)_fts\) AS score FROM \1_fts WHERE \1_fts MATCH \?",
            r"SELECT id, score FROM filmroom_bm25_\1(?)",
        ),
        (r"SELECT rowid FROM (\w+)_fts WHERE \1_fts MATCH \?", r"SELECT id FROM \1 WHERE words @@ filmroom_query(?)"),
        (r"SELECT 1 FROM (\w+)_fts WHERE \1_fts MATCH \?", r"SELECT 1 FROM \1 WHERE words @@ filmroom_query(?)"),
        (r"CAST\(([\w.]+) AS TEXT\) LIKE '%' \|\| \? \|\| '%'", r"\1 ILIKE '%' || CAST(? AS text) || '%'"),
        (r"\binstr\(", "strpos("),
        (r"\bmin\((film\.\w+, film\.\w+)\)", r"least(\1)"),
        (r"\bCROSS JOIN (\w+) ON\b", r"JOIN \1 ON"),
        # A plus keeps SQLite from an index; before a text PostgreSQL has none.
        (r"\+(film|file)\.", r"\1."),
        (
            r"INSERT OR REPLACE INTO seen (.*)",
            r"INSERT INTO seen \1 ON CONFLICT (path) DO UPDATE SET size = excluded.size, mtime_ns = excluded.mtime_ns",
        ),
    )
)
_FOLDED = re.compile(r"([\w.]+) COLLATE NOCASE IN \(([?, ]+)\)")


@lru_cache(maxsize=1024)
def translated(statement: str) -> str:
    """Return a statement as psycopg takes it: with `%s` for each question mark."""
    for known, written in _FORMS:
        statement = known.sub(written, statement)
    statement = _FOLDED.sub(lambda match: f"lower({match[1]}) IN ({match[2].replace('?', 'lower(?)')})", statement)
    return statement.replace("%", "%%").replace("?", "%s")
