"""Read which films of a table are to train, tune and test on: a split that a public set brings with it."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput
from filmroom.search.catalog_names import CatalogNames
from filmroom.search.exchange.fact_columns import FILM
from filmroom.search.exchange.tables import read_table


class Part(StrEnum):
    """What a film is for."""

    TRAIN = "train"
    TUNE = "tune"
    TEST = "test"


_WORDS = {
    Part.TRAIN: ("train", "training"),
    Part.TUNE: ("tune", "tuning", "val", "valid", "validate", "validation", "dev"),
    Part.TEST: ("test", "testing"),
}
_PARTS = {word: part for part, words in _WORDS.items() for word in words}


def read_split(catalog: Catalog, path: Path, column: str) -> dict[int, Part]:
    """Read a table's column of train, tune (val, validate) and test by film; an empty cell leaves the film out.

    Raises BadInput for another word, with its line, for a film in two parts, and without films to train and to test.
    """
    table = read_table(path)
    name_column, column = table.need(*FILM), table.need(column)
    rows = [(row.where, row.get(name_column), row.get(column)) for row in table]
    placed = CatalogNames(catalog).place(name for _, name, _ in rows).films
    parts: dict[int, Part] = {}
    for where, name, word in rows:
        if not word or name not in placed:
            continue
        part = _PARTS.get(word.lower())
        if part is None:
            raise BadInput(f"{word[:40]!r} is no part of a split", where=where, fix="Write train, tune or test.")
        if parts.setdefault(placed[name], part) is not part:
            raise BadInput(f"a film is both in {parts[placed[name]]} and in {part}", where=where)
    lacking = [part for part in (Part.TRAIN, Part.TEST) if part not in parts.values()]
    if lacking:
        raise BadInput(f"no film of the archive is in {lacking[0]}", where=path, fix=f"Look at the column {column}.")
    return parts
