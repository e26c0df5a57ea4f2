"""Write films or the hits of an answer as a table in memory, CSV or Parquet, as the pages hand it out."""

from __future__ import annotations

import io
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from filmroom.db.errors import MissingExtra
from filmroom.db.records import Film
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.results import Hit


@dataclass(frozen=True)
class Exported:
    """One film as a row; `rank`, `score` and `percentile` are empty where no query ranked it, and `path` where it was
    not asked for."""

    rank: int | None
    score: float | None
    percentile: float | None
    id: int
    path: str | None
    frame: int
    study_uid: str | None
    series_uid: str | None
    instance_uid: str | None
    patient_key: str | None
    modality: str | None
    view: str | None
    sex: str | None
    age: int | None
    year: int | None
    labels: str


def rows(hits: Iterable[Hit | Film], *, paths: bool = False) -> list[Exported]:
    """Return the rows, without paths unless asked for: names of folders and files can be names of patients."""
    return [row_of(hit, paths=paths) for hit in hits]


def row_of(hit: Hit | Film, *, paths: bool) -> Exported:
    """Return one row."""
    film, ranked = (hit.film, hit) if isinstance(hit, Hit) else (hit, None)
    tags = film.tags
    return Exported(
        rank=ranked.rank if ranked and ranked.score is not None else None,
        score=ranked.score if ranked else None,
        percentile=ranked.percentile if ranked else None,
        id=film.id,
        path=film.path.encode("utf-8", "backslashreplace").decode() if paths else None,
        frame=film.frame,
        study_uid=tags.study_uid,
        series_uid=tags.series_uid,
        instance_uid=tags.instance_uid,
        patient_key=tags.patient_key,
        modality=tags.modality,
        view=tags.view,
        sex=tags.sex,
        age=tags.age,
        year=tags.year,
        labels=";".join(film.label_names),
    )


def as_csv(hits: Iterable[Hit | Film], *, paths: bool = False) -> bytes:
    """Write UTF-8 with a header line."""
    table = [
        csv_row(Exported.__dataclass_fields__),
        *(csv_row(asdict(row).values()) for row in rows(hits, paths=paths)),
    ]
    return "".join(table).encode()


def as_parquet(hits: Iterable[Hit | Film], *, paths: bool = False) -> bytes:
    """Write Parquet with the columns of the CSV. Raises MissingExtra without pyarrow."""
    try:
        import pyarrow
        from pyarrow import parquet
    except ImportError:
        raise MissingExtra("Parquet export", extra="parquet") from None
    kinds = {"str": pyarrow.string(), "int": pyarrow.int64(), "float": pyarrow.float64()}
    fields = Exported.__dataclass_fields__
    schema = pyarrow.schema([(name, kinds[str(field.type).split(" ")[0]]) for name, field in fields.items()])
    out = io.BytesIO()
    parquet.write_table(pyarrow.Table.from_pylist([asdict(row) for row in rows(hits, paths=paths)], schema=schema), out)
    return out.getvalue()
