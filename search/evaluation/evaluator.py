"""Evaluate a searcher over files of queries and judgements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films, named_films
from filmroom.db.thumbnails.reading import thumbnails
from filmroom.db.writes import model_scores
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.cli.counting import counted
from filmroom.search.evaluation.contamination import Contamination, contamination
from filmroom.search.evaluation.document_names import DocumentNames
from filmroom.search.evaluation.metrics import DEPTH, MEASURES, Evaluation, Gain, evaluate
from filmroom.search.evaluation.report import Page, write_report
from filmroom.search.evaluation.trec import Qrels, Topic, read_qrels, read_queries, resolve, write_run
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray


@dataclass(frozen=True)
class Measured:
    """An evaluation, the model it is of, the judged names that match no film or several, and whether the model has
    seen the public set that the films are of, where one was named."""

    evaluation: Evaluation
    model: str
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]
    films: int
    seen: Contamination | None = None

    def to_json(self) -> dict[str, Any]:
        return self.evaluation.to_json() | {
            "model": self.model,
            "films": self.films,
            "missing": list(self.missing),
            "ambiguous": list(self.ambiguous),
            "contamination": self.seen.to_json() if self.seen else None,
        }


def evaluate_files(
    searcher: Searcher,
    queries: Path,
    qrels: Path,
    *,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
    per_study: bool = False,
    hybrid: bool = False,
    public_set: str | None = None,
    run: Path | None = None,
    report: Path | None = None,
) -> Measured:
    """Read, ask and measure; writes the ranking to `run` and a page to `report` where given.

    `public_set` names the set that the films are of (see filmroom.search.evaluation.contamination). Raises BadInput.
    """
    seen = contamination(searcher.model, public_set) if public_set else None
    done = evaluate_questions(
        searcher,
        read_queries(queries),
        read_qrels(qrels),
        measures=measures,
        gain=gain,
        judged_only=judged_only,
        per_study=per_study,
        hybrid=hybrid,
    )
    done = replace(done, seen=seen)
    if not hybrid and not per_study and not judged_only and gain is Gain.LINEAR:
        with suppress(FilmroomError):  # an archive that may only be read can be measured all the same
            means = done.evaluation.mean
            model_scores.keep(
                searcher.catalog,
                searcher.held.id,
                queries=queries.name,
                means={name: interval.value for name, interval in means.items()},
                count=len(done.evaluation.queries),
            )
    if run is not None:
        write_run(run, done.evaluation.run, tag=done.model)
    if report is not None:
        write_report(report, done.evaluation, _page(searcher, done, queries=queries, qrels=qrels))
    return done


def evaluate_questions(
    searcher: Searcher,
    questions: Sequence[Topic],
    qrels: Qrels,
    *,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
    per_study: bool = False,
    hybrid: bool = False,
) -> Measured:
    """Return the evaluation of a searcher over judgements that are matched to its films by name.

    With `per_study` the films of a study are one document, which has the rank of its best film and the highest grade
    of its films; its first film names it. `hybrid` fuses each ranking with that of the report words.
    """
    placed = resolve(qrels, CatalogNames(searcher.catalog))
    documents = _Documents(searcher.catalog, placed.names, per_study=per_study)
    grades = {qid: _collapsed(part, documents) for qid, part in placed.grades.items()}
    documents.call(dict.fromkeys(document for part in grades.values() for document in part))

    def rank(text: str, k: int | None, within: set[int] | None) -> list[tuple[int, float]]:
        allowed = None if within is None else documents.films_of(within)
        ranked = searcher.rank(text, k=None if per_study else k, within=allowed, hybrid=hybrid)
        best: dict[int, float] = {}
        for film, score in ranked:
            best.setdefault(documents.first(film), score)
        answer = list(best.items())[:k]
        documents.call([document for document, _ in answer])
        return answer

    evaluation = evaluate(
        rank,
        questions,
        grades,
        films=documents.ids(),
        measures=measures,
        gain=gain,
        judged_only=judged_only,
        depth=DEPTH,
        name=documents.name,
    )
    evaluation = replace(evaluation, per_study=per_study, hybrid=hybrid)
    return Measured(evaluation, searcher.model, placed.missing, placed.ambiguous, documents.films)


class _Documents:
    """The documents of an evaluation: films, or studies by their first film."""

    def __init__(self, catalog: Catalog, judged: Mapping[int, str], *, per_study: bool) -> None:
        self._catalog = catalog
        self._names = DocumentNames(catalog, judged)
        self._known: dict[int, str] = {}
        self._films, self._firsts = named_films.firsts_of_studies(catalog)
        if not per_study:
            self._firsts = self._films

    @property
    def films(self) -> int:
        """All films of the archive."""
        return self._films.size

    def ids(self) -> list[int]:
        """Return every document."""
        documents: list[int] = np.unique(self._firsts).tolist()
        return documents

    def first(self, film_id: int) -> int:
        """Return the document that a film belongs to."""
        return int(self._firsts[np.searchsorted(self._films, film_id)])

    def films_of(self, documents: set[int]) -> NDArray[np.int64]:
        """Return the films of these documents."""
        film_ids: NDArray[np.int64] = self._films[np.isin(self._firsts, list(documents))]
        return film_ids

    def call(self, documents: Iterable[int]) -> None:
        """Learn the names of documents, all at once."""
        for block in chunked(document for document in documents if document not in self._known):
            self._known |= self._names.in_run(films.films(self._catalog, block))

    def name(self, document: int) -> str:
        """Return what a run calls a document that `call` was told of."""
        return self._known[document]


def _collapsed(grades: Mapping[int, int], documents: _Documents) -> dict[int, int]:
    collapsed: dict[int, int] = {}
    for film, grade in grades.items():
        first = documents.first(film)
        collapsed[first] = max(grade, collapsed.get(first, 0))
    return collapsed


def _page(searcher: Searcher, done: Measured, *, queries: Path, qrels: Path) -> Page:
    space = searcher.held.space
    notes = [
        f"Archive: {counted(done.films, 'film')}",
        f"Queries: {queries.name}; judgements: {qrels.name}",
        f"Space: {space.fingerprint[:12]}, {space.vectors} x {space.dim}",
    ]
    notes += [
        f"{counted(len(names), 'judged name')} {problem}"
        for names, problem in ((done.missing, "matched no film"), (done.ambiguous, "matched several films"))
        if names
    ]
    return Page(
        title="How well the search ranks",
        model=done.model,
        warning=str(done.seen) if done.seen else "",
        notes=notes,
        thumbnail=lambda film: thumbnails(searcher.catalog, [film]).get(film),
    )
