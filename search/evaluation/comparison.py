"""Compare two rankings: run files, or two models of one archive on the same queries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filmroom.db.errors import BadInput
from filmroom.search.cli.counting import counted
from filmroom.search.evaluation.evaluator import evaluate_questions
from filmroom.search.evaluation.metrics import MEASURES, Gain, Scores, measure_run, perfect
from filmroom.search.evaluation.significance import Comparison, compare
from filmroom.search.evaluation.trec import Qrels, read_qrels, read_queries, read_run
from filmroom.search.searcher import Searcher

_JUDGED = "Judged@5"


@dataclass(frozen=True)
class Compared:
    """Two rankings, A and B. `texts` are the queries' words, where they are known; `judged` the mean Judged@5 of both
    over the queries that both answer, `perfect` the queries that each answers with the best value of the first measure,
    1; `lacking` the queries of the judgements that each run lacks, which count as 0."""

    a: str
    b: str
    gain: Gain
    comparison: Comparison
    texts: dict[str, str]
    judged: tuple[float, float]
    perfect: tuple[int, int]
    lacking: tuple[tuple[str, ...], tuple[str, ...]] = ((), ())

    @property
    def warnings(self) -> list[str]:
        """Say what makes the comparison unfair or incomplete."""
        warnings = []
        for name, qids in zip("AB", self.lacking, strict=True):
            if qids:
                listed = ", ".join(qids[:5]) + (", ..." if len(qids) > 5 else "")
                count = counted(len(qids), "judged query", "judged queries")
                warnings.append(f"{name} lacks {count} of the qrels, counted as 0: {listed}")
        a, b = self.judged
        if abs(a - b) > 1e-9:
            fewer = "A" if a < b else "B"
            warnings.append(
                f"Judged@5 differs (A {a:.3f}, B {b:.3f}): films that nobody judged count as misses, so that {fewer} "
                "may be better than it looks. Judge its films, or compare judged films only"
            )
        return warnings

    def to_json(self) -> dict[str, Any]:
        return {"a": self.a, "b": self.b, "gain": self.gain.value, **self.comparison.to_json()} | {
            "judged_at_5": dict(zip("ab", self.judged, strict=True)),
            "perfect": dict(zip("ab", self.perfect, strict=True)),
            "lacking": dict(zip("ab", map(list, self.lacking), strict=True)),
            "warnings": self.warnings,
        }


def compare_runs(
    a: Path,
    b: Path,
    qrels: Path,
    *,
    queries: Path | None = None,
    measures: Sequence[str] = MEASURES,
    gain: Gain = Gain.LINEAR,
) -> Compared:
    """Compare two TREC runs. A query that one of them lacks counts as 0 there, as in trec_eval. Raises BadInput."""
    judged = read_qrels(qrels)
    runs = [read_run(path) for path in (a, b)]
    for path, run in zip((a, b), runs, strict=True):
        if not set(run) & set(judged):
            raise BadInput(
                "no query of the run is judged", where=path, fix="Check that the query ids of both files agree."
            )
    computed = (*measures, *(() if _JUDGED in measures else (_JUDGED,)))
    scores = [measure_run(run, judged, measures=computed, gain=gain) for run in runs]
    texts = {query.qid: query.text for query in read_queries(queries)} if queries else {}
    lacking = (missing_queries(runs[0], judged), missing_queries(runs[1], judged))
    return side_by_side((str(a), str(b)), scores, measures, gain=gain, texts=texts, lacking=lacking)


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
    hybrid: bool = False,
) -> Compared:
    """Compare two models of one archive, fused with the report words where `hybrid`.

    Raises BadInput, NotFound where one has embedded no film."""
    questions, judged = read_queries(queries), read_qrels(qrels)
    computed = (*measures, *(() if _JUDGED in measures else (_JUDGED,)))
    done = [
        evaluate_questions(
            Searcher.open(archive, model),
            questions,
            judged,
            measures=computed,
            gain=gain,
            judged_only=judged_only,
            hybrid=hybrid,
        )
        for model in (a, b)
    ]
    scores = [measured.evaluation.queries for measured in done]
    return side_by_side((done[0].model, done[1].model), scores, measures, gain=gain, texts=done[0].evaluation.texts)


def missing_queries(run: Mapping[str, object], qrels: Qrels) -> tuple[str, ...]:
    """Name the queries that have a relevant document and that a run lacks."""
    return tuple(qid for qid, grades in qrels.items() if any(grades.values()) and qid not in run)


def side_by_side(
    names: tuple[str, str],
    scores: Sequence[Scores],
    measures: Sequence[str] = MEASURES,
    *,
    gain: Gain = Gain.LINEAR,
    texts: dict[str, str] | None = None,
    lacking: tuple[tuple[str, ...], tuple[str, ...]] = ((), ()),
) -> Compared:
    """Compare two evaluations that have Judged@5 beside the measures. Raises BadInput where they share no query."""
    comparison = compare(*scores, measures=measures)
    answered = [qid for qid in comparison.queries if not any(qid in qids for qids in lacking)]
    judged = [sum(score[qid][_JUDGED] for qid in answered) / max(1, len(answered)) for score in scores]
    best = [perfect({qid: score[qid] for qid in comparison.queries}, measures[:1])[measures[0]] for score in scores]
    return Compared(*names, gain, comparison, texts or {}, (judged[0], judged[1]), (best[0], best[1]), lacking)
