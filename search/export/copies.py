"""Copy films out of the archive into a folder, de-identified or as they are, with a table of them."""

from __future__ import annotations

import errno
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from filmroom.db.errors import FilmroomError, NotFound
from filmroom.db.reads.films import file_hashes
from filmroom.db.records import Film, is_remote
from filmroom.indexer.sources.bucket import is_bucket
from filmroom.indexer.sources.fetching import Patience
from filmroom.indexer.sources.film_cache import drop, source_path
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
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EROFS)


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
    fails: a link may have come there that leads to anything. Raises BadInput for a folder that holds something, OSError
    where there is no room left.
    """
    empty_folder(folder)
    written: list[tuple[str, Film]] = []
    failed: list[tuple[int, str]] = []
    replacements = Replacements(uids, key) if key else Replacements(uids)
    copied = _deidentified(films, folder, hashes, replacements) if deidentify else _as_they_are(films, folder, hashes)
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


def _indexed_file(film: Film, sha256: str | None) -> Path:
    """Return the file of a film. Raises NotFound where another one lies there by now; a DICOMweb server's film is known
    by its UID."""
    path = source_path(film)
    if sha256 is None or (is_remote(film.root) and not is_bucket(film.root)) or sha256_of(path) == sha256:
        return path
    if is_bucket(film.root):  # the copy that was kept may be older than the index
        drop([film])
        path = source_path(film)
        if sha256_of(path) == sha256:
            return path
    raise NotFound(CHANGED)


def _as_they_are(films: Sequence[Film], folder: Path, hashes: Mapping[int, str]) -> Iterator[Outcome]:
    patience = Patience()
    for film in films:
        name = _copied_name(film, Path(film.path))
        fault: OSError | FilmroomError | None = None
        try:
            shutil.copyfile(_indexed_file(film, hashes.get(film.id)), folder / name)
        except (OSError, FilmroomError) as error:
            fault = _of_film(error, folder / name)
        patience.note(film.root, fault)
        yield film, name, _in_words(fault) if fault else None


def _deidentified(
    films: Sequence[Film], folder: Path, hashes: Mapping[int, str], replacements: Replacements
) -> Iterator[Outcome]:
    dicom: list[Film] = []
    patience = Patience()
    for film in films:
        name = f"{film.id:07d}.png"
        fault: OSError | FilmroomError | None = None
        try:
            if is_dicom := _is_dicom(_indexed_file(film, hashes.get(film.id))):
                dicom.append(film)
            else:
                Image.fromarray(original(film)).save(folder / name)
        except (OSError, FilmroomError) as error:
            fault, is_dicom = _of_film(error, folder / name), False
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
        except OSError as error:
            yield film, name, _in_words(_of_film(error, folder / name))
        else:
            yield film, name, None


def _of_film(fault: OSError | FilmroomError, copy: Path) -> OSError | FilmroomError:
    """Return the fault of a film, without what there is of its copy. Raises it where it is the disk's that is written
    to: the next film would fail, too."""
    with suppress(OSError):
        copy.unlink()
    if isinstance(fault, OSError) and fault.errno in _NO_ROOM:
        raise fault
    return fault


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
