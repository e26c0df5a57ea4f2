"""Take films out of the archive: a table, a TREC run, or a folder of copies."""

from __future__ import annotations

import hashlib
import io
import os
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from types import MappingProxyType

from filmroom.db.errors import BadInput, FilmroomError, MissingExtra, Rejected
from filmroom.db.records import Film, is_remote
from filmroom.indexer.sources.film_cache import source_path
from filmroom.search.exchange.deidentify import Replacements, copies
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.original_pixels import CHANGED, original
from filmroom.search.results import Hit
from PIL import Image

_DICOM_AT, _DICOM = 128, b"DICM"
_MOST_BYTES = 255  # of a file's name, on the usual file systems


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
    return [_row(hit, paths=paths) for hit in hits]


def _row(hit: Hit | Film, *, paths: bool) -> Exported:
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
        labels=";".join(dict.fromkeys(label.name for label in film.labels if label.value >= 0.5)),
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


@dataclass(frozen=True)
class Copied:
    """What a folder of copies holds, and which films could not be copied, with the reason."""

    folder: Path
    files: int
    failed: tuple[tuple[int, str], ...]


def copy_films(
    films: Sequence[Film],
    folder: Path,
    *,
    deidentify: bool = False,
    uids: bool = False,
    key: bytes | None = None,
    hashes: Mapping[int, str] = MappingProxyType({}),
) -> Copied:
    """Copy the films' files into a new or empty folder, with films.csv beside them.

    With `deidentify`, DICOM films are made anew from an allow-list (`filmroom.search.exchange.deidentify`), which
    holds UIDs only by `uids`, and pictures from their pixels; files are then named by film id, and the table names
    neither path nor patient. Copies made with one `key` (else a new one) share the UIDs and patient IDs that stand in
    for the real ones. Words burned into the pixels stay. A film whose file is not the one of its SHA-256 in `hashes`
    fails: a link may have come there that leads to anything. Raises BadInput for a folder that holds something.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("the folder is not empty", where=folder, fix="Name a new one.")
    except OSError as fault:
        raise BadInput(f"the folder cannot be made ({fault.strerror})", where=folder) from None
    written: list[tuple[str, Film]] = []
    failed: list[tuple[int, str]] = []
    replacements = Replacements(uids, key) if key else Replacements(uids)
    failed += [(film.id, CHANGED) for film in films if _is_another(film, hashes.get(film.id))]
    changed = {film_id for film_id, _ in failed}
    same = [film for film in films if film.id not in changed]
    copied = _deidentified(same, folder, replacements) if deidentify else _as_they_are(same, folder)
    for film, name, missing in copied:
        if missing is None:
            written.append((name, film))
        else:
            failed.append((film.id, missing))
    place = {film.id: at for at, film in enumerate(films)}
    written.sort(key=lambda one: place[one[1].id])
    _write_table(folder / "films.csv", written, deidentified=deidentify, uids=uids)
    return Copied(folder, len(written), tuple(sorted(failed, key=lambda one: place[one[0]])))


Outcome = tuple[Film, str, str | None]
"""A film, the name of its copy, and in words why there is none."""


def _is_another(film: Film, sha256: str | None) -> bool:
    """Tell whether there is another file by now where a film was indexed. A server's film is known by its UID."""
    if sha256 is None or is_remote(film.root):
        return False
    try:
        return sha256_of(source_path(film)) != sha256
    except OSError:
        return False  # what is not there is said where it is copied


def _as_they_are(films: Sequence[Film], folder: Path) -> Iterator[Outcome]:
    for film in films:
        name = _copied_name(film, Path(film.path))
        try:
            shutil.copyfile(source_path(film), folder / name)
        except OSError as fault:
            yield film, name, _in_words(fault)
        except FilmroomError as fault:
            yield film, name, fault.what
        else:
            yield film, name, None


def _deidentified(films: Sequence[Film], folder: Path, replacements: Replacements) -> Iterator[Outcome]:
    dicom: list[Film] = []
    for film in films:
        name = f"{film.id:07d}.png"
        try:
            if _is_dicom(source_path(film)):
                dicom.append(film)
                continue
            Image.fromarray(original(film)).save(folder / name)
        except OSError as fault:
            yield film, name, _in_words(fault)
        except Rejected as fault:
            yield film, name, fault.reason
        except FilmroomError as fault:
            yield film, name, fault.what
        else:
            yield film, name, None
    for film, copy in copies(dicom, replacements):
        name = f"{film.id:07d}.dcm"
        if isinstance(copy, str):
            yield film, name, copy
            continue
        try:
            (folder / name).write_bytes(copy)
        except OSError as fault:
            yield film, name, _in_words(fault)
        else:
            yield film, name, None


def sha256_of(path: Path) -> str:
    """Hash a file in pieces. Raises OSError."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_words(fault: OSError) -> str:
    if isinstance(fault, FileNotFoundError):
        return "the file is not where it was indexed"
    return fault.strerror or "the file cannot be read or written"


def _write_table(path: Path, written: Sequence[tuple[str, Film]], *, deidentified: bool, uids: bool) -> None:
    hidden = {"rank", "score", "percentile"}
    if deidentified:
        hidden |= {"path", "patient_key", *(() if uids else ("study_uid", "series_uid", "instance_uid"))}
    names = ["file", *(name for name in Exported.__dataclass_fields__ if name not in hidden)]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out:
        out.write(csv_row(names))
        for name, film in written:
            values = {"file": name, **asdict(_row(film, paths=not deidentified))}
            out.write(csv_row(values[column] for column in names))


def _copied_name(film: Film, source: Path) -> str:
    """Return the film's id and the file's name, of which the stem is cut where both are longer than a name may be."""
    stem, suffix = (source.stem, source.suffix) if len(source.suffix) < _MOST_BYTES // 2 else (source.name, "")
    while len(os.fsencode(name := f"{film.id:07d}-{stem}{suffix}")) > _MOST_BYTES:
        stem = stem[:-1]
    return name


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_DICOM_AT + len(_DICOM))[_DICOM_AT:] == _DICOM
