"""State what every check takes besides its own options, and hand its result on. Imports nothing heavy."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import in_a_folder, print_json
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.db.archive import Archive
    from filmroom.search.checks.result import Result

CsvOption = Annotated[
    Path | None,
    typer.Option("--csv", metavar="FILE", callback=in_a_folder, help="Write the list, or the table, as CSV."),
]
CollectOption = Annotated[
    str | None, typer.Option("--collect", metavar="NAME", help="Put the films found into a collection.")
]


def hand_on(archive: Archive, outcome: Result, *, csv: Path | None, collect: str | None, as_json: bool) -> None:
    """Write, collect and print a result."""
    from filmroom.search.checks import result
    from filmroom.search.cli.checks.output import print_result

    if csv is not None:
        lines = result.write_csv(csv, archive, outcome)
    new = result.keep(archive, collect, outcome) if collect is not None else 0
    if as_json:
        print_json(outcome.to_json())
        return
    print_result(archive, outcome)
    if csv is not None:
        say(f"{counted(lines, 'line')} written to {csv}.")
    if collect is not None:
        say(f"{counted(len(outcome.picked), 'film')} in the collection {collect.strip()}, {new:,} of them new.")


@contextmanager
def comparing(*, quiet: bool, doing: str = "Comparing pictures") -> Iterator[Callable[[int, int], None]]:
    """Say before it starts how many pictures are looked at, and show how far it is, where somebody watches."""
    from rich.progress import Progress

    with Progress(disable=quiet or not sys.stderr.isatty(), transient=True) as bar:
        task = bar.add_task(doing, total=None)

        def on_pairs(done: int, total: int) -> None:
            bar.update(task, completed=done, total=total)

        yield on_pairs
