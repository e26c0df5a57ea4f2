"""Find the films that were judged for what a query asks: by votes of the request, on the Judge page, or by labels."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.db.reads import films, judged
from filmroom.db.vector_index.index import VectorIndex
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.report_labeler import Statement, mentions, qualified
from filmroom.search.classification.zero_shot import labels_of
from filmroom.search.query.parser import Query, parse
from filmroom.search.query.relevance_feedback import Learned, teach
from numpy.typing import NDArray

MOST = 2_000
"""Judged films of each kind that are learned from; of more, so many drawn the same way each time."""

Topic = tuple[frozenset[Statement | str], frozenset[Statement | str]]
"""What a query asks for and against: findings with side, severity and place, or plain words where it names none."""


def learned_vector(
    words: NDArray[np.float32],
    query: Query,
    votes: dict[int, int],
    catalog: Catalog,
    index: VectorIndex,
) -> tuple[NDArray[np.float32], Learned]:
    """Bend the vector (D,) of a query's words by the films that were judged for it and that the index holds."""
    known = judged_films(catalog, query, votes)
    ids = np.array(sorted(known), np.int64)
    ids = ids[index.holds(ids)] if ids.size else ids
    shows = np.array([known[film] for film in ids.tolist()], bool)
    drawn = np.sort(np.concatenate([_some(np.flatnonzero(shows)), _some(np.flatnonzero(~shows))]))
    ids, shows = ids[drawn], shows[drawn]
    keys = {film.id: film.tags.patient_key or f"film {film.id}" for film in films.films(catalog, ids.tolist())}
    vectors = index.vectors(ids).astype(np.float64).mean(axis=1)
    sample = index.sample.astype(np.float64).mean(axis=1)
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    with threadpool_limits(1, "blas"):  # small systems: threads that wait for each other take seconds on a busy machine
        return teach(words, vectors, shows, [keys.get(film, "") for film in ids.tolist()], sample)


def judged_films(catalog: Catalog, query: Query, votes: dict[int, int]) -> dict[int, bool]:
    """Return films by whether they show what is asked. A vote of the request counts before a judgement of this topic by
    whatever words, a judgement before a label."""
    topic = topic_of(query)
    judgements: dict[int, bool] = {}
    if len(topic[0]) == 1 and not topic[1]:
        (only,) = topic[0]
        if isinstance(only, Statement) and only == Statement(only.idea):
            judgements |= judged.labelled(catalog, labels_of(only.idea))
    same = [text for text in judged.judged_queries(catalog) if _topic_of_text(text) == topic]
    judgements |= {film: grade > 0 for film, grade in judged.grades(catalog, same).items()}
    return judgements | {film: vote > 0 for film, vote in votes.items()}


def topic_of(query: Query) -> Topic:
    """Read what a query asks for and against. Its filters do not matter."""
    return _topics(query.positive), _topics(query.negated)


def _topic_of_text(query: str) -> Topic | None:
    try:
        return topic_of(parse(query))
    except BadInput:  # typed under an earlier version's rules
        return None


def _topics(texts: Sequence[str]) -> frozenset[Statement | str]:
    topics: set[Statement | str] = set()
    for text in texts:
        plain = " ".join(spell_out(text).text.lower().split())
        ideas = mentions(plain, frozenset())
        topics |= {qualified(idea, plain) for idea in ideas} if ideas else {plain}
    return frozenset(topics)


def _some(rows: NDArray[np.int64]) -> NDArray[np.int64]:
    return rows if len(rows) <= MOST else np.random.default_rng(0).permutation(rows)[:MOST]
