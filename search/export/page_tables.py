"""Write films or the hits of an answer as a table in memory, as the pages hand it out: the columns are those of an
export."""

from __future__ import annotations

import io
from collections.abc import Sequence

from filmroom.db.archive import Archive
from filmroom.db.records import Film
from filmroom.search.export import table
from filmroom.search.export.table import Rows, label_columns
from filmroom.search.results import Hit


def as_csv(archive: Archive, hits: Sequence[Hit | Film], *, paths: bool = False) -> bytes:
    """Write UTF-8 with a header line; `paths` adds the films' files, whose names can be names of patients."""
    rows = Rows(archive, label_columns(archive), paths=paths)
    return table.as_csv(rows.columns, rows.of(hits), header=True)


def as_parquet(archive: Archive, hits: Sequence[Hit | Film], *, paths: bool = False) -> bytes:
    """Write Parquet with the columns of the CSV. Raises MissingExtra without pyarrow."""
    rows = Rows(archive, label_columns(archive), paths=paths)
    schema = rows.schema()
    import pyarrow
    from pyarrow import parquet

    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist(list(rows.of(hits)), schema=schema), out)
    return out.getvalue()
