"""Define the commands that measure. What was typed is handed on, what comes back is printed; heavy imports wait."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli import probes
from filmroom.search.cli.options import (
    ArchiveOption,
    JsonOption,
    ModelOption,
    WeightsOption,
    archive_folder,
    in_a_folder,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.search.searcher import Searcher

MeasureOption = Annotated[
    list[str] | None, typer.Option("--measure", help="nDCG@5, P@5, AP, RR, R@10, Judged@5 ...; may be repeated.")
]
GainOption = Annotated[str, typer.Option("--gain", help="What a grade is worth in nDCG: linear or exponential.")]
JudgedOnlyOption = Annotated[bool, typer.Option("--judged-only", help="Rank judged films only.")]
HybridOption = Annotated[bool, typer.Option("--hybrid", help="Fuse each ranking with that by report words.")]
QrelsOption = Annotated[Path, typer.Option("--qrels", metavar="FILE", help="TREC judgements: qid 0 film grade.")]
QUERIES = "qid TAB query [TAB group], or JSON lines."


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    for command in (evaluate, compare, qrels, zeroshot):
        app.command()(command)
    probes.register(app)
    app.command()(ground)


def evaluate(
    queries: Annotated[Path, typer.Option(metavar="FILE", help=QUERIES)],
    qrels: QrelsOption,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    measures: MeasureOption = None,
    gain: GainOption = "linear",
    judged_only: JudgedOnlyOption = False,
    per_study: Annotated[bool, typer.Option("--per-study", help="A study is one hit: its best film.")] = False,
    hybrid: HybridOption = False,
    public_set: Annotated[
        str | None, typer.Option("--set", metavar="NAME", help="The public set that the films are of, such as nih.")
    ] = None,
    run: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Write the ranking as a TREC run.")
    ] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Write a page: .html with films, or .md.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the ranking over a query set: nDCG and its relatives."""
    from filmroom.search.cli import output_evaluation
    from filmroom.search.evaluation.evaluator import evaluate_files
    from filmroom.search.evaluation.metrics import MEASURES, read_gain
    from filmroom.search.searcher import Searcher

    graded_gain = read_gain(gain)
    done = evaluate_files(
        Searcher.open(archive_folder(archive), model, weights=weights),
        queries,
        qrels,
        measures=measures or MEASURES,
        gain=graded_gain,
        judged_only=judged_only,
        per_study=per_study,
        hybrid=hybrid,
        public_set=public_set,
        run=run,
        report=report,
    )
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_evaluation(done)


def compare(
    qrels: QrelsOption,
    runs: Annotated[
        list[Path] | None, typer.Argument(metavar="[RUN_A RUN_B]", help="Two TREC runs.", show_default=False)
    ] = None,
    models: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Or two models of the archive, on the same queries.")
    ] = None,
    queries: Annotated[Path | None, typer.Option(metavar="FILE", help=QUERIES)] = None,
    archive: ArchiveOption = None,
    measures: MeasureOption = None,
    gain: GainOption = "linear",
    judged_only: JudgedOnlyOption = False,
    hybrid: HybridOption = False,
    as_json: JsonOption = False,
) -> None:
    """Test whether B is better than A: differences by query, a paired randomisation test, Holm's correction."""
    from filmroom.search.cli import output_evaluation
    from filmroom.search.evaluation.comparison import compare_models, compare_runs
    from filmroom.search.evaluation.metrics import MEASURES, read_gain

    graded_gain, all_measures = read_gain(gain), measures or MEASURES
    if bool(runs) == bool(models) or (runs and len(runs) != 2):
        raise BadInput("two rankings can be compared", fix="Name two runs, or two models with --models A B.")
    if runs:
        for chosen, name in ((judged_only, "--judged-only"), (hybrid, "--hybrid")):
            if chosen:
                raise BadInput("a run is ranked already", where=name, fix="Use it with --models.")
        done = compare_runs(runs[0], runs[1], qrels, queries=queries, measures=all_measures, gain=graded_gain)
    elif models:
        if queries is None:
            raise BadInput("two models need queries", fix="Add --queries FILE.")
        done = compare_models(
            archive_folder(archive),
            *models,
            queries=queries,
            qrels=qrels,
            measures=all_measures,
            gain=graded_gain,
            judged_only=judged_only,
            hybrid=hybrid,
        )
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_comparison(done)


def qrels(
    out: Annotated[
        Path, typer.Argument(metavar="OUT", callback=in_a_folder, help="The judgements to write: qid 0 film grade.")
    ],
    table: Annotated[
        Path | None, typer.Argument(metavar="[TABLE]", help="A set's table; default: the archive's labels and reports.")
    ] = None,
    reader: Annotated[
        str,
        typer.Option("--from", metavar="SET", help="nih, chexpert, vindr, padchest, open-i, reports or labels."),
    ] = "labels",
    boxes: Annotated[Path | None, typer.Option(metavar="FILE", help="nih: BBox_List_2017.csv.")] = None,
    adjudicated: Annotated[Path | None, typer.Option(metavar="FILE", help="nih: four_findings_expert_labels.")] = None,
    projections: Annotated[Path | None, typer.Option(metavar="FILE", help="open-i: indiana_projections.csv.")] = None,
    queries: Annotated[Path | None, typer.Option(metavar="FILE", help="Queries to judge: " + QUERIES)] = None,
    make_queries: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Or make queries, and write them.")
    ] = None,
    at_least: Annotated[int, typer.Option(min=1, help="Films that a query made must have.")] = 5,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make graded judgements of labels, boxes or reports: the finding with all that is asked 2, the finding 1."""
    from filmroom.search.cli import output_evaluation
    from filmroom.search.evaluation.build_qrels import documents_of_archive, documents_of_table, write_made

    if table is None:
        documents = documents_of_archive(open_archive(archive))
    else:
        documents = documents_of_table(reader, table, boxes=boxes, adjudicated=adjudicated, projections=projections)
    done = write_made(documents, out, queries=queries, new_queries=make_queries, at_least=at_least)
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_made(done, out)


def zeroshot(
    findings: Annotated[list[str] | None, typer.Argument(metavar="[FINDING]...", help="Findings in words.")] = None,
    finding_set: Annotated[
        str | None, typer.Option("--findings", metavar="SET", help="A set of findings: chexpert13 or nih14.")
    ] = None,
    prompts: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Your prompts: finding,positive,negative; | between several."),
    ] = None,
    positive: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A prompt that says the one finding; may be repeated.")
    ] = None,
    negative: Annotated[
        list[str] | None, typer.Option(metavar="TEXT", help="A prompt that denies it; may be repeated.")
    ] = None,
    among: Annotated[
        str | None, typer.Option(metavar="LIST", help='Choose one instead: "enlarged heart, pleural effusion".')
    ] = None,
    where: Annotated[str, typer.Option(metavar="QUERY", help="Only films that pass: view:PA age:60..")] = "",
    threshold: Annotated[float, typer.Option(help="Count the films that score at least this.")] = 0.0,
    scores: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Write every film's scores as CSV.")
    ] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Score the archive for findings from prompts alone; AUC where labels say what is there."""
    from filmroom.search.classification.zero_shot import check_set, own_prompts
    from filmroom.search.classification.zero_shot_archive import read_prompts, screen, write_scores
    from filmroom.search.cli import output_evaluation
    from filmroom.search.searcher import Searcher

    names = [*(findings or []), *([check_set(finding_set)] if finding_set else [])]
    if among is not None:
        if names or prompts or positive or negative:
            raise BadInput("candidates are chosen among, findings are scored", where="--among", fix="Give it alone.")
        _choose(Searcher.open(archive_folder(archive), model, weights=weights), among, where, scores, as_json=as_json)
        return
    own_findings = read_prompts(prompts) if prompts else []
    if positive or negative:
        if len(names) > 1 or finding_set:
            raise BadInput("prompts are of one finding", where=", ".join(names), fix="Name it, or use --prompts FILE.")
        own_findings.append(own_prompts(names[0] if names else (positive or [""])[0], positive or (), negative or ()))
        names = []
    _note_split(findings or [])
    searcher = Searcher.open(archive_folder(archive), model, weights=weights)
    done = screen(searcher, names, prompts=own_findings, where=where, threshold=threshold)
    if scores is not None:
        write_scores(scores, searcher, done)
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_screening(done)


def _note_split(findings: Sequence[str]) -> None:
    """Say where findings that follow each other are the words of one: a shell divides what is not quoted."""
    from filmroom.indexer.radiology.vocabulary import phrases

    for first, second in pairwise(findings):
        if f"{first} {second}".lower() in phrases():
            say(
                f'Note: {first} and {second} are asked apart. In quotes they are one finding: "{first} {second}"',
                err=True,
            )


def _choose(searcher: Searcher, among: str, where: str, scores: Path | None, *, as_json: bool) -> None:
    from filmroom.search.classification.zero_shot_choice import choose_among, write_choice
    from filmroom.search.cli import output_evaluation

    done = choose_among(searcher, among.split(","), where=where)
    if scores is not None:
        write_choice(scores, searcher, done)
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_choice(done)


def ground(
    boxes: Annotated[Path, typer.Option(metavar="FILE", help="BBox_List_2017.csv, or film,label,x,y,w,h in pixels.")],
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare heat maps with boxes: the pointing game and the energy within, beside blind guesses."""
    from filmroom.search.cli import output_evaluation
    from filmroom.search.evaluation.grounding import ground as compare_boxes
    from filmroom.search.evaluation.grounding import read_boxes
    from filmroom.search.searcher import Searcher

    known = read_boxes(boxes)
    done = compare_boxes(Searcher.open(archive_folder(archive), model, weights=weights), known)
    if as_json:
        print_json(done.to_json())
    else:
        output_evaluation.print_grounding(done)
