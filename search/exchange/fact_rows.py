"""Define rows of facts as a table has them: which film or study a row means, and the words of each fact."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.search.exchange.fact_columns import BIRTH, FACTS
from filmroom.search.exchange.placing import NameColumns, Named
from filmroom.search.exchange.tables import Row, Table, read_table

BORN = "born"
"""The year of birth, which is no fact that is kept."""


@dataclass(frozen=True)
class FactRow:
    """What one row says. `values` are the words of each fact, from the most telling column on."""

    name: Named
    values: dict[str, tuple[str, ...]]


def rows_of_table(path: Path) -> list[FactRow]:
    """Read any table by the names of its columns. Raises BadInput where it names no film or study, or holds no fact."""
    table = read_table(path)
    names = NameColumns.of(table)
    columns = _fact_columns(table)
    if not columns:
        known = ", ".join(FACTS)
        raise BadInput("there is no column of facts", where=path, fix=f"Name columns {known} beside the film's.")
    return [FactRow(names.read(row), _values(row, columns)) for row in table]


def _fact_columns(table: Table) -> dict[str, tuple[str, ...]]:
    """Return the table's columns by fact."""
    columns_of = {}
    for fact, names in {**FACTS, BORN: BIRTH}.items():
        columns = tuple(column for name in names if (column := table.column(name)))
        if columns:
            columns_of[fact] = columns
    return columns_of


def _values(row: Row, columns: dict[str, tuple[str, ...]]) -> dict[str, tuple[str, ...]]:
    ids = ("patient", "study")
    words_of = {
        fact: tuple(filter(None, map(row.id if fact in ids else row.get, names))) for fact, names in columns.items()
    }
    return {fact: words for fact, words in words_of.items() if words}
