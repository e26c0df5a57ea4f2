"""Run the checks of `filmroom check …`: each command runs one and hands its result on."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.checks.options import CollectOption, CsvOption, comparing, hand_on
from filmroom.search.cli.options import ArchiveOption, JsonOption, ModelOption, archive_folder, open_archive

check_app = typer.Typer(help="Look after a data set: leaks, twins, doubtful labels.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(check_app, name="check")


@check_app.command()
def splits(
    split_column: Annotated[
        str | None, typer.Option(metavar="COLUMN", help="The fact that names each film's side; default: split.")
    ] = None,
    collections: Annotated[
        tuple[str, str] | None, typer.Option(metavar="A B", help="Two collections, in place of a fact.")
    ] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find patients, files and pictures that are on both sides of a split."""
    from filmroom.search.checks.sides import SPLIT
    from filmroom.search.checks.splits import check_splits
    from filmroom.search.searcher import Searcher

    if split_column is not None and collections is not None:
        raise BadInput("say which sides: a column or two collections, not both", fix="Leave one of them out.")
    searcher = Searcher.open(archive_folder(archive), model)
    with comparing(quiet=as_json) as on_pairs:
        result = check_splits(searcher, column=split_column or SPLIT, collections=collections or (), on_pairs=on_pairs)
    hand_on(searcher.archive, result, csv=csv, collect=collect, as_json=as_json)


@check_app.command()
def duplicates(
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Group the films that show one picture, and name the best of each group."""
    from filmroom.search.checks.duplicates import check_duplicates
    from filmroom.search.searcher import Searcher

    searcher = Searcher.open(archive_folder(archive), model)
    with comparing(quiet=as_json) as on_pairs:
        result = check_duplicates(searcher, on_pairs=on_pairs)
    hand_on(searcher.archive, result, csv=csv, collect=collect, as_json=as_json)


@check_app.command("archive")
def archive_health(
    archive: ArchiveOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say how healthy the archive is: counts, missing facts, odd films, pictures that contradict their facts."""
    from filmroom.search.checks.archive_health import check_archive

    opened = open_archive(archive)
    with comparing(quiet=as_json, doing="Looking at pictures") as on_films:
        result = check_archive(opened, on_films=on_films)
    hand_on(opened, result, csv=csv, collect=collect, as_json=as_json)


@check_app.command()
def labels(
    findings: Annotated[
        list[str] | None,
        typer.Argument(metavar="FINDING...", help="Labels; default: all that have enough.", show_default=False),
    ] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Rank films whose label a probe that has not seen them and their neighbours contradict."""
    from filmroom.search.checks.labels import check_labels
    from filmroom.search.searcher import Searcher

    searcher = Searcher.open(archive_folder(archive), model)
    result = check_labels(searcher, findings or ())
    hand_on(searcher.archive, result, csv=csv, collect=collect, as_json=as_json)


@check_app.command()
def slices(
    findings: Annotated[
        list[str] | None,
        typer.Argument(metavar="FINDING...", help="Findings; default: all that have enough.", show_default=False),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option(metavar="SCORE", help="Sensitivity at this zero-shot score; default: at a specificity of 90 %."),
    ] = None,
    query_set: Annotated[
        str | None, typer.Option(metavar="NAME", help="nDCG of this query set; default: of all judged queries.")
    ] = None,
    queries: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Or of these: qid TAB query [TAB group], or JSON lines.")
    ] = None,
    qrels: Annotated[Path | None, typer.Option(metavar="FILE", help="Their TREC judgements: qid 0 film grade.")] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure the search by sex, age, view, year, modality, source and maker: which films is it worse for?"""
    from filmroom.search.checks.subgroups.slices import check_slices, judged_here, read_judged
    from filmroom.search.searcher import Searcher

    if (queries is None) != (qrels is None) or (queries is not None and query_set is not None):
        raise BadInput("queries and judgements go together", fix="Name --queries and --qrels, or --query-set.")
    searcher = Searcher.open(archive_folder(archive), model)
    judged = read_judged(queries, qrels) if queries and qrels else judged_here(searcher, query_set)
    result = check_slices(searcher, findings or (), threshold=threshold, judged=judged)
    hand_on(searcher.archive, result, csv=csv, collect=collect, as_json=as_json)


@check_app.command()
def drift(
    a: Annotated[
        str, typer.Argument(metavar="A", help="year:2019, split:test, collection:NAME, source:FOLDER, run:3 ...")
    ],
    b: Annotated[str, typer.Argument(metavar="B", help="The other side.")],
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """Test whether two years, sites, splits, runs or collections differ: by their vectors and by their facts."""
    from filmroom.search.checks.subgroups.drift import check_drift
    from filmroom.search.searcher import Searcher

    searcher = Searcher.open(archive_folder(archive), model)
    hand_on(searcher.archive, check_drift(searcher, a, b), csv=csv, collect=collect, as_json=as_json)


@check_app.command("next")
def next_films(
    finding: Annotated[str | None, typer.Argument(metavar="[FINDING]", help="The name of a label.")] = None,
    query_set: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="In place of a finding: the queries of a set, to judge films for."),
    ] = None,
    films: Annotated[int, typer.Option("-k", "--films", help="How many films to list.")] = 50,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    csv: CsvOption = None,
    collect: CollectOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the films to label next for a finding, those that teach a probe most; or to judge next for a query set."""
    from filmroom.search.checks.next_films import check_next, check_next_judgements
    from filmroom.search.searcher import Searcher

    if (finding is None) == (query_set is None):
        raise BadInput("next is of a finding or of a query set", fix="Name a label, or --query-set NAME.")
    searcher = Searcher.open(archive_folder(archive), model)
    if query_set is not None:
        result = check_next_judgements(searcher, query_set, count=films)
    else:
        result = check_next(searcher, finding or "", count=films)
    hand_on(searcher.archive, result, csv=csv, collect=collect, as_json=as_json)
