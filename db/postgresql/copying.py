"""Copy an archive to a server, back, or between two of a kind: all of it, compared row by row, or nothing."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import zip_longest
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.files import private_files
from filmroom.db.reads import films, spaces
from filmroom.db.reads.integrity import checksum
from filmroom.db.schema import file, film, judgement, metadata, root, thumbnail
from filmroom.db.thumbnails.reading import filled
from filmroom.db.thumbnails.shelf import Shelf
from filmroom.db.vector_index.opening import open_index
from sqlalchemy import Connection, Table, cast, column, delete, func, insert, literal_column, select, table, update
from sqlalchemy.dialects.postgresql import REGCLASS

_BLOCK = 1000
_SEQUENCES = table("sqlite_sequence", column("name"), column("seq"))
_NUMBERED = tuple(relation for relation in metadata.sorted_tables if "id" in relation.c)

OnProgress = Callable[[str, int], None]


_OF_PEOPLE = (root, file, film, judgement)
"""Tables that are empty in a new archive, whatever became of its films."""


@dataclass(frozen=True)
class Copied:
    """What was copied and found equal."""

    films: int
    rows: int


def copy(source: Archive, target: Archive, *, on_progress: OnProgress = lambda table, rows: None) -> Copied:
    """Copy an archive into a new one: every row, the key of its patients, and its saved probes. Indexes are made again.

    Raises BadInput where there are films in the target; FilmroomError where a row is not the same there. Then, and
    whatever else ends it, nothing is in the target.
    """
    source.patient_key()  # without it the copy would make another, and give each patient another name
    refusal = BadInput("there is an archive already", where=target.catalog.place, fix="Name a new place.")
    if (target.folder / "patient.key").exists():
        raise refusal
    with (
        target.writing("copying", alone=True),
        source.catalog.read() as reading,
        target.catalog.refill() as writing,
    ):
        shelf = Shelf(target.catalog)
        if any(writing.scalar(select(func.count()).select_from(relation)) for relation in _OF_PEOPLE):
            raise refusal
        rows = _copy_rows(source, reading, writing, shelf, on_progress)
        _copy_numbers(reading, writing)
        _compare(reading, writing)
        _compare_pictures(source, target, reading, writing)
    target.catalog.close()
    _copy_files(source, target)
    opened = Archive.open(target.folder)
    opened.patient_key()  # the target knows from now on which is its key
    opened.catalog.learn_sizes()
    for space in spaces.spaces(opened.catalog):
        open_index(opened.catalog, space, opened.vectors, gpu=False).save()
    return Copied(films.count(opened.catalog), rows)


def _copy_rows(source: Archive, reading: Connection, writing: Connection, shelf: Shelf, on_progress: OnProgress) -> int:
    count = 0
    for relation in reversed(metadata.sorted_tables):
        writing.execute(delete(relation))  # what a new archive begins with
    for relation in metadata.sorted_tables:
        for block in _rows(reading, relation).partitions():
            values = [dict(row._mapping) for row in block]
            for row in values if relation is file else ():
                row["duplicate_of"] = None  # of a film that is not there yet
            if relation is thumbnail:
                _copy_pictures(writing, shelf, filled(source.catalog, values))
            else:
                writing.execute(insert(relation), values)
            count += len(block)
            on_progress(relation.name, count)
    copies = reading.execute(select(file.c.id, file.c.duplicate_of).where(file.c.duplicate_of.is_not(None)))
    for copy_of in copies:
        writing.execute(update(file).where(file.c.id == copy_of.id).values(duplicate_of=copy_of.duplicate_of))
    return count


def _copy_pictures(writing: Connection, shelf: Shelf, rows: Sequence[dict[str, Any]]) -> None:
    """Put the thumbnails where the target keeps them; what is damaged in the source is as damaged there."""
    for row in rows:
        if checksum(row["webp"]) == row["checksum"]:
            shelf.put(writing, row["film_id"], row["webp"])
        else:
            writing.execute(insert(thumbnail), row)
    shelf.write()


def _rows(connection: Connection, relation: Table) -> Any:
    """Return the rows of a table in an order that is the same in both."""
    order: list[Any] = (
        [literal_column("judgement.rowid")] if relation is judgement else list(relation.primary_key.columns)
    )
    return connection.execution_options(yield_per=_BLOCK).execute(select(relation).order_by(*order))


def _copy_numbers(reading: Connection, writing: Connection) -> None:
    """Let no id be given again that was ever given: an index relies on it."""
    for relation in _NUMBERED:
        last = _last_number(reading, relation)
        if last and writing.dialect.name == "postgresql":
            writing.execute(select(func.setval(func.pg_get_serial_sequence(relation.name, "id"), last)))
        elif last and relation.dialect_options["sqlite"]["autoincrement"]:
            writing.execute(delete(_SEQUENCES).where(_SEQUENCES.c.name == relation.name))
            writing.execute(insert(_SEQUENCES).values(name=relation.name, seq=last))


def _last_number(connection: Connection, relation: Table) -> int:
    highest = connection.scalar(select(func.max(relation.c.id))) or 0
    highest_ever = 0
    if connection.dialect.name == "postgresql":
        sequence = cast(func.pg_get_serial_sequence(relation.name, "id"), REGCLASS)
        highest_ever = connection.scalar(select(func.pg_sequence_last_value(sequence))) or 0
    elif relation.dialect_options["sqlite"]["autoincrement"]:
        highest_ever = connection.scalar(select(_SEQUENCES.c.seq).where(_SEQUENCES.c.name == relation.name)) or 0
    return max(int(highest), int(highest_ever or 0))


def _compare(reading: Connection, writing: Connection) -> None:
    """Read both again, row by row. Raises FilmroomError."""
    for relation in metadata.sorted_tables:
        if relation is not thumbnail:
            pairs = zip_longest(_rows(reading, relation), _rows(writing, relation))
            _check_same(
                relation,
                sum(first is None or second is None or tuple(first) != tuple(second) for first, second in pairs),
            )


def _compare_pictures(source: Archive, target: Archive, reading: Connection, writing: Connection) -> None:
    """Compare the thumbnails, wherever each keeps them. Raises FilmroomError."""
    blocks = zip_longest(
        *(_rows(connection, thumbnail).partitions() for connection in (reading, writing)), fillvalue=()
    )
    for first, second in blocks:
        left, right = (
            filled(archive.catalog, [dict(row._mapping) for row in rows])
            for archive, rows in ((source, first), (target, second))
        )
        _check_same(thumbnail, sum(before != after for before, after in zip_longest(left, right)))


def _check_same(relation: Table, different: int) -> None:
    if different:
        raise FilmroomError(
            f"{different} rows of the table {relation.name} are not the same in the copy, which was given up",
            fix="Please report it; the archive itself is as it was.",
        )


def _copy_files(source: Archive, target: Archive) -> None:
    key = source.folder / "patient.key"
    if key.exists():
        private_files.write(target.folder / key.name, key.read_bytes())
    for probe in (source.folder / "probes").glob("*.json"):
        private_files.make_folder(target.folder / "probes")
        shutil.copyfile(probe, target.folder / "probes" / probe.name)
