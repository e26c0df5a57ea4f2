"""Run a check by its name, as a job or for a program: each takes its own options, and says how far it is."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.search.checks.archive_health import check_archive
from filmroom.search.checks.duplicates import check_duplicates
from filmroom.search.checks.labels import check_labels
from filmroom.search.checks.result import Result
from filmroom.search.checks.sides import SPLIT
from filmroom.search.checks.splits import check_splits
from filmroom.search.checks.subgroups.slices import check_slices, judged_here
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

    def given(self) -> dict[str, Any]:
        """Return the options that were given, as plain values."""
        return {name: value for name, value in asdict(self).items() if value not in (None, ())}


TAKES: Mapping[str, frozenset[str]] = {
    "archive": frozenset(),
    "splits": frozenset({"model", "split_column", "collections"}),
    "duplicates": frozenset({"model"}),
    "labels": frozenset({"model", "findings"}),
    "slices": frozenset({"model", "findings", "threshold", "query_set"}),
}
"""The checks by name, and the options of each."""


def checked_options(check: str, given: Mapping[str, Any]) -> Options:
    """Return the options of a check. Raises BadInput for a check or an option that is not there."""
    if check not in TAKES:
        raise BadInput("there is no check of this name", where=check[:80], fix=f"Checks: {', '.join(TAKES)}.")
    given = {name: value for name, value in given.items() if value not in (None, [], ())}
    wrong = sorted(given.keys() - TAKES[check])
    if wrong:
        takes = ", ".join(sorted(TAKES[check])) or "no options"
        raise BadInput("not an option of this check", where=", ".join(wrong), fix=f"{check} takes {takes}.")
    if given.get("split_column") and given.get("collections"):
        raise BadInput("say which sides: a column or two collections, not both", fix="Leave one of them out.")
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    return Options(**plain)


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
    return check_labels(searcher, options.findings, on_finding=on_step)
