"""Copy films out of the archive into a folder, de-identified or as they are, with a table of them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filmroom.db.errors import FilmroomError
from filmroom.db.reads.films import file_hashes
from filmroom.db.records import Film, is_remote
from filmroom.indexer.sources.fetching import Patience
from filmroom.indexer.sources.film_cache import source_path
from filmroom.search.exchange.deidentify import Replacements, copies
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.original_pixels import CHANGED, original
from filmroom.search.exchange.tables import empty_folder
from filmroom.search.export.job import Failures, Job, sha256_of
from filmroom.search.results import Hit
from PIL import Image

_DICOM_AT, _DICOM = 128, b"DICM"
_MOST_BYTES = 255  # of a file's name, on the usual file systems
_UIDS = ("study_uid", "series_uid", "instance_uid")


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
    empty_folder(folder)
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
    written.sort(key=lambda entry: place[entry[1].id])
    _write_table(folder / "films.csv", written, deidentified=deidentify, uids=uids)
    return Copied(folder, len(written), tuple(sorted(failed, key=lambda entry: place[entry[0]])))


class Copies:
    """A folder of files. Each batch is copied into a folder of its own, and moved when it is whole."""

    batch = 100

    def __init__(self, job: Job, *, deidentify: bool) -> None:
        self._job = job
        self._deidentify = deidentify
        (job.folder / "out").mkdir(exist_ok=True)

    def write(self, films: Sequence[Hit]) -> Failures:
        batch = self._job.folder / "batch"
        shutil.rmtree(batch, ignore_errors=True)
        # One key for all batches: a study whose films come in several keeps one UID that stands in for its own.
        key = bytes.fromhex(self._job.facts["copies_key"])
        done = copy_films(
            [hit.film for hit in films],
            batch,
            deidentify=self._deidentify,
            key=key,
            hashes=file_hashes(self._job.archive.catalog, [hit.id for hit in films]),
        )
        with (batch / "films.csv").open("rb") as rows:
            header = rows.readline()
            table = self._job.growing("out/films.csv")
            if not table.tell():
                table.write(header)
            shutil.copyfileobj(rows, table)
        (batch / "films.csv").unlink()
        for path in batch.iterdir():
            os.replace(path, self._job.folder / "out" / path.name)
        batch.rmdir()
        return done.failed

    def finish(self) -> Path:
        return self._job.folder / "out"


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
    patience = Patience()
    for film in films:
        name = _copied_name(film, Path(film.path))
        fault: OSError | FilmroomError | None = None
        try:
            shutil.copyfile(source_path(film), folder / name)
        except (OSError, FilmroomError) as error:
            fault = error
        patience.note(film.root, fault)
        yield film, name, _in_words(fault) if fault else None


def _deidentified(films: Sequence[Film], folder: Path, replacements: Replacements) -> Iterator[Outcome]:
    dicom: list[Film] = []
    patience = Patience()
    for film in films:
        name = f"{film.id:07d}.png"
        fault: OSError | FilmroomError | None = None
        try:
            if is_dicom := _is_dicom(source_path(film)):
                dicom.append(film)
            else:
                Image.fromarray(original(film)).save(folder / name)
        except (OSError, FilmroomError) as error:
            fault, is_dicom = error, False
        patience.note(film.root, fault)
        if not is_dicom:
            yield film, name, _in_words(fault) if fault else None
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


def _in_words(fault: OSError | FilmroomError) -> str:
    if isinstance(fault, FilmroomError):
        return fault.what
    if isinstance(fault, FileNotFoundError):
        return "the file is not where it was indexed"
    return fault.strerror or "the file cannot be read or written"


def _write_table(path: Path, written: Sequence[tuple[str, Film]], *, deidentified: bool, uids: bool) -> None:
    names = [
        *("file", "id"),
        *([] if deidentified else ["path"]),
        "frame",
        *(_UIDS if uids or not deidentified else ()),
        *([] if deidentified else ["patient_key"]),
        *("modality", "view", "sex", "age", "year", "labels"),
    ]
    with path.open("w", newline="", encoding="utf-8", errors="backslashreplace") as out:
        out.write(csv_row(names))
        for name, film in written:
            values = {
                "file": name,
                "id": film.id,
                "path": film.path.encode("utf-8", "backslashreplace").decode(),
                "frame": film.frame,
                **vars(film.tags),
                "labels": ";".join(film.label_names),
            }
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
