"""The result of a check: figures, and picks of films with a reason for each. Written as JSON or CSV, or collected."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.reads.film_facts import identities
from filmroom.db.writes.annotations import collect
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.tables import write_aside

Value = str | int | float | bool | None
LEAST_WRITTEN = 0.001


@dataclass(frozen=True)
class Pick:
    """A film that a check points at. Picks of one `group` belong together (a pair, copies of one picture); `evidence`
    holds the numbers and words that speak for it, the same names in every pick of a check."""

    film: int
    why: str
    group: int = 0
    evidence: Mapping[str, Value] = field(default_factory=dict)


@dataclass(frozen=True)
class Result:
    """What a check found among `films` films. `figures` are single numbers, `rows` a table of them; `notes` say what
    the numbers cannot. `model` is None where no vector was asked. `ok`: there is nothing to look at; `conclusion` says
    what that means where it does not mean that all is well."""

    check: str
    films: int
    ok: bool
    figures: Mapping[str, Value] = field(default_factory=dict)
    picks: tuple[Pick, ...] = ()
    rows: tuple[Mapping[str, Value], ...] = ()
    notes: tuple[str, ...] = ()
    model: str | None = None
    conclusion: str = ""

    @property
    def picked(self) -> tuple[int, ...]:
        """The films, each once, in the order of the picks."""
        return tuple(dict.fromkeys(pick.film for pick in self.picks))

    def to_json(self) -> dict[str, Any]:
        """Give plain values; what is not a number is None."""
        return {
            "check": self.check,
            "model": self.model,
            "films": self.films,
            "ok": self.ok,
            "conclusion": self.conclusion,
            "figures": _plain(self.figures),
            "rows": [_plain(row) for row in self.rows],
            "notes": list(self.notes),
            "picks": [
                {"group": pick.group, "film": pick.film, "why": pick.why, **_plain(pick.evidence)}
                for pick in self.picks
            ],
        }


def from_json(values: Mapping[str, Any]) -> Result:
    """Return the result of which `to_json` gave these values."""
    fields = {"group", "film", "why"}
    return Result(
        check=values["check"],
        films=values["films"],
        ok=values["ok"],
        figures=values["figures"],
        picks=tuple(
            Pick(pick["film"], pick["why"], pick["group"], {key: pick[key] for key in pick if key not in fields})
            for pick in values["picks"]
        ),
        rows=tuple(values["rows"]),
        notes=tuple(values["notes"]),
        model=values["model"],
        conclusion=values.get("conclusion", ""),
    )


def measured_rows(rows: Sequence[Mapping[str, Value]]) -> list[Mapping[str, Value]]:
    """Return the rows without those whose figure is of too few films to be tested: their p is not a number."""
    return [row for row in rows if "p" not in row or is_number(row["p"])]


def is_number(value: Value) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def written_p(p: float) -> str:
    """Write a p: none is nought."""
    return f"{p:.3f}" if p >= LEAST_WRITTEN else f"<{LEAST_WRITTEN}"


def write_csv(path: Path, archive: Archive, result: Result) -> int:
    """Write what `as_csv` gives; returns how many lines of data there are."""
    lines = _lines(archive, result)
    write_aside(path, _table(lines))
    return len(lines)


def as_csv(archive: Archive, result: Result) -> str:
    """Give the rows of a result that has a table of figures, else its picks.

    Films are named by id and identity: names of files can name patients.
    """
    return _table(_lines(archive, result))


def keep(archive: Archive, name: str, result: Result) -> int:
    """Put the picks into a collection, in their order; gives how many films are new in it."""
    return collect(archive.catalog, name, result.picked)


def _lines(archive: Archive, result: Result) -> list[dict[str, Value]]:
    if result.rows:
        return [dict(row) for row in result.rows]
    known = identities(archive.catalog, result.picked)
    return [
        {"group": pick.group, "film": pick.film, "identity": known.get(pick.film), "why": pick.why, **pick.evidence}
        for pick in result.picks
    ]


def _table(lines: Sequence[Mapping[str, Value]]) -> str:
    columns = list(dict.fromkeys(name for line in lines for name in line)) or ["group", "film", "identity", "why"]
    return "".join([csv_row(columns), *(csv_row([_plain(line).get(name) for name in columns]) for line in lines)])


def _plain(values: Mapping[str, Value]) -> dict[str, Value]:
    return {name: _rounded(value) for name, value in values.items()}


def _rounded(value: Value) -> Value:
    if isinstance(value, float):
        return float(f"{value:.6g}") if math.isfinite(value) else None
    return value
