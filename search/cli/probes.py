"""Define the commands of probes: learn, list, apply, remove."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.counting import counted
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

probe_app = typer.Typer(help="Learn a finding from labelled films, on the stored vectors.", invoke_without_command=True)
NameArgument = Annotated[str, typer.Argument(help="The probe's name.")]


def register(app: typer.Typer) -> None:
    """Add the commands to the program."""
    app.add_typer(probe_app, name="probe")


@probe_app.callback()
def probe(
    context: typer.Context,
    table: Annotated[
        Path | None,
        typer.Option("--labels", metavar="FILE", help="CSV: film,label[,value], or film and a column a finding."),
    ] = None,
    labels: Annotated[
        list[str] | None,
        typer.Option("--label", metavar="NAME", help="The finding, of the table or the archive; may be repeated."),
    ] = None,
    split_column: Annotated[
        str | None,
        typer.Option(metavar="COLUMN", help="The table's own split: train, tune and test; default: drawn by patient."),
    ] = None,
    save: Annotated[str | None, typer.Option(metavar="NAME", help="Keep it: probe:NAME>0.8 then filters.")] = None,
    report: Annotated[
        Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Write a page with plots: .html, or .md.")
    ] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Measure a head on the stored vectors: learning curve, AUC and calibration, split by patient. No image is read."""
    if context.invoked_subcommand is not None:
        return
    from filmroom.search.classification import probe_report, saved_probes
    from filmroom.search.cli import output, output_evaluation
    from filmroom.search.searcher import Searcher

    if table is None and not labels:
        raise BadInput("there is nothing to learn", fix="Give --labels FILE, or --label NAME of the archive's labels.")
    if split_column is not None and table is None:
        raise BadInput("a split is read from a table", where="--split-column", fix="Add --labels FILE.")
    if save is not None:
        saved_probes.check_name(save)
    searcher = Searcher.open(archive_folder(archive), model, weights=weights)
    known = (
        saved_probes.labels_of_table(searcher.archive, table, split=split_column)
        if table
        else saved_probes.labels_of_archive(searcher.archive)
    )
    with output_evaluation.learning(quiet=as_json) as on_fit:
        done = saved_probes.learn(searcher, known, labels or (), on_fit=on_fit)
    applied = saved_probes.keep(searcher, save, done) if save is not None else None
    if report is not None:
        probe_report.write_page(report, done)
    if as_json:
        print_json(done.to_json() | {"saved": save, "applied": applied})
    else:
        output_evaluation.print_probed(done)
        if save is not None:
            sentence = f"Kept as {save}, applied to {counted(applied or 0, 'film')}. Try:"
            output.print_command(sentence, f'search "probe:{save}>0.8"', searcher.archive.folder)


@probe_app.command("list")
def probe_list(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """List the probes that are kept."""
    from filmroom.search.classification import saved_probes
    from filmroom.search.cli import output_evaluation

    opened = open_archive(archive)
    if as_json:
        print_json(saved_probes.saved_json(opened))
    else:
        output_evaluation.print_saved(saved_probes.saved(opened), opened.folder)


@probe_app.command("apply")
def probe_apply(
    name: NameArgument, archive: ArchiveOption = None, model: ModelOption = None, as_json: JsonOption = False
) -> None:
    """Score the films that came since a probe was kept."""
    from filmroom.search.classification import saved_probes
    from filmroom.search.searcher import Searcher

    count = saved_probes.apply(Searcher.open(archive_folder(archive), model), name)
    print_json({"probe": name, "films": count}) if as_json else say(f"{name} is applied to {counted(count, 'film')}.")


@probe_app.command("remove")
def probe_remove(name: NameArgument, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Delete a probe and what it said of films."""
    from filmroom.search.classification import saved_probes

    count = saved_probes.remove(open_archive(archive), name)
    sentence = f"{name} is deleted, with its probabilities of {counted(count, 'film')}."
    print_json({"probe": name, "films": count}) if as_json else say(sentence)
