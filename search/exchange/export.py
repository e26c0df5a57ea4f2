"""Taking films out of the archive: a table, a TREC run, or a folder of copies."""

from __future__ import annotations

import io
import os
import pkgutil
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from filmroom.db.errors import BadInput, FilmroomError, MissingExtra, Rejected
from filmroom.db.reads.films import full_path
from filmroom.db.records import Film
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.original_pixels import original
from filmroom.search.results import Hit
from PIL import Image

_DICOM_AT, _DICOM = 128, b"DICM"
_MOST_BYTES = 255  # of a file's name, on the usual file systems
_TRAILING_PADDING = 0xFFFCFFFC


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
    """Paths are left out unless asked for: names of folders and files can be names of patients."""
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
        labels=";".join(dict.fromkeys(one.name for one in film.labels if one.value >= 0.5)),
    )


def as_csv(hits: Iterable[Hit | Film], *, paths: bool = False) -> bytes:
    """UTF-8 with a header line."""
    table = [
        csv_row(Exported.__dataclass_fields__),
        *(csv_row(asdict(row).values()) for row in rows(hits, paths=paths)),
    ]
    return "".join(table).encode()


def as_parquet(hits: Iterable[Hit | Film], *, paths: bool = False) -> bytes:
    """Parquet with the columns of the CSV. Raises MissingExtra without pyarrow."""
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


def copy_films(films: Sequence[Film], folder: Path, *, deidentify: bool = False) -> Copied:
    """Copies the films' files into a new or empty folder, with films.csv beside them.

    With `deidentify`, DICOM files go through dicom-anonymizer (PS3.15 basic profile) and pictures are written anew
    from their pixels; files are then named by film id, and the table names neither path, UID nor patient. Words burned
    into the pixels stay. Raises BadInput for a folder that holds something, MissingExtra.
    """
    anonymize = _anonymizer() if deidentify else None
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("the folder is not empty", where=folder, fix="Name a new one.")
    except OSError as fault:
        raise BadInput(f"the folder cannot be made ({fault.strerror})", where=folder) from None
    written: list[tuple[str, Film]] = []
    failed: list[tuple[int, str]] = []
    for film in films:
        source = full_path(film)
        try:
            if anonymize is None:
                name = _copied_name(film, source)
                shutil.copyfile(source, folder / name)
            elif _is_dicom(source):
                name = f"{film.id:07d}.dcm"
                anonymize(source, folder / name)
            else:
                name = f"{film.id:07d}.png"
                Image.fromarray(original(film)).save(folder / name)
        except FileNotFoundError:
            failed.append((film.id, "the file is not where it was indexed"))
        except OSError as fault:
            failed.append((film.id, fault.strerror or "the file cannot be read or written"))
        except Rejected as fault:
            failed.append((film.id, fault.reason))
        except FilmroomError as fault:
            failed.append((film.id, fault.what))
        else:
            written.append((name, film))
    _write_table(folder / "films.csv", written, deidentified=deidentify)
    return Copied(folder, len(written), tuple(failed))


def _write_table(path: Path, written: Sequence[tuple[str, Film]], *, deidentified: bool) -> None:
    hidden = {"rank", "score", "percentile"}
    if deidentified:
        hidden |= {"path", "study_uid", "series_uid", "instance_uid", "patient_key"}
    names = ["file", *(name for name in Exported.__dataclass_fields__ if name not in hidden)]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out:
        out.write(csv_row(names))
        for name, film in written:
            values = {"file": name, **asdict(_row(film, paths=not deidentified))}
            out.write(csv_row(values[column] for column in names))


def _copied_name(film: Film, source: Path) -> str:
    """The film's id and the file's name, of which the stem is cut where both are longer than a name may be."""
    stem, suffix = (source.stem, source.suffix) if len(source.suffix) < _MOST_BYTES // 2 else (source.name, "")
    while len(os.fsencode(name := f"{film.id:07d}-{stem}{suffix}")) > _MOST_BYTES:
        stem = stem[:-1]
    return name


def _is_dicom(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(_DICOM_AT + len(_DICOM))[_DICOM_AT:] == _DICOM


def _anonymizer() -> Any:
    try:
        from dicomanonymizer import anonymize_dataset
        from dicomanonymizer import dicom_anonymization_databases as tables
        from dicomanonymizer.simpledicomanonymizer import initialize_actions
    except ImportError:
        raise MissingExtra("De-identified copies", extra="deidentify") from None
    import pydicom
    from pydicom.dataset import FileMetaDataset

    # Its usual table E.1-1 is that of 2023; later ones name more.
    newest = max(one.name for one in pkgutil.iter_modules(tables.__path__))

    def remove(dataset: pydicom.Dataset) -> None:
        anonymize_dataset(dataset, delete_private_tags=True, base_rules_gen=lambda: initialize_actions(newest))
        # What stays in sequences that stay.
        for element in dataset:
            for item in element.value if element.VR == "SQ" else ():
                remove(item)

    def anonymize(source: Path, target: Path) -> None:
        try:
            dataset = pydicom.dcmread(source)
            syntax = dataset.file_meta.TransferSyntaxUID
            remove(dataset)
            # dicom-anonymizer leaves these to its caller (PS3.15 E.1.1, point 6), and does not look at these places.
            dataset.PatientIdentityRemoved = "YES"
            dataset.DeidentificationMethod = "PS3.15 Basic Profile, dicom-anonymizer"
            dataset.preamble = bytes(128)
            dataset.file_meta = FileMetaDataset()
            dataset.file_meta.TransferSyntaxUID = syntax
            dataset.pop(_TRAILING_PADDING, None)
            dataset.save_as(target, enforce_file_format=True)
        except OSError:
            raise
        except Exception as fault:
            # Damage takes many forms, and a message may quote the file.
            target.unlink(missing_ok=True)
            raise BadInput(f"it could not be de-identified ({type(fault).__name__})") from None

    return anonymize
