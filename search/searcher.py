"""Search an archive: words, films that are like others, filters; and the hits, best first."""

from __future__ import annotations

import math
import time
from collections.abc import Hashable, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.reads.spaces import StoredSpace
from filmroom.db.records import Film, Filter
from filmroom.db.vector_index.flat import are_few
from filmroom.db.vector_index.index import VectorIndex
from filmroom.db.vector_index.opening import open_index
from filmroom.indexer.models.base import Towers
from filmroom.indexer.radiology.report_labeler import says_normal
from filmroom.search.query.chance import Chance, above, asked_alone
from filmroom.search.query.concept_vector import query_vector
from filmroom.search.query.embedder import Embedder
from filmroom.search.query.judged_films import learned_vector
from filmroom.search.query.model_limits import limits_of
from filmroom.search.query.parser import Query, parse
from filmroom.search.query.reading import read
from filmroom.search.query.relevance_feedback import Learned
from filmroom.search.query.suggestions import advice
from filmroom.search.ranking.passing import PassingFilms
from filmroom.search.ranking.ranker import Ranker
from filmroom.search.request import PAGE, Order, SearchRequest, UploadedFilm, request_of
from filmroom.search.results import Hit, Ranking, Results
from filmroom.search.space_selection import choose
from numpy.typing import NDArray

_BLOCK = 20_000
"""Films whose percentiles are computed at a time."""


def without_words(query: Query) -> BadInput:
    """Say that films cannot be ranked by a query of fields alone."""
    return BadInput("a query to rank by needs words", where=query.text, fix="Say what the films should show.")


class Searcher:
    """One archive through one model. Towers and index load at the first need and are shared by all threads."""

    def __init__(
        self, archive: Archive, stored: StoredSpace, towers: Towers, index: VectorIndex, *, stays: bool = False
    ) -> None:
        self.archive = archive
        self.catalog = archive.catalog
        self.held = stored
        self.towers = towers
        self.index = index
        self._stays = stays
        self._embedder = Embedder(archive, stored, towers, index)
        self._learned: tuple[Hashable, NDArray[np.float32], Learned] | None = None
        self._scored: tuple[Hashable, NDArray[np.float32]] | None = None
        self._chance = Chance(archive, index, towers, stored.space.fingerprint)
        self._passing = PassingFilms(self.catalog, index)
        self._ranker = Ranker(self.catalog, index, self._passing)

    @classmethod
    def open(
        cls, folder: Path, model: str | None = None, *, weights: Path | None = None, stays: bool = False
    ) -> Searcher:
        """Open an archive with the named model, or with the one that holds most of its films. A process that `stays`
        spends time in the background on making a large archive answer fast.

        Raises NotFound where there is no archive or nothing is indexed with the model, ModelUnavailable where it
        cannot be loaded.
        """
        archive = Archive.open(folder)
        stored, towers = choose(archive, model, weights)
        index = open_index(archive.catalog, stored, archive.vectors, in_memory=stays)
        searcher = cls(archive, stored, towers, index, stays=stays)
        if stays and stored.space.has_text:
            searcher._chance.prepare()
        return searcher

    @property
    def model(self) -> str:
        return self.held.space.model

    def search(
        self,
        query: str | Query = "",
        *,
        like: Sequence[int | Path] = (),
        unlike: Sequence[int] = (),
        k: int = 24,
        offset: int = 0,
        per_study: bool = False,
        hybrid: bool = False,
        judged: bool = False,
    ) -> Results:
        """Return the k best films after `offset`; exactly k when as many pass the filter.

        `like` and `unlike` are film ids, or files that are decoded under the usual limits and not kept; the films
        named are left out of the answer. `per_study` keeps the best film of each study. `hybrid` fuses the ranking
        with that of the report words by reciprocal rank; `judged` learns from films judged for the words. Raises
        BadInput for a query that cannot be read.
        """
        text = query if isinstance(query, str) else query.text
        parsed = parse(query) if isinstance(query, str) else query
        request = request_of(
            text,
            like=like,
            unlike=unlike,
            upload=self.upload,
            per_study=per_study,
            hybrid=hybrid,
            judged=judged,
            k=k,
            offset=offset,
        )
        return self.answer(request, parsed)

    def upload(self, path: Path) -> UploadedFilm:
        """Decode a file under the usual limits and embed it; nothing of it is kept. Raises BadInput."""
        return self._embedder.upload(path)

    def answer(self, request: SearchRequest, parsed: Query | None = None) -> Results:
        """Answer a request: k films after `offset`, exactly k where as many pass the filter.

        `parsed` is the request's query where it has been read before. Raises BadInput for a query that cannot be read
        and for an uploaded film of another model.
        """
        started = time.perf_counter()
        query = parse(request.query) if parsed is None else parsed
        self.index.refresh()
        if self._stays:
            self.index.keep_fast()
        offset, end = request.offset, request.offset + request.k
        vector, learned = self._asked_vector(request, query)
        ranked, total = self._ranker.ordered(request, query, vector, end)
        ranked = ranked[offset:end]
        hits = self._hits(ranked, vector, offset)
        if request.order is not Order.MATCH and vector is not None and hits:
            hits = self._with_scores(hits, vector)
        best, chance = self._by_chance(request, query, vector, hits)
        return Results(
            request.query,
            self.model,
            1000 * (time.perf_counter() - started),
            hits,
            total,
            reading=read(query, self.towers, self.catalog),
            advice=() if total else advice(self.catalog, query.filter),
            limits=limits_of(self.held.space, query),
            learned=learned,
            best=best,
            chance=chance,
        )

    def ranking(self, request: SearchRequest, *, best: int | None = None) -> Ranking:
        """Rank the films of the answer to a request, all or the `best`, whatever its `k` and `offset`: what `answer`
        shows page by page, without the films' records. Raises as `answer`."""
        query = parse(request.query)
        self.index.refresh()
        vector, _ = self._asked_vector(request, query)
        ranked, _ = self._ranker.ordered(request, query, vector, best)
        ranked = ranked[:best]
        ids = np.array([film_id for film_id, _ in ranked], np.int64)
        scores = np.array([score for _, score in ranked], np.float64)
        percentiles = np.full(ids.size, math.nan)
        for start in range(0, ids.size if vector is not None else 0, _BLOCK):
            part = slice(start, start + _BLOCK)
            cosines = self.index.scores(vector[None], ids[part])[0]  # type: ignore[index]
            percentiles[part] = self.index.percentiles(vector, cosines)  # type: ignore[arg-type]
            if request.order is not Order.MATCH:
                scores[part] = cosines
        return Ranking(ids, scores, percentiles)

    def _by_chance(
        self, request: SearchRequest, query: Query, vector: NDArray[np.float32] | None, hits: Sequence[Hit]
    ) -> tuple[float | None, float | None]:
        """Return the best score of the films that pass, and what random words reach over them. Of several concepts and
        findings each is asked alone. A process that answers once asks few films alone. Films as examples lie nearer to
        films than words do, and a normal film farther from its words than films with findings lie from theirs, however
        right the order is (AUC 0.84 on 1,426 NIH films below that of random words): they are not compared."""
        quick = self._stays or are_few(len(self.index) * self.held.space.vectors, self.held.space.dim)
        if not quick or vector is None or request.votes or request.uploads or all(map(says_normal, query.positive)):
            return None, None
        within = self._passing.searchable(self._passing.within(query.filter, (), ()))
        if (len(self.index) if within is None else within.size) == 0:
            return None, None
        vectors = [query_vector(single, self.towers.embed_texts) for single in asked_alone(query)]
        scores: list[float] = []
        if len(query.concepts) == 1:
            if hits and not request.offset and request.order is Order.MATCH and not request.hybrid:
                scores = [hits[0].score or 0.0]  # the best of all: they are not scored again
            else:
                vectors = [vector, *vectors]
        if vectors:
            scores += self.index.search(np.stack(vectors), 1, within).scores[:, 0].tolist()
        return max(scores), self._chance.reached(within, (self._passing.state(query.filter), query.filter))

    def scores(self, request: SearchRequest) -> NDArray[np.float32]:
        """Return the scores of all films that pass, cut off or not, best first; empty without words or examples. Those
        of the last request are kept: whoever moves a cut-off asks for them at every move."""
        uncut = replace(request, least_percentile=None, least_score=None, k=PAGE, offset=0)
        key = (self.catalog.changes(), uncut)
        known = self._scored
        if known is None or known[0] != key:
            within = self.within(uncut)
            vector, _ = self._asked_vector(uncut, parse(uncut.query))
            scores = np.zeros(0, np.float32)
            if vector is not None:
                passing = self._passing.of_filter(Filter()) if within is None else within
                passing = passing[self.index.holds(passing)]
                scores = np.sort(self.index.scores(vector[None], passing)[0])[::-1] if passing.size else scores
            scores.flags.writeable = False  # shared by all threads
            self._scored = known = key, scores
        return known[1]

    def within(self, request: SearchRequest) -> NDArray[np.int64] | None:
        """Return the ids, ascending, of the films that pass, in no order of rank; None where all films do."""
        self.index.refresh()
        query = parse(request.query)
        within = self._passing.within(query.filter, () if request.liked_first else request.like, request.unlike)
        vector = self._asked_vector(request, query)[0] if request.has_cut else None
        if vector is None:
            return within
        ids = self._passing.searchable(self._passing.of_filter(Filter()) if within is None else within)
        return above(self.index, vector, request, ids)

    def passing(self, request: SearchRequest, most: int) -> list[int]:
        """Return the ids of the films that pass, in the order of the answer: all of them, or the first `most`."""
        query = parse(request.query)
        self.index.refresh()
        ranked, _ = self._ranker.ordered(request, query, self._asked_vector(request, query)[0], most)
        return [film_id for film_id, _ in ranked[:most]]

    def hits_of(self, request: SearchRequest, ids: Sequence[int]) -> list[Hit | Film]:
        """Give these films in the order of the answer, with their ranks and scores in it; those that are not in the
        answer stand behind, without."""
        self.index.refresh()
        query = parse(request.query)
        vector, _ = self._asked_vector(request, query)
        ranking, _ = self._ranker.ordered(request, query, vector, None)
        chosen = set(ids)
        ranks = {film_id: at + 1 for at, (film_id, _) in enumerate(ranking) if film_id in chosen}
        hits = self._hits([pair for pair in ranking if pair[0] in chosen], vector, 0)
        if request.order is not Order.MATCH and vector is not None and hits:
            hits = self._with_scores(hits, vector)
        unranked = films.films(self.catalog, [film_id for film_id in ids if film_id not in ranks])
        return [*(replace(hit, rank=ranks[hit.id]) for hit in hits), *unranked]

    def rank(
        self,
        query: str | Query,
        *,
        k: int | None = None,
        within: NDArray[np.int64] | None = None,
        hybrid: bool = False,
    ) -> list[tuple[int, float]]:
        """Rank (film id, score), best first, for evaluation, within the films given and the filter."""
        parsed = parse(query) if isinstance(query, str) else query
        self.index.refresh()
        vector = self._embedder.vector(parsed, (), ())
        if vector is None:
            raise without_words(parsed)
        allowed = self._passing.within(parsed.filter, (), ())
        if within is not None:
            allowed = within if allowed is None else np.intersect1d(allowed, within)
        depth = k if k is not None else len(self.index)
        if hybrid:
            return self._ranker.fused(parsed, vector, depth if within is None else len(self.index), allowed)[:depth]
        return self._ranker.nearest(vector, depth, allowed)

    def vector(self, query: str | Query) -> NDArray[np.float32] | None:
        """Return the query as one unit vector (D,), for scores and heat maps; None without words."""
        return self._embedder.vector(parse(query) if isinstance(query, str) else query, (), ())

    def _asked_vector(self, request: SearchRequest, query: Query) -> tuple[NDArray[np.float32] | None, Learned | None]:
        """Return the vector of a request, and what judged films taught it where they may."""
        vector = self._embedder.vector(query, (*request.like, *request.uploads), request.unlike)
        if vector is None or not request.judged or not query.concepts:
            return vector, None
        key = (self.catalog.changes(), request.query, request.like, request.unlike, request.uploads)
        known = self._learned
        if known is None or known[0] != key:
            bent = learned_vector(vector, query, request.votes, self.catalog, self.index)
            self._learned = known = key, *bent
        return known[1:]

    def _with_scores(self, hits: tuple[Hit, ...], vector: NDArray[np.float32]) -> tuple[Hit, ...]:
        scores = self.index.scores(vector[None], np.array([hit.id for hit in hits], np.int64))[0].tolist()
        return tuple(replace(hit, score=score) for hit, score in zip(hits, scores, strict=True))

    def _hits(
        self, ranked: Sequence[tuple[int, float]], vector: NDArray[np.float32] | None, offset: int
    ) -> tuple[Hit, ...]:
        ids = np.array([film_id for film_id, _ in ranked], np.int64)
        percentiles: list[float | None] = [None] * len(ranked)
        if vector is not None and len(ranked):
            scores = self.index.scores(vector[None], ids)[0]
            percentiles = [float(value) for value in self.index.percentiles(vector, scores)]
        records = {film.id: film for film in films.films(self.catalog, ids.tolist())}
        return tuple(
            Hit(offset + at + 1, records[film_id], None if math.isnan(score) else score, percentile)
            for at, ((film_id, score), percentile) in enumerate(zip(ranked, percentiles, strict=True))
            if film_id in records
        )
