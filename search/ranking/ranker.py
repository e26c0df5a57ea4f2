"""Put films in the order of an answer: by vectors, by vectors and report words, by a fact, one film a study."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from filmroom.db.reads import films
from filmroom.db.records import Filter
from filmroom.db.vector_index.index import VectorIndex
from filmroom.search.query.chance import above
from filmroom.search.query.embedder import liked_first
from filmroom.search.query.parser import Query
from filmroom.search.ranking.fusion import FUSED, first_of_each, reciprocal_rank_fusion
from filmroom.search.ranking.passing import PassingFilms
from filmroom.search.ranking.report_words import by_reports
from filmroom.search.request import Order, SearchRequest
from numpy.typing import NDArray

if TYPE_CHECKING:
    from filmroom.db.catalog import Catalog  # brings SQLAlchemy with it

Ranked = list[tuple[int, float]]
"""Film ids with their scores, best first; not-a-number where films are in an order of another kind."""


class Ranker:
    """The rankings of one archive through one model."""

    def __init__(self, catalog: Catalog, index: VectorIndex, passing: PassingFilms) -> None:
        self._catalog = catalog
        self._index = index
        self._passing = passing

    def ordered(
        self, request: SearchRequest, query: Query, vector: NDArray[np.float32] | None, needed: int | None
    ) -> tuple[Ranked, int]:
        """Give (film id, score) of at least the first `needed` films of the answer, or of all, and how many pass."""
        per_study = request.per_study
        hybrid = request.hybrid and bool(query.concepts)
        within = self._passing.within(query.filter, () if request.liked_first else request.like, request.unlike)
        if vector is not None:
            within = self._passing.searchable(within)
            if request.has_cut:
                ids = self._passing.searchable(self._passing.of_filter(Filter())) if within is None else within
                within = above(self._index, vector, request, ids)
            total = len(self._index) if within is None else within.size
        else:
            total = self._passing.of_filter(Filter()).size if within is None else within.size
        needed = total if needed is None else needed
        most = total if per_study else needed
        first: Ranked = []
        if request.liked_first and request.order is Order.MATCH and vector is not None:
            passing = self._passing.of_filter(Filter()) if within is None else within
            first, within = liked_first(self._index, request.like, vector, passing, scored=not hybrid)
        if request.order is not Order.MATCH:
            ranked = self._by_fact(request.order, vector, within, most)
        elif vector is None:
            ranked = self._unranked(within, query.filter, most)
        elif hybrid:
            ranked = self.fused(query, vector, most, within)
        else:
            ranked = self.nearest(vector, needed if not per_study else min(total, 4 * needed), within)
        ranked = [*first, *ranked]
        if per_study:
            complete = hybrid or request.order is not Order.MATCH
            ranked = self._one_per_study(ranked, vector, needed, total, within, complete=complete, first=first)
        return ranked, total

    def nearest(self, vector: NDArray[np.float32], k: int, within: NDArray[np.int64] | None) -> Ranked:
        """Return the k films whose vectors lie nearest."""
        nearest = self._index.search(vector[None], k, within)
        return list(zip(nearest.film_ids[0].tolist(), nearest.scores[0].tolist(), strict=True))

    def fused(self, query: Query, vector: NDArray[np.float32], k: int, within: NDArray[np.int64] | None) -> Ranked:
        """Fuse the ranking by vectors with that of the words in reports."""
        depth = max(k, FUSED)
        by_films = [film_id for film_id, _ in self.nearest(vector, depth, within)]
        by_words = np.array(by_reports(self._catalog, query, depth), np.int64)
        by_words = by_words[self._index.holds(by_words)]
        by_words = by_words if within is None else by_words[np.isin(by_words, within)]
        return reciprocal_rank_fusion([by_films, by_words.tolist()])

    def _unranked(self, within: NDArray[np.int64] | None, where: Filter, most: int) -> Ranked:
        """List the first films without words: by id, or by the probability of the first probe that the filter names."""
        ids = self._passing.of_filter(Filter()) if within is None else within
        if not where.scores:
            return [(film_id, math.nan) for film_id in ids[:most].tolist()]
        from filmroom.db.writes.annotations import label_values  # brings SQLAlchemy with it

        probabilities = label_values(self._catalog, sources=["probe"]).get(where.scores[0].name.lower(), {})
        scored = [(film_id, probabilities[film_id]) for film_id in ids.tolist()]
        return sorted(scored, key=lambda pair: (-pair[1], pair[0]))[:most]

    def _by_fact(
        self, order: Order, vector: NDArray[np.float32] | None, within: NDArray[np.int64] | None, most: int
    ) -> Ranked:
        """Sort all that pass by year or age, not the part that is shown; returns the first."""
        ids = self._passing.by_fact("age" if order is Order.AGE else "year", descending=order is Order.NEWEST)
        if within is not None:
            ids = ids[np.isin(ids, within)]
        elif vector is not None:
            ids = ids[self._index.holds(ids)]
        return [(film_id, math.nan) for film_id in ids[:most].tolist()]

    def _one_per_study(
        self,
        ranked: Ranked,
        vector: NDArray[np.float32] | None,
        needed: int,
        total: int,
        within: NDArray[np.int64] | None,
        *,
        complete: bool,
        first: Ranked,
    ) -> Ranked:
        """Keep the first film of each study. `complete`: `ranked` has every film that passes; `first`: its head, not in
        `within`."""
        while True:
            studies = films.study_uids(self._catalog, [film_id for film_id, _ in ranked])
            firsts = first_of_each(ranked, studies)
            if vector is None or complete or len(firsts) >= needed or len(ranked) >= total:
                return firsts
            deeper = [*first, *self.nearest(vector, min(total, 4 * len(ranked)), within)]
            # A film may have gone since they were counted.
            if len(deeper) <= len(ranked):
                return firsts
            ranked = deeper
