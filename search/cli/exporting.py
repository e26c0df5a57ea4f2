"""Define the commands that take films out: export, send, and diff of two cohorts."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import (
    ArchiveOption,
    CredentialsOption,
    HybridOption,
    JsonOption,
    JudgedOption,
    LeastOption,
    LikeOption,
    ModelOption,
    OrderOption,
    StudiesOption,
    UnlikeOption,
    WeightsOption,
    WordsCommand,
    archive_folder,
    examples,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import say
from filmroom.search.send.titles import REASONS, TITLES, WITH_REASON, title_of

if TYPE_CHECKING:
    from filmroom.search.export.cohort import Difference
    from filmroom.search.export.job import Done
    from filmroom.search.send.send import Sent


def register(app: typer.Typer) -> None:
    app.command(cls=WordsCommand)(export)
    app.command()(diff)
    app.command(cls=WordsCommand)(send)


def export(
    what: Annotated[str, typer.Argument(help="table, vectors, png, copies, dataset or cohort.")],
    query: Annotated[str, typer.Argument(help="Words and fields, as for search.")] = "",
    to: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="A new file, or folder.", show_default=False),
    ] = None,
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    collection: Annotated[str | None, typer.Option(metavar="NAME", help="The films of a collection.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="All films of the archive.")] = False,
    best: Annotated[int | None, typer.Option("--best", "-k", min=1, help="The first so many; default: all.")] = None,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    per_study: StudiesOption = False,
    hybrid: HybridOption = False,
    judged: JudgedOption = False,
    order: OrderOption = "match",
    least: LeastOption = None,
    layout: Annotated[
        str, typer.Option("--as", help="Of a dataset: imagefolder, coco, fiftyone, xrayvision or tfrecord.")
    ] = "imagefolder",
    split: Annotated[str | None, typer.Option(metavar="80/10/10", help="By patient, each label alike.")] = None,
    seed: Annotated[int, typer.Option(help="Of the split.")] = 0,
    bits: Annotated[int | None, typer.Option(help="Of a PNG, 8 or 16; default: 16, in a dataset 8.")] = None,
    window: Annotated[str, typer.Option(help="film (its own), full (all values) or CENTER/WIDTH.")] = "film",
    size: Annotated[
        int | None, typer.Option(metavar="PIXELS", help="Of a PNG, the longer side at most; default: as it is.")
    ] = None,
    deidentify: Annotated[bool, typer.Option("--deidentify", help="Copies without names.")] = False,
    paths: Annotated[bool, typer.Option("--paths", help="With file names, which can name patients.")] = False,
    licence: Annotated[str, typer.Option(metavar="TEXT", help="Of a dataset: an SPDX name or an address.")] = "",
    as_json: JsonOption = False,
) -> None:
    """Write films to a file or folder that other programs read. Run again after an interrupt, it goes on."""
    from filmroom.search.export.export import export as run
    from filmroom.search.export.export import options_of
    from filmroom.search.export.selection import chosen_by
    from filmroom.search.request import request_of
    from filmroom.search.searcher import Searcher

    if to is None:
        raise BadInput("the export needs a place", where="--to", fix="Name a new file or folder: --to films.csv")
    searcher = cache(lambda: Searcher.open(archive_folder(archive), model, weights=weights))
    request = request_of(
        query,
        like=examples(like),
        unlike=unlike or (),
        upload=lambda file: searcher().upload(file),
        per_study=per_study,
        hybrid=hybrid,
        judged=judged,
        order=order,
        least=least,
    )
    chosen = chosen_by(request, collection=collection, everything=everything, best=best)
    options = options_of(
        layout=layout,
        split=split,
        seed=seed,
        bits=bits,
        window=window,
        size=size,
        paths=paths,
        deidentify=deidentify,
        licence=licence,
        model=model,
    )
    opened = open_archive(archive)
    with _progress("Exporting", quiet=as_json) as on_progress:
        done = run(
            opened,
            what,
            chosen,
            to,
            searcher=searcher,
            options=options,
            progress=on_progress,
        )
    if as_json:
        print_json(asdict(done))
    else:
        _print_done(done)


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="A cohort, or a dataset's folder.")],
    after: Annotated[Path, typer.Argument(metavar="B", help="Another.")],
    as_json: JsonOption = False,
) -> None:
    """Say which films came, went and moved from one cohort to another."""
    from filmroom.search.export import cohort

    difference = cohort.diff(cohort.read_cohort(before), cohort.read_cohort(after))
    if as_json:
        print_json(difference.to_json())
    else:
        _print_difference(difference)


def send(
    what: Annotated[
        str, typer.Argument(metavar="COLLECTION|QUERY", help="The name of a collection, or words and fields.")
    ],
    to: Annotated[
        str, typer.Option(metavar="URL|FOLDER", help="A DICOMweb server, or a folder.", show_default=False)
    ] = "",
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    best: Annotated[int, typer.Option("--best", "-k", min=1, help="Of a query the first so many.")] = 10,
    title: Annotated[str, typer.Option(help=f"What they are for: {', '.join(TITLES)}.")] = "research",
    reason: Annotated[
        str | None, typer.Option(help=f"Of {' or '.join(WITH_REASON)}: {', '.join(REASONS)}.", show_default=False)
    ] = None,
    description: Annotated[str, typer.Option(metavar="TEXT", help="In words; it stands in the document.")] = "",
    findings: Annotated[
        bool, typer.Option("--findings", help="Also what report models found, with boxes, as SR.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List what would be sent, and send nothing.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before a server is sent anything.")] = False,
    credentials: CredentialsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send films back to their PACS as DICOM Key Object Selections, one a study, or write these as files.

    To a server goes only what names films that it has. The films themselves are not sent.
    """
    from filmroom.search.export.selection import select
    from filmroom.search.searcher import Searcher
    from filmroom.search.send.choice import collection_or_query
    from filmroom.search.send.send import send as run
    from filmroom.search.send.targets import target_of

    if not to:
        raise BadInput("say where to send them", where="--to", fix="Name a DICOMweb server or a folder.")
    document_title = title_of(title, reason, description)
    opened = open_archive(archive)
    chosen = collection_or_query(opened, what, best)
    selection = select(opened, chosen, lambda: Searcher.open(archive_folder(archive), model, weights=weights))
    target = target_of(to, credentials)
    source = f"the collection {chosen.collection}" if chosen.collection else "the query"
    if target.server and not (yes or dry_run):
        films = f"{counted(len(selection), 'film')} of {source}"
        _ask(f"{films}, {document_title.title.meaning}, to {target.server.url}.", to)
    with _progress("Sending", quiet=as_json) as on_progress:
        done = run(
            opened,
            selection.ranking.ids.tolist(),
            target,
            document_title,
            with_findings=findings,
            dry_run=dry_run,
            progress=on_progress,
        )
    if as_json:
        print_json(asdict(done) | {"films": len(selection), "collection": chosen.collection})
    else:
        _print_sent(done, len(selection), source, dry_run=dry_run, written=target.server is None)
    if not done.documents or done.failed:
        sys.exit(1)


def _ask(question: str, to: str) -> None:
    """Ask before a server is sent anything. Raises BadInput where nobody can answer."""
    if not sys.stdin.isatty():
        raise BadInput(
            "a server is sent documents only when told to", where=to, fix="Look with --dry-run, then add --yes."
        )
    say(question, err=True)
    typer.confirm("Send key objects of them?", abort=True, err=True)


def _print_sent(done: Sent, films: int, source: str, *, dry_run: bool, written: bool) -> None:
    from filmroom.search.send.send import State

    say(f"{counted(films, 'film')} of {source}.")
    for document in done.documents if dry_run else ():
        say(f"  {document.kind}, study {document.study}: {counted(len(document.films), 'film')} ({document.state})")
    verb = "written" if written else "sent"
    count = done.count(State.PLANNED if dry_run else State.SENT)
    new = f"{count:,} would be {verb}" if dry_run else f"{count:,} {verb}"
    say(f"{counted(len(done.documents), 'document')}: {new}, {done.count(State.THERE):,} there already.")
    if written and count and not dry_run:
        say("They name the patient as the films do.")
    if done.refusals:
        reasons = "; ".join(f"{count:,}, as {reason}" for reason, count in done.refusals.items())
        where = "folder" if written else "server"
        say(f"The {where} refused {counted(done.count(State.REFUSED), 'document')}: {reasons}.", err=True)
    if done.left_out:
        reasons = "; ".join(f"{count:,}, as {reason}" for reason, count in done.reasons.items())
        say(f"Left out {counted(len(done.left_out), 'film')}: {reasons}.", err=True)


def _print_done(done: Done) -> None:
    say(f"{counted(done.films, 'film')} in {done.path}, {done.megabytes:,.1f} MB, {done.seconds:.1f} s.")
    if done.resumed:
        say(f"{counted(done.resumed, 'film')} of them had been written before the interrupt.")
    if done.failed:
        say(f"{counted(done.failed, 'film')} could not be exported:")
        for film_id, reason in done.failures[:5]:
            say(f"  film {film_id}: {reason}")


def _print_difference(difference: Difference) -> None:
    say(
        f"{counted(difference.before, 'film')} before, {difference.after:,} after: {difference.came:,} came, "
        f"{difference.went:,} went, {difference.moved:,} of the {difference.stayed:,} that stayed moved."
    )
    if difference.other_split:
        say(f"In another split: {counted(difference.other_split, 'film')}.")
    if difference.changed:
        say(f"Asked otherwise: {', '.join(difference.changed)}.")
    for name, films in (
        ("Came", difference.films_came),
        ("Went", difference.films_went),
        ("Moved", difference.films_moved),
    ):
        for film in films[:10]:
            ranks = " -> ".join(str(rank) for rank in (film.rank_before, film.rank_after) if rank is not None)
            say(f"  {name}: film {film.id}, rank {ranks}")
    if difference.same:
        say("The cohorts are the same.")


@contextmanager
def _progress(doing: str, *, quiet: bool) -> Iterator[Callable[[int, int], None]]:
    """Show a bar on stderr over films or studies, which begins with the first."""
    from filmroom.search.cli import output
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=output.Console(stderr=True), disable=quiet)
    task = bar.add_task(doing, total=None)

    def show(done: int, total: int) -> None:
        bar.start()
        bar.update(task, completed=done, total=total)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()
