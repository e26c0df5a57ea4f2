"""Write films as a table, CSV or Parquet: every fact, label, score and split, a row a film."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import fields
from pathlib import Path
from typing import Any

from filmroom.db.archive import Archive
from filmroom.db.errors import MissingExtra
from filmroom.db.reads import film_facts
from filmroom.db.records import Film, Tags
from filmroom.search.exchange.delimited import cell, csv_row
from filmroom.search.export.job import Failures, Job
from filmroom.search.results import Hit

BATCH = 2_000

Row = dict[str, str | int | float | bool | None]

_NUMBERS = dict.fromkeys(("rank", "id", "frame", "age", "year", "rows", "columns"), "int64") | dict.fromkeys(
    ("score", "percentile"), "float64"
)
_FLAGS = ("burned_in", "has_report")
_IDENTIFYING = ("study_uid", "series_uid", "instance_uid", "patient_key")


def label_columns(archive: Archive) -> dict[str, str]:
    """Name the column of every label and probe of the archive: column -> its name."""
    names = film_facts.label_names(archive.catalog)
    return {f"{'probe' if label.by_probe else 'label'}:{label.name}": label.name for label in names}


class Rows:
    """Makes the rows of films, for exports and pages alike. Paths are left out unless asked for: names of folders and
    files can name patients. With `split_of` a column says in which part of a split a film is."""

    def __init__(
        self,
        archive: Archive,
        labels: Mapping[str, str],
        *,
        paths: bool,
        identifying: bool = True,
        split_of: Callable[[int], str | None] | None = None,
    ) -> None:
        self._archive = archive
        self._labels = labels
        self._paths = paths
        self._split_of = split_of
        hidden = () if identifying else _IDENTIFYING
        self._tags = [field.name for field in fields(Tags) if field.name not in hidden]
        self.columns = [
            *("rank", "score", "percentile", "id"),
            *(["path"] if paths else []),
            "frame",
            *self._tags,
            *("has_report", "labels", "tags", "collections"),
            *(["split"] if split_of else []),
            *labels,
        ]

    @classmethod
    def of_job(cls, job: Job, *, paths: bool, identifying: bool = True) -> Rows:
        """Return the rows of an export: its labels are those that there were when it began."""
        split_of = job.split_of if job.split_names else None
        return cls(job.archive, job.facts["labels"], paths=paths, identifying=identifying, split_of=split_of)

    def of(self, films: Sequence[Hit | Film]) -> Iterator[Row]:
        """Yield a row a film, with text as it may stand in a spreadsheet. A film that no answer holds has no rank."""
        ids = [film.id for film in films]
        tags = film_facts.tags_of_films(self._archive.catalog, ids)
        collections = film_facts.collections_of_films(self._archive.catalog, ids)
        for film in films:
            row = self._row(film, tags.get(film.id, []), collections.get(film.id, []))
            yield {name: cell(value) if isinstance(value, str) else value for name, value in row.items()}

    def _row(self, hit: Hit | Film, tags: Sequence[str], collections: Sequence[str]) -> Row:
        row: Row = dict.fromkeys(self.columns)
        film = hit.film if isinstance(hit, Hit) else hit
        if isinstance(hit, Hit):
            row |= {"rank": hit.rank, "score": hit.score, "percentile": hit.percentile}
        row |= {
            "id": film.id,
            "frame": film.frame,
            "has_report": film.has_report,
            "labels": ";".join(film.label_names),
            "tags": ";".join(tags),
            "collections": ";".join(collections),
        }
        row |= {name: getattr(film.tags, name) for name in self._tags}
        if self._paths:
            row["path"] = film.path.encode("utf-8", "backslashreplace").decode()
        if self._split_of:
            row["split"] = self._split_of(film.id)
        for label in film.labels:
            column = f"{'probe' if label.source == 'probe' else 'label'}:{label.name}"
            if column in row:  # a label that came since has no column
                known = row[column]
                row[column] = max(label.value, known) if isinstance(known, float) else label.value
        return row

    def schema(self) -> Any:
        """Return the pyarrow schema of the columns. Raises MissingExtra without pyarrow."""
        need_pyarrow()
        import pyarrow

        def kind(name: str) -> Any:
            if name in self._labels:
                return pyarrow.float64()
            return pyarrow.bool_() if name in _FLAGS else pyarrow.type_for_alias(_NUMBERS.get(name, "string"))

        return pyarrow.schema([(name, kind(name)) for name in self.columns])


class CsvTable:
    """UTF-8 with a header line."""

    batch = BATCH

    def __init__(self, job: Job, *, paths: bool) -> None:
        self._job = job
        self._rows = Rows.of_job(job, paths=paths)

    def write(self, films: Sequence[Hit]) -> Failures:
        file = self._job.growing("table.csv")
        file.write(as_csv(self._rows.columns, self._rows.of(films), header=not file.tell()))
        return []

    def finish(self) -> Path:
        return self._job.folder / "table.csv"


class ParquetTable:
    """Parquet; each batch is a file of its own until the end, since one file cannot be gone on with."""

    batch = 10 * BATCH

    def __init__(self, job: Job, *, paths: bool) -> None:
        need_pyarrow()
        self._job = job
        self._rows = Rows.of_job(job, paths=paths)

    def write(self, films: Sequence[Hit]) -> Failures:
        import pyarrow
        from pyarrow import parquet

        table = pyarrow.Table.from_pylist(list(self._rows.of(films)), schema=self._rows.schema())
        parts = self._job.folder / "parts"
        parts.mkdir(exist_ok=True)
        parquet.write_table(table, parts / f"{self._job.state['at']:012}.parquet")
        return []

    def finish(self) -> Path:
        from pyarrow import parquet

        path = self._job.folder / "table.parquet"
        with parquet.ParquetWriter(path, self._rows.schema()) as out:
            for part in sorted((self._job.folder / "parts").iterdir()):
                out.write_table(parquet.read_table(part))
        return path


def as_csv(columns: Sequence[str], rows: Iterable[Row], *, header: bool) -> bytes:
    """Write rows as CSV, UTF-8, under their columns where `header` is asked."""
    lines = [csv_row(columns)] if header else []
    lines += [csv_row(row[name] for name in columns) for row in rows]
    return "".join(lines).encode()


def need_pyarrow() -> None:
    """Raise MissingExtra where Parquet cannot be written."""
    try:
        import pyarrow  # noqa: F401
    except ImportError:
        raise MissingExtra("Parquet export", extra="parquet") from None
