"""What a check prints: its figures, a table of them, the first films with the reasons, and what comes next."""

from __future__ import annotations

from typing import TYPE_CHECKING

from filmroom.db.reads.films import films as films_of
from filmroom.search.cli.counting import counted
from filmroom.search.cli.output import Text, console, path_text
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.db.archive import Archive
    from filmroom.search.checks.result import Result, Value

_FEW = 20


def print_result(archive: Archive, found: Result) -> None:
    """Print a result for a person."""
    for name, value in found.figures.items():
        console.print(Text(f"{name[:1].upper()}{name[1:]}: {_shown(value)}"))
    if found.rows:
        columns = list(dict.fromkeys(name for row in found.rows for name in row))
        table = Table(*columns, box=None, pad_edge=False)
        for row in found.rows:
            table.add_row(*(Text(_shown(row.get(name))) for name in columns))
        console.print(table)
    if found.picks:
        _print_picks(archive, found)
    for note in found.notes:
        console.print(Text(note))
    if found.ok:
        console.print(Text(f"Nothing to look at among {counted(found.films, 'film')}."))


def _print_picks(archive: Archive, found: Result) -> None:
    some = found.picks[:_FEW]
    known = {film.id: film for film in films_of(archive.catalog, [one.film for one in some])}
    grouped = any(one.group for one in some)
    names = [name for name in some[0].evidence if any(one.evidence.get(name) is not None for one in some)]
    table = Table(*["group"] * grouped, "film", "file", "why", *names, box=None, pad_edge=False)
    for one in some:
        path = path_text(known[one.film].path) if one.film in known else Text("")
        shown = [Text(_shown(one.evidence.get(name))) for name in names]
        table.add_row(*[Text(str(one.group or ""))] * grouped, Text(str(one.film)), path, Text(one.why), *shown)
    console.print(table)
    if len(found.picks) > _FEW:
        more = counted(len(found.picks) - _FEW, "more line")
        console.print(Text(f"And {more}: --csv FILE writes all, --collect NAME keeps the films."))


def _shown(value: Value) -> str:
    if value is None or value != value:
        return ""
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
