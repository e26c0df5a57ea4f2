"""Evaluate a searcher over files of queries and judgements."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import FilmroomError
from filmroom.db.reads import films
from filmroom.db.records import Film
from filmroom.db.writes import model_scores
from filmroom.search.cli.counting import counted
from filmroom.search.evaluation.contamination import Contamination, contamination
from filmroom.search.evaluation.metrics import DEPTH, MEASURES, Evaluation, Gain, evaluate
from filmroom.search.evaluation.report import Page, write_report
from filmroom.search.evaluation.trec import Qrels, Topic, document_name, read_qrels, read_queries, resolve, write_run
from filmroom.search.searcher import Searcher


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
    everyone = list(films.everyone(searcher.catalog))
    placed = resolve(qrels, everyone)
    stands_for = _firsts(everyone) if per_study else {film.id: film.id for film in everyone}
    grades = {qid: _collapsed(part, stands_for) for qid, part in placed.grades.items()}
    names = _document_names(everyone, placed.names)

    def rank(text: str, k: int | None, within: set[int] | None) -> list[tuple[int, float]]:
        candidates = None if within is None else [film for film, first in stands_for.items() if first in within]
        allowed = None if candidates is None else np.array(sorted(candidates), np.int64)
        ranked = searcher.rank(text, k=None if per_study else k, within=allowed, hybrid=hybrid)
        best: dict[int, float] = {}
        for film, score in ranked:
            best.setdefault(stands_for[film], score)
        return list(best.items())[:k]

    evaluation = evaluate(
        rank,
        questions,
        grades,
        films=sorted(set(stands_for.values())),
        measures=measures,
        gain=gain,
        judged_only=judged_only,
        depth=DEPTH,
        name=names.__getitem__,
    )
    evaluation = replace(evaluation, per_study=per_study, hybrid=hybrid)
    return Measured(evaluation, searcher.model, placed.missing, placed.ambiguous, len(everyone))


def _firsts(everyone: Sequence[Film]) -> dict[int, int]:
    """Turn film id into the first film of its study by path (ids depend on which file was decoded first); films without
    a study stand for themselves."""
    first: dict[str, int] = {}
    for film in sorted(everyone, key=lambda film: (film.path, film.frame)):
        if film.tags.study_uid:
            first.setdefault(film.tags.study_uid, film.id)
    return {film.id: first.get(film.tags.study_uid or "", film.id) for film in everyone}


def _collapsed(grades: Mapping[int, int], stands_for: Mapping[int, int]) -> dict[int, int]:
    collapsed: dict[int, int] = {}
    for film, grade in grades.items():
        first = stands_for[film]
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
        thumbnail=lambda film: films.thumbnails(searcher.catalog, [film]).get(film),
    )


def _document_names(everyone: Sequence[Film], judged: Mapping[int, str]) -> dict[int, str]:
    """Return what a run calls each film; films that would share a name carry their id as well."""
    names = {film.id: judged.get(film.id) or document_name(film) for film in everyone}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    return {film_id: f"{name}~{film_id}" if name in shared else name for film_id, name in names.items()}
