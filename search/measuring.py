"""Evaluation of a searcher over files of queries and judgements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from db import films
from search.evaluate import MEASURES, Evaluation, Gain, evaluate
from search.searcher import Searcher
from search.trec import Qrels, Question, document_name, read_qrels, read_queries, resolve, write_run


@dataclass(frozen=True)
class Measured:
    """An evaluation, the model it is of, and the judged names that match no film or several."""

    evaluation: Evaluation
    model: str
    missing: tuple[str, ...]
    ambiguous: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        return self.evaluation.to_json() | {
            "model": self.model,
            "missing": list(self.missing),
            "ambiguous": list(self.ambiguous),
        }


def evaluate_files(
    searcher: Searcher,
    queries: Path,
    qrels: Path,
    *,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
    run: Path | None = None,
) -> Measured:
    """Reads, asks, measures, and writes the ranking to `run` where given. Raises BadInput."""
    done = evaluate_questions(
        searcher, read_queries(queries), read_qrels(qrels), measures=measures, gain=gain, judged_only=judged_only
    )
    if run is not None:
        write_run(run, done.evaluation.run, tag=done.model)
    return done


def evaluate_questions(
    searcher: Searcher,
    questions: Sequence[Question],
    qrels: Qrels,
    *,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
) -> Measured:
    """The evaluation of a searcher over judgements that are matched to its films by name."""
    everyone = list(films.everyone(searcher.catalog))
    placed = resolve(qrels, everyone)
    names = {film.id: placed.names.get(film.id) or document_name(film) for film in everyone}

    def rank(text: str, k: int | None, within: set[int] | None) -> list[tuple[int, float]]:
        allowed = None if within is None else np.array(sorted(within), np.int64)
        return searcher.rank(text, k=k, within=allowed)

    evaluation = evaluate(
        rank,
        questions,
        placed.grades,
        films=[film.id for film in everyone],
        measures=measures,
        gain=gain,
        judged_only=judged_only,
        name=names.__getitem__,
    )
    return Measured(evaluation, searcher.model, placed.missing, placed.ambiguous)
