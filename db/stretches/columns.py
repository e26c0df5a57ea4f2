"""Hold which film has which value of a column (view, modality, body part, sex, age, year) as a number a film: a filter
that nobody asked before looks at no row of the catalog."""

from __future__ import annotations

import json
import sqlite3
from dataclasses import dataclass
from functools import reduce

import numpy as np
from filmroom.db.batching import ids_by_value
from filmroom.db.reads.filters import condition, fields_of
from filmroom.db.records import Filter
from filmroom.db.stretches.kept_answers import KeptAnswers
from filmroom.db.stretches.versions import BITS, ids_of_stretch, versions
from numpy.typing import NDArray

_NAMES = {
    "views": "view",
    "modalities": "modality",
    "body_parts": "body_part",
    "sexes": "sex",
    "age": "age",
    "year": "year",
}
COLUMNS = tuple(_NAMES.values())

_NUMBERS = ("age", "year")
_WITHOUT_CASE = ("modality", "body_part", "sex")
_MANY = 8
"""Where more than one of so many stretches was written to, the whole column is read by its index."""

_BLOCK = 1 << 18
"""Codes that are counted at a time: NumPy makes eight bytes of each."""

_MOST = np.iinfo(np.uint16).max
"""Values that a column may have."""


@dataclass(frozen=True)
class Column:
    """`codes` (ids from 0 on) are 0 for no value, else one more than the place in `values`; `stamps` the versions of
    the stretches of which that is so."""

    values: list[str | int]
    codes: NDArray[np.uint8] | NDArray[np.uint16]
    stamps: list[int]


_NOTHING = Column([], np.empty(0, np.uint8), [])


def passing_columns(connection: sqlite3.Connection, answers: KeptAnswers, where: Filter) -> NDArray[np.int64] | None:
    """Return the ids, ascending, of the films that pass a filter which asks for fields alone, in any state; None where
    the columns are not kept."""
    fields = fields_of(where)
    if not fields or not answers.usable:
        return None
    passes = []
    for field, value in fields.items():
        name = _NAMES[field]
        column = up_to_date(connection, answers, name)
        if column is None:
            return None
        passes.append(_codes_that_pass(connection, Filter(**{field: value}), name, column.values)[column.codes])
    return np.flatnonzero(reduce(np.logical_and, passes))


def up_to_date(connection: sqlite3.Connection, answers: KeptAnswers, name: str) -> Column | None:
    """Return a column as it is now, and keep it. None where it has too many values."""
    answer = answers.get(name)
    earlier = _NOTHING if answer is None else _read(answer)
    column = bring_up(connection, earlier, name)
    if column is not None and column is not earlier:
        answers.put(name, _written(column))
    return column


def bring_up(connection: sqlite3.Connection, earlier: Column, name: str) -> Column | None:
    """Return `earlier` where nothing was written since, else what it has become."""
    stamps = versions(connection, "film")
    if stamps == earlier.stamps:
        return earlier
    known = dict(enumerate(earlier.stamps))
    stale = [number for number, stamp in enumerate(stamps) if known.get(number) != stamp]
    values = list(earlier.values)
    if _MANY * len(stale) > len(stamps):
        values = []
        codes = _codes_of(connection, values, name, f"WHERE {name} IS NOT NULL", (0, (len(stamps) << BITS) - 1))
    else:
        parts = {}
        for number in stale:
            span = ids_of_stretch(number)
            # Not by the column's index, in which the ids of a stretch lie apart.
            among = f"NOT INDEXED WHERE {name} IS NOT NULL AND id BETWEEN {span[0]} AND {span[1]}"
            parts[number] = _codes_of(connection, values, name, among, span)
        codes = np.zeros(len(stamps) << BITS, np.min_scalar_type(min(len(values), _MOST)))
        size = min(codes.size, earlier.codes.size)
        codes[:size] = earlier.codes[:size]
        for number, part in parts.items():
            codes[number << BITS : (number + 1) << BITS] = part
    if len(values) >= _MOST:
        return None
    return _with_values_of_films(Column(values, codes, stamps))


def _with_values_of_films(column: Column) -> Column:
    """Leave out values that no film has any more: they may be of one that was forgotten."""
    counts = np.zeros(len(column.values) + 1, np.int64)
    for start in range(0, column.codes.size, _BLOCK):
        counts += np.bincount(column.codes[start : start + _BLOCK], minlength=counts.size)
    had = np.flatnonzero(counts[1:])
    kind = np.min_scalar_type(had.size)
    if had.size == len(column.values):
        return Column(column.values, column.codes.astype(kind, copy=False), column.stamps)
    anew = np.zeros(counts.size, kind)
    anew[had + 1] = np.arange(1, had.size + 1)
    return Column([column.values[place] for place in had.tolist()], anew[column.codes], column.stamps)


def differs(connection: sqlite3.Connection, answer: bytes, name: str) -> bool:
    """Tell whether a kept column is not that of the catalog."""
    column, true = bring_up(connection, _read(answer), name), bring_up(connection, _NOTHING, name)
    if column is None or true is None:
        return column is not true
    places = {_plain(value, name): place for place, value in enumerate(true.values, 1)}
    same = np.array([0, *(places.get(_plain(value, name), len(true.values) + 1) for value in column.values)])
    return not np.array_equal(same[column.codes], true.codes)


def _plain(value: str | int, name: str) -> bytes:
    text = str(value).encode()
    return text.lower() if name in _WITHOUT_CASE else text  # of bytes, as of NOCASE, ASCII letters alone


def _codes_of(
    connection: sqlite3.Connection, values: list[str | int], name: str, among: str, span: tuple[int, int]
) -> NDArray[np.uint16]:
    """Return the codes of the ids of a span, first and last, of which the films lie `among`, adding to the values."""
    # In any case of letters a value is the same to a filter, and to the column's index.
    grouped = f"{name} COLLATE NOCASE" if name in _WITHOUT_CASE else name
    texts, ids, counts = ids_by_value(connection, f"SELECT min({name}), {{ids}} FROM film {among} GROUP BY {grouped}")
    places = {value: place for place, value in enumerate(values, 1)}
    of_values = []
    for text in texts:
        value = int(text) if name in _NUMBERS else text
        if value not in places:
            values.append(value)
            places[value] = len(values)
        of_values.append(min(places[value], _MOST))
    codes = np.zeros(span[1] - span[0] + 1, np.uint16)
    codes[ids - span[0]] = np.repeat(np.array(of_values, np.uint16), counts)
    return codes


def _codes_that_pass(
    connection: sqlite3.Connection, where: Filter, name: str, values: list[str | int]
) -> NDArray[np.bool_]:
    """Say which codes pass, by the very condition that films have to."""
    passing = condition(where)
    films = f"(SELECT key + 1 AS code, value AS {name} FROM json_each(?)) AS film"
    rows = connection.execute(
        f"SELECT film.code FROM {films} WHERE {passing.sql}", (json.dumps(values), *passing.values)
    )
    passes = np.zeros(len(values) + 1, np.bool_)
    passes[[row[0] for row in rows]] = True
    return passes


def _written(column: Column) -> bytes:
    head = json.dumps({"values": column.values, "stamps": column.stamps, "type": column.codes.dtype.str})
    return head.encode() + b"\n" + column.codes.tobytes()


def _read(answer: bytes) -> Column:
    length = answer.index(b"\n")
    head = json.loads(answer[:length])
    return Column(head["values"], np.frombuffer(answer, head["type"], offset=length + 1), head["stamps"])
