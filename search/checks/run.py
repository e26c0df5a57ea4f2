"""Run a check by its name, as a job or for a program: each takes its own options, and says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.search.checks.archive_health import check_archive
from filmroom.search.checks.duplicates import check_duplicates
from filmroom.search.checks.labels import check_labelled, check_labels
from filmroom.search.checks.neighbours import check_several, films_with_vectors
from filmroom.search.checks.next_films import FILMS, check_next, check_next_judgements, check_rankable
from filmroom.search.checks.result import Result
from filmroom.search.checks.sides import SPLIT
from filmroom.search.checks.splits import check_splits, split_sides
from filmroom.search.checks.subgroups.drift import check_drift, check_sides
from filmroom.search.checks.subgroups.slices import check_asked, check_slices, judged_here, queries_of
from filmroom.search.searcher import Searcher

OnStep = Callable[[int, int], None]
"""Is told how many steps of how many are done."""


@dataclass(frozen=True)
class Options:
    """What checks are run on; which of it a check takes, TAKES says."""

    model: str | None = None
    split_column: str | None = None
    collections: tuple[str, ...] = ()
    findings: tuple[str, ...] = ()
    threshold: float | None = None
    query_set: str | None = None
    between: tuple[str, ...] = ()
    films: int | None = None

    def given(self) -> dict[str, Any]:
        """Return the options that were given, as plain values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


TAKES: Mapping[str, frozenset[str]] = {
    "archive": frozenset(),
    "splits": frozenset({"model", "split_column", "collections"}),
    "duplicates": frozenset({"model"}),
    "labels": frozenset({"model", "findings"}),
    "slices": frozenset({"model", "findings", "threshold", "query_set"}),
    "drift": frozenset({"model", "between"}),
    "next": frozenset({"model", "findings", "query_set", "films"}),
}
"""The checks by name, and the options of each."""


def checked_options(check: str, options: Mapping[str, Any]) -> Options:
    """Return the options of a check. Raises BadInput for a check or an option that is not there."""
    if check not in TAKES:
        raise BadInput("there is no check of this name", where=check[:80], fix=f"Checks: {', '.join(TAKES)}.")
    options = {name: value for name, value in options.items() if value not in (None, [], ())}
    wrong = sorted(options.keys() - TAKES[check])
    if wrong:
        takes = ", ".join(sorted(TAKES[check])) or "no options"
        raise BadInput("not an option of this check", where=", ".join(wrong), fix=f"{check} takes {takes}.")
    if options.get("split_column") and options.get("collections"):
        raise BadInput("say which sides: a column or two collections, not both", fix="Leave one of them out.")
    if check == "drift" and len(options.get("between", ())) != 2:
        raise BadInput("drift is between two sides", fix="Name both, as year:2019 and year:2020.")
    if check == "next" and len(options.get("findings", ())) + ("query_set" in options) != 1:
        raise BadInput("next is of one finding or of a query set", fix="Name one label in findings, or a query_set.")
    plain: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in options.items()
    }
    return Options(**plain)


def check_answerable(archive: Archive, check: str, options: Options) -> None:
    """Raise at once what a check would end with: BadInput or NotFound for a label, a side, a query set or a collection
    that is not there, and for too few films. Which films have a vector is looked at, and no vector."""
    if check == "archive":
        return
    catalog, films = archive.catalog, films_with_vectors(archive, options.model)
    if check == "slices":
        check_asked(catalog, options.findings, options.threshold, options.query_set, films)
    elif check == "next" and options.query_set is not None:
        queries_of(catalog, options.query_set)
    elif check == "splits":
        split_sides(catalog, options.split_column or SPLIT, options.collections)
        check_several(films)
    elif check == "drift":
        a, b = options.between
        check_sides(archive, a, b, films)
    elif check == "labels":
        check_labelled(catalog, options.findings, films)
    else:
        check_several(films)
        for finding in options.findings:
            check_rankable(finding)


def run_check(archive: Archive, check: str, options: Options, on_step: OnStep) -> Result:
    """Run one check to its end. Raises BadInput, NotFound."""
    if check == "archive":
        return check_archive(archive, on_films=on_step)
    searcher = Searcher.open(archive.folder, options.model)
    if check == "splits":
        sides = options.split_column or SPLIT
        return check_splits(searcher, column=sides, collections=options.collections, on_pairs=on_step)
    if check == "duplicates":
        return check_duplicates(searcher, on_pairs=on_step)
    if check == "slices":
        judged = judged_here(searcher, options.query_set)
        return check_slices(searcher, options.findings, threshold=options.threshold, judged=judged, on_finding=on_step)
    if check == "drift":
        return check_drift(searcher, *options.between, on_step=on_step)
    if check == "next":
        if options.query_set is not None:
            return check_next_judgements(searcher, options.query_set, count=options.films or FILMS)
        return check_next(searcher, options.findings[0], count=options.films or FILMS)
    return check_labels(searcher, options.findings, on_finding=on_step)
