"""Print what a check found: its figures, a table of them, the first films with the reasons, and what comes next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from filmroom.db.reads.films import films as films_of
from filmroom.search.checks.result import measured_rows, written_p
from filmroom.search.cli.counting import counted
from filmroom.search.cli.output import Text, console, path_text
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.db.archive import Archive
    from filmroom.search.checks.result import Pick, Result, Value

_FEW = 20
_ROWS = 40


def print_result(archive: Archive, result: Result) -> None:
    """Print a result for a person."""
    for name, value in result.figures.items():
        console.print(Text(f"{name if name == 'p' else name[:1].upper() + name[1:]}: {_shown(value, name)}"))
    if result.rows:
        _print_rows(result.rows)
    if result.picks:
        _print_picks(archive, result)
    for note in result.notes:
        console.print(Text(note))
    if result.conclusion:
        console.print(Text(result.conclusion))
    elif result.ok:
        console.print(Text(f"Nothing to look at among {counted(result.films, 'film')}."))


def _print_rows(rows: Sequence[Mapping[str, Value]]) -> None:
    measured = [_short(row) for row in measured_rows(rows)]
    columns = list(dict.fromkeys(name for row in measured for name in row))
    table = Table(*columns, box=None, pad_edge=False)
    for row in measured[:_ROWS]:
        table.add_row(*(Text(_shown(row.get(name), name)) for name in columns))
    if measured:
        console.print(table)
    left = [(len(measured) - _ROWS, "more line"), (len(rows) - len(measured), "line of too few films")]
    for count, kind in left:
        if count > 0:
            console.print(Text(f"And {counted(count, kind, kind.replace('line', 'lines'))}: --csv FILE writes all."))


def _short(row: Mapping[str, Value]) -> dict[str, Value]:
    """Fit a row with an interval into a terminal: what is measured of whom in two cells, the interval in one."""
    if "low" not in row:
        return dict(row)
    names = {"measure": ("measure", "of"), "slice": ("fact", "slice"), "95 %": ("low", "high")}
    hidden = {"patients", "difference"} if "value" in row else {"films A", "films B"}
    short: dict[str, Value] = {}
    for name, value in row.items():
        joined = next((key for key, parts in names.items() if name in parts), name)
        if joined in names and joined not in short:
            parts = [_shown(row[part], part) for part in names[joined] if part in row]
            short[joined] = " to ".join(filter(None, parts)) if joined == "95 %" else " ".join(parts)
        elif joined not in names and name not in hidden:
            short[name] = value
    return short


def _print_picks(archive: Archive, result: Result) -> None:
    picks = _some_of_each(result)
    known = {film.id: film for film in films_of(archive.catalog, [pick.film for pick in picks])}
    grouped = any(pick.group for pick in picks)
    names = [name for name in picks[0].evidence if any(pick.evidence.get(name) is not None for pick in picks)]
    table = Table(*["group"] * grouped, "film", "file", "why", *names, box=None, pad_edge=False)
    for pick in picks:
        path = path_text(known[pick.film].path) if pick.film in known else Text("")
        cells = [Text(_shown(pick.evidence.get(name), name)) for name in names]
        table.add_row(*[Text(str(pick.group or ""))] * grouped, Text(str(pick.film)), path, Text(pick.why), *cells)
    console.print(table)
    if len(result.picks) > len(picks):
        rest = counted(len(result.picks) - len(picks), "more line")
        written = "" if result.rows else "--csv FILE writes all, "
        console.print(Text(f"And {rest}: {written}--collect NAME keeps the films."))


def _some_of_each(result: Result) -> Sequence[Pick]:
    """Choose the picks to print: the first ones, or of several reasons or a few groups the first ones of each."""
    parts: dict[tuple[int, str], list[Pick]] = {}
    for pick in result.picks:
        parts.setdefault((pick.group, pick.why), []).append(pick)
    if len({group for group, _ in parts}) > _FEW // 3:
        return result.picks[:_FEW]
    most = max(3, _FEW // len(parts))
    return [pick for picks in parts.values() for pick in picks[:most]]


def _shown(value: Value, name: str) -> str:
    if value is None or value != value:
        return ""
    if name == "p" and isinstance(value, float):
        return written_p(value)
    return f"{value:.3f}" if isinstance(value, float) else f"{value:,}" if type(value) is int else str(value)
