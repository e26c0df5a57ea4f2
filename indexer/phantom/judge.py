"""Grade judgements from specifications: 2 for the finding with all that a query asks of it, 1 for it alone, else 0.

What a query wants is written as conditions joined by ";":

    effusion                                any film with an effusion: 2
    effusion; side=left; severity=small     a small left effusion: 2, any other effusion: 1
    endotracheal tube; place=trachea        alternatives with "|": place=trachea|stomach
    not effusion                            no effusion: 2
    cardiomegaly; not effusion              both: 2, the heart alone: 1
    view=AP|AP SUPINE                       one of these views: 2
    normal                                  nothing found: 2, nothing but devices: 1
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput
from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, Severity, Side, View

QUERIES = ASSETS / "queries" / "phantom.tsv"


@dataclass(frozen=True)
class Want:
    """The conditions of one query. `kinds` are alternatives, as are the values of each qualifier."""

    kinds: tuple[Kind, ...] = ()
    sides: tuple[Side, ...] = ()
    severities: tuple[Severity, ...] = ()
    places: tuple[Place, ...] = ()
    views: tuple[View, ...] = ()
    absent: tuple[Kind, ...] = ()
    normal: bool = False


@dataclass(frozen=True)
class PhantomQuery:
    """One query of the shipped set. `group`: finding, side, severity, place, device, view or negation."""

    qid: str
    text: str
    group: str
    want: Want = field(default_factory=Want)


def read_queries(path: Path = QUERIES) -> tuple[PhantomQuery, ...]:
    """Return the shipped query set, or another of the same four columns. Raises BadInput for a condition it does not
    know."""
    with path.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    return tuple(
        PhantomQuery(r["qid"], r["query"], r["group"], parse_want(r["want"], where=f"{path.name} {r['qid']}"))
        for r in rows
    )


def parse_want(text: str, *, where: str | None = None) -> Want:
    """Return conditions as in this module's head. Raises BadInput."""
    kinds: list[Kind] = []
    absent: list[Kind] = []
    chosen: dict[str, tuple[str, ...]] = {}
    normal = False
    try:
        for part in (p.strip() for p in text.split(";")):
            key, equals, value = part.partition("=")
            if equals:
                chosen[key.strip()] = tuple(v.strip() for v in value.split("|"))
            elif part == "normal":
                normal = True
            elif part.startswith("not "):
                absent += [Kind(k.strip()) for k in part[4:].split("|")]
            else:
                kinds += [Kind(k.strip()) for k in part.split("|")]
        want = Want(
            kinds=tuple(kinds),
            sides=tuple(Side(v) for v in chosen.pop("side", ())),
            severities=tuple(Severity(v) for v in chosen.pop("severity", ())),
            places=tuple(Place(v) for v in chosen.pop("place", ())),
            views=tuple(View(v) for v in chosen.pop("view", ())),
            absent=tuple(absent),
            normal=normal,
        )
    except ValueError as error:
        raise BadInput(f"Unknown condition: {error}", where=where) from None
    if chosen:
        raise BadInput(f"Unknown qualifier {', '.join(chosen)}", where=where, fix="Use side, severity, place or view.")
    return want


def grade(phantom: Phantom, want: Want) -> int:
    """Return the grade 0, 1 or 2: see the head of this module."""
    without = not any(phantom.of(kind) for kind in want.absent)
    if want.normal:
        devices_only = all(f.kind.device for f in phantom.findings)
        best = 2 if not phantom.findings else 1 if devices_only else 0
        return min(best, _view_grade(phantom, want))
    if not want.kinds:
        return _view_grade(phantom, want) if without else 0
    matching = [f for f in phantom.findings if f.kind in want.kinds]
    if not matching:
        return 0
    meets_all = without and _view_grade(phantom, want) == 2 and any(_fits(f, want) for f in matching)
    return 2 if meets_all else 1


def qrels(phantoms: Mapping[str, Phantom], queries: Sequence[PhantomQuery]) -> list[tuple[str, str, int]]:
    """Return (qid, document, grade) for every query and film, zeros included: all films are judged."""
    return [
        (query.qid, document, grade(phantom, query.want)) for query in queries for document, phantom in phantoms.items()
    ]


def write_qrels(path: Path, judged: Sequence[tuple[str, str, int]]) -> None:
    """Write judgements in the TREC format."""
    path.write_text("".join(f"{qid} 0 {document} {grade}\n" for qid, document, grade in judged), encoding="utf-8")


def _view_grade(phantom: Phantom, want: Want) -> int:
    return 2 if not want.views or phantom.view in want.views else 0


def _fits(finding: Finding, want: Want) -> bool:
    # Both sides answer a query for one of them; one side is not "bilateral".
    sides = {finding.side, *finding.side.lungs}
    return (
        (not want.sides or bool(sides & set(want.sides)))
        and (not want.severities or finding.severity in want.severities)
        and (not want.places or finding.place in want.places)
    )
