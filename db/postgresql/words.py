"""State what PostgreSQL keeps of the words of texts, to find and to rank them as SQLite's FTS5 does.

Words are runs of letters and digits, without case and accents (FTS5's `unicode61 remove_diacritics 2`): PostgreSQL's
own reader of texts takes `and/or` for the name of a file. Ranks are FTS5's BM25.
"""

from __future__ import annotations

_MARKS = (
    r"\u0001-\u0021\u0023-\u002f\u003a-\u0040\u005b-\u0060\u007b-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf"
)
_BETWEEN = _MARKS + r"\u00d7\u00f7\u2000-\u206f\u20a0-\u20cf\u2190-\u2bff\u3000-\u3004\u3008-\u3020\uff00-\uff0f"
_LONGEST = 250_000
"""Letters of a text whose words are kept: of a mebibyte and more a server keeps none."""

_FOLDING = ("pg_c_utf8", "und-x-icu", "C.utf8", "C")
"""Collations that know small and capital letters of every script, the best first; the last knows those of ASCII."""

TEXTS = ("report", "sentence")
"""The tables whose column `text` is read so."""

WHICH_FOLDING = "SELECT collname FROM pg_collation WHERE collname IN ('pg_c_utf8', 'und-x-icu', 'C.utf8', 'C')"


def functions(collations: set[str]) -> list[str]:
    """Return the statements that make the functions, for a server that has these collations."""
    collation = next(name for name in _FOLDING if name in collations)
    return [
        f"""
CREATE FUNCTION filmroom_plain(said text, between_words text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    lower(regexp_replace(regexp_replace(normalize(left(said, {_LONGEST}), NFD), '[\\u0300-\\u036f]', '', 'g'),
          between_words, ' ', 'g') COLLATE "{collation}")
""",
        f"""
CREATE FUNCTION filmroom_words(said text) RETURNS tsvector LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    to_tsvector('pg_catalog.simple', filmroom_plain(said, '[\\u0022{_BETWEEN}]+'))
""",
        # Phrases in quotes, with OR or blanks between (`filmroom.db.reads.filters.fts_phrase`).
        f"""
CREATE FUNCTION filmroom_query(asked text) RETURNS tsquery LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    websearch_to_tsquery('pg_catalog.simple', filmroom_plain(replace(asked, '""', ' '), '[{_BETWEEN}]+'))
""",
        """
CREATE FUNCTION filmroom_count(words tsvector) RETURNS bigint LANGUAGE sql IMMUTABLE PARALLEL SAFE RETURN
    (SELECT coalesce(sum(cardinality(positions)), 0) FROM unnest(words))
""",
    ]


def columns() -> list[str]:
    """Return the statements that keep the words of each text beside it."""
    statements = []
    for name in TEXTS:
        statements += [
            f"ALTER TABLE {name} ADD COLUMN words tsvector GENERATED ALWAYS AS (filmroom_words(text)) STORED, "
            "ADD COLUMN word_count bigint GENERATED ALWAYS AS (filmroom_count(filmroom_words(text))) STORED",
            f"CREATE INDEX ix_{name}_words ON {name} USING gin (words)",
            # For the mean length, without a look at any text.
            f"CREATE INDEX ix_{name}_word_count ON {name} (word_count)",
            _bm25(name),
        ]
    return statements


def _bm25(name: str) -> str:
    """Return FTS5's BM25 (k1 1.2, b 0.75; lower is better) of the texts that match."""
    return f"""
CREATE FUNCTION filmroom_bm25_{name}(asked text) RETURNS TABLE (id bigint, score float8) LANGUAGE sql STABLE AS $$
WITH size AS MATERIALIZED (SELECT count(*) AS texts, greatest(avg(word_count), 1) AS mean FROM {name}),
terms AS MATERIALIZED (
    SELECT term, greatest(ln((size.texts - known.texts + 0.5) / (known.texts + 0.5)), 1e-6) AS weight
    FROM size, unnest(tsvector_to_array(filmroom_words(asked))) AS term,
    LATERAL (SELECT count(*) AS texts FROM {name} WHERE words @@ phraseto_tsquery('pg_catalog.simple', term)) AS known
)
SELECT found.id, CAST(-sum(weight * often * 2.2 / (often + 1.2 * (0.25 + 0.75 * word_count / mean))) AS float8)
FROM {name} AS found, size,
LATERAL (SELECT weight, cardinality(positions) AS often FROM unnest(found.words) JOIN terms ON term = lexeme) AS said
WHERE found.words @@ filmroom_query(asked) GROUP BY found.id
$$
"""
