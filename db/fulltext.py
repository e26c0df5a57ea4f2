"""Films by the words of their reports (SQLite FTS5, BM25)."""

from __future__ import annotations

import re

from sqlalchemy import column, func, literal, select, table

from db.catalog import Catalog
from db.filters import fts_phrase
from db.records import Filter, State
from db.schema import film, report

_fts = table("report_fts", column("rowid"), column("report_fts"))
_WORD = re.compile(r"\w+")


def rank(catalog: Catalog, words: str, k: int, where: Filter | None = None) -> list[int]:
    """The ids of the k films whose reports match best (BM25; any of the words), best first, within the filter."""
    from db.filters import conditions

    terms = " OR ".join(fts_phrase(word) for word in dict.fromkeys(_WORD.findall(words.lower())))
    if not terms:
        return []
    score = func.bm25(column("report_fts"))
    matched = (
        select(_fts.c.rowid, score.label("score"))
        .where(column("report_fts").op("MATCH")(literal(terms)))
        .cte("matched")
        .prefix_with("MATERIALIZED")
    )
    reported = report.join(matched, matched.c.rowid == report.c.id)
    own = select(film.c.id, matched.c.score).select_from(reported.join(film, film.c.id == report.c.film_id))
    of_study = (
        select(film.c.id, matched.c.score)
        .select_from(reported.join(film, film.c.study_uid == report.c.study_uid))
        .where(report.c.film_id.is_(None))
    )
    here = (film.c.state == State.PRESENT.value, *conditions(where or Filter()))
    both = own.where(*here).union_all(of_study.where(*here)).subquery()
    best = func.min(both.c.score)
    statement = select(both.c.id).group_by(both.c.id).order_by(best, both.c.id).limit(k)
    with catalog.read() as connection:
        return list(connection.scalars(statement))
