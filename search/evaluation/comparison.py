"""Two rankings side by side: run files, or two models of one archive on the same queries."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filmroom.db.errors import BadInput
from filmroom.search.evaluation.evaluator import evaluate_questions
from filmroom.search.evaluation.metrics import MEASURES, Gain, measure_run
from filmroom.search.evaluation.significance import Comparison, compare
from filmroom.search.evaluation.trec import read_qrels, read_queries, read_run
from filmroom.search.searcher import Searcher


@dataclass(frozen=True)
class Compared:
    """`texts` are the queries' words, where they are known. `unanswered` are the judged queries that a run lacks, by
    run: they count 0 in its means."""

    a: str
    b: str
    gain: Gain
    comparison: Comparison
    texts: dict[str, str]
    unanswered: dict[str, tuple[str, ...]] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        known = {"a": self.a, "b": self.b, "gain": self.gain.value, "unanswered": self.unanswered}
        return known | self.comparison.to_json()


def compare_runs(
    a: Path,
    b: Path,
    qrels: Path,
    *,
    queries: Path | None = None,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
) -> Compared:
    """Two TREC runs. A query that one of them lacks counts as 0 there, as in trec_eval. Raises BadInput."""
    judged = read_qrels(qrels)
    runs = [read_run(path) for path in (a, b)]
    for path, run in zip((a, b), runs, strict=True):
        if not set(run) & set(judged):
            raise BadInput(
                "no query of the run is judged", where=path, fix="Check that the query ids of both files agree."
            )
    scores = [measure_run(run, judged, measures=measures, gain=gain) for run in runs]
    texts = {one.qid: one.text for one in read_queries(queries)} if queries else {}
    lacking = {
        str(path): tuple(qid for qid in scores[0] if qid not in run) for path, run in zip((a, b), runs, strict=True)
    }
    return Compared(
        str(a), str(b), gain, compare(*scores), texts, {name: qids for name, qids in lacking.items() if qids}
    )


def compare_models(
    archive: Path,
    a: str,
    b: str,
    *,
    queries: Path,
    qrels: Path,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
    judged_only: bool = False,
) -> Compared:
    """Two models of one archive. Raises BadInput, NotFound where one has embedded no film."""
    questions, judged = read_queries(queries), read_qrels(qrels)
    done = [
        evaluate_questions(
            Searcher.open(archive, model), questions, judged, measures=measures, gain=gain, judged_only=judged_only
        )
        for model in (a, b)
    ]
    first, second = (one.evaluation.queries for one in done)
    return Compared(done[0].model, done[1].model, gain, compare(first, second), done[0].evaluation.texts)
