"""The commands that measure. What was typed is handed on, what comes back is printed; heavy imports wait."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from search.options import ArchiveOption, JsonOption, ModelOption, WeightsOption, archive_folder, print_json

MeasureOption = Annotated[
    list[str] | None, typer.Option("--measure", help="nDCG@5, P@5, AP, RR, R@10, Judged@5 ...; may be repeated.")
]
GainOption = Annotated[str, typer.Option("--gain", help="What a grade is worth in nDCG: linear or exponential.")]
QueriesOption = Annotated[
    Path | None, typer.Option("--queries", metavar="FILE", help="qid TAB query [TAB group], or JSON lines.")
]
QrelsOption = Annotated[Path, typer.Option("--qrels", metavar="FILE", help="TREC judgements: qid 0 film grade.")]


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""
    app.command()(evaluate)


def evaluate(
    queries: Annotated[Path, typer.Option(metavar="FILE", help="qid TAB query [TAB group], or JSON lines.")],
    qrels: QrelsOption,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    measure: MeasureOption = None,
    gain: GainOption = "linear",
    judged_only: Annotated[bool, typer.Option("--judged-only", help="Rank judged films only.")] = False,
    per_study: Annotated[bool, typer.Option("--per-study", help="A study is one hit: its best film.")] = False,
    public_set: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="The public set that the films are of, such as nih.")
    ] = None,
    run: Annotated[Path | None, typer.Option(metavar="FILE", help="Write the ranking as a TREC run.")] = None,
    report: Annotated[Path | None, typer.Option(metavar="FILE", help="Write a page: .html with films, or .md.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the ranking over a query set: nDCG and its relatives."""
    from search import measure_terminal
    from search.evaluate import MEASURES, read_gain
    from search.measuring import evaluate_files
    from search.searcher import Searcher

    asked = read_gain(gain)
    done = evaluate_files(
        Searcher.open(archive_folder(archive), model, weights=weights),
        queries,
        qrels,
        measures=measure or MEASURES,
        gain=asked,
        judged_only=judged_only,
        per_study=per_study,
        public_set=public_set,
        run=run,
        report=report,
    )
    if as_json:
        print_json(done.to_json())
    else:
        measure_terminal.print_evaluation(done)
