"""What the terminal shows of models, and of what models wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.cli.counting import counted
from filmroom.search.cli.output import Console, Text, console, path_text, print_command, print_unplaced
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.search.exchange.import_vectors import ImportedVectors
    from filmroom.search.findings.search import Said
    from filmroom.search.status import ModelStatus


def print_models(found: Sequence[ModelStatus]) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in (
        ("model", False),
        ("state", False),
        ("films here", True),
        ("films/s", True),
        ("nDCG@5", True),
        ("MB", True),
        ("licence", False),
        ("", False),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for one in found:
        state = ("in use" if one.in_use else one.origin) if one.ready else "not on this disk"
        table.add_row(
            Text(one.name),
            state,
            f"{one.films:,}",
            "" if one.films_a_second is None else f"{one.films_a_second:.1f}",
            "" if one.ndcg is None else f"{one.ndcg:.3f}",
            "" if one.size_mb is None else f"{one.size_mb:,}",
            Text(one.licence),
            Text(one.notes, style="dim"),
        )
    console.print(table)
    if any(one.ndcg is not None for one in found):
        sets = ", ".join(sorted({f"{one.ndcg_queries}" for one in found if one.ndcg_queries}))
        console.print(Text(f"nDCG@5 as last measured on this archive, with {sets}.", style="dim"))


def print_findings(found: Sequence[Said], archive: Path, *, any_written: bool) -> None:
    if not found:
        if any_written:
            print_command("No sentence says so. All of them:", "findings", archive)
        else:
            said = "No model has described these films. One may:"
            print_command(said, "report --from cxrreportgen --endpoint URL", archive)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in (("film", True), ("score", True), ("boxes", True), ("sentence", False), ("file", False)):
        table.add_column(name, justify="right" if right else "left", overflow="fold")
    for one in found:
        score = "" if one.score is None else f"{one.score:.3f}"
        boxes = f"{len(one.finding.boxes)}" if one.finding.boxes else ""
        table.add_row(str(one.film.id), score, boxes, Text(one.finding.text), path_text(one.film.path))
    console.print(table)
    console.print("Written by a model. Research use only, not for diagnosis.", style="dim")


def print_imported_vectors(done: ImportedVectors) -> None:
    console.print(Text(f"{counted(done.films, 'film')} with {done.vectors} x {done.dim} vectors of {done.model} now."))
    print_unplaced(done.missing, done.ambiguous, "name")


@contextmanager
def calls_progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """A bar on stderr over the calls of an endpoint."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("Describing films", total=total)
        yield lambda: bar.advance(task)
