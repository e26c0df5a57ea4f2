"""Bring what is kept about all films up to date, let it outlive a film that is forgotten, and compare it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from filmroom.db.catalog import Catalog
from filmroom.db.stretches import columns, counts
from filmroom.db.stretches.kept_answers import KeptAnswers

NAMES = (counts.NAME, *columns.COLUMNS)


def bring_up_to_date(
    catalog: Catalog, names: Collection[str] = NAMES, *, earlier: Mapping[str, bytes] | None = None
) -> None:
    """Make the answers of these names, from `earlier` ones where given, so that who asks next need not. An archive
    with few films, or on a server, keeps none."""
    if not catalog.is_file:
        return
    with catalog.look() as connection:
        answers = KeptAnswers(connection, catalog.path, earlier)
        if not answers.usable:
            return
        for name in names:
            if name == counts.NAME:
                counts.counts_by_stretch(connection, answers)
            else:
                columns.up_to_date(connection, answers, name)


def after_many_writes(catalog: Catalog) -> None:
    """Let the catalog learn how large its tables are, and bring what is kept of them up to date."""
    catalog.learn_sizes()
    bring_up_to_date(catalog)


def read_all(catalog: Catalog) -> dict[str, bytes]:
    """Return what is kept on the disk, by name."""
    if not catalog.is_file:
        return {}
    with catalog.look() as connection:
        answers = KeptAnswers(connection, catalog.path)
        return {name: answer for name in NAMES if (answer := answers.get(name)) is not None}


def remove_all(catalog: Catalog) -> None:
    """Let everything be counted and collected from the rows again."""
    if catalog.is_file:
        with catalog.look() as connection:
            KeptAnswers(connection, catalog.path).remove_all()


def differing(catalog: Catalog) -> list[str]:
    """Return the names of the answers that are not what the rows of the catalog say; change nothing."""
    if not catalog.is_file:
        return []
    with catalog.look() as connection:
        answers = KeptAnswers(connection, catalog.path)
        answers_by_name = {name: answer for name in NAMES if (answer := answers.get(name)) is not None}
        wrong = [
            name
            for name in columns.COLUMNS
            if name in answers_by_name and columns.differs(connection, answers_by_name[name], name)
        ]
        if counts.NAME in answers_by_name and counts.differ(connection, answers_by_name[counts.NAME]):
            wrong.append(counts.NAME)
        return wrong
