"""Keep films that were sent: on the disk to the last byte before they are acknowledged, by their UIDs alone."""

from __future__ import annotations

import json
import os
import re
import shutil
import uuid
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from filmroom.db.archive import Archive
from filmroom.db.catalog import get_meta, set_meta
from filmroom.db.erasure import left_files, path_pseudonyms
from filmroom.db.erasure.left_files import Held
from filmroom.db.files import private_files
from filmroom.db.writes import file_diff

if TYPE_CHECKING:
    from pydicom.dataset import FileMetaDataset

_KEY = "received"
_INCOMING = ".incoming"
_UID = re.compile(r"[0-9]+(?:\.[0-9]+)*")


class NotUnderstood(Exception):
    """What was sent is no DICOM object with UIDs."""


class Mismatch(Exception):
    """What was sent is not what the request said it is."""


def folders(archive: Archive) -> list[str]:
    """Say where received films of the archive are kept."""
    return list(json.loads(get_meta(archive.catalog, _KEY) or "[]"))


def holding(archive: Archive, film_ids: Sequence[int]) -> list[Held]:
    """Return the received files that hold these films, as the films' own or as copies of them."""
    received = folders(archive)
    copies = left_files.holding(archive.catalog, film_ids)
    return [copy for copy in copies if any(Path(copy.root, copy.path).is_relative_to(folder) for folder in received)]


@dataclass(frozen=True)
class Dropped:
    """How many received files were deleted, how many stay, and for the sake of which films."""

    files: int
    stay: int
    films: tuple[int, ...]


def drop(archive: Archive, copies: Sequence[Held]) -> Dropped:
    """Delete received files, which nobody else has put there, but for those that hold films of the catalog still: the
    bytes of these are nowhere else."""
    deleted, stay, films_left = 0, 0, set()
    for copy in copies:
        file = Path(copy.root, copy.path)
        if not file.is_file():
            continue
        if films := left_files.films_in(archive.catalog, copy):
            stay += 1
            films_left.update(films)
        else:
            file.unlink(missing_ok=True)
            deleted += 1
    return Dropped(deleted, stay, tuple(sorted(films_left)))


def drop_left(archive: Archive) -> None:
    """Delete received files of films that were forgotten before: a `forget` that was killed has left them."""
    for folder in folders(archive):
        files = _files(Path(folder))
        forgotten = left_files.forgotten_uids(archive, {file.stem for file in files})
        for file in files:
            if file.stem in forgotten:
                file.unlink(missing_ok=True)


@dataclass(frozen=True)
class Spool:
    """The folder of received films: STUDY/SERIES/INSTANCE.dcm."""

    folder: Path

    @classmethod
    def open(cls, archive: Archive, folder: Path) -> Spool:
        """Make the folder, for its owner alone, and note that it holds received films. What a killed process had not
        acknowledged yet is deleted. Raises OSError."""
        folder = Path(os.path.abspath(folder))
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        shutil.rmtree(folder / _INCOMING, ignore_errors=True)
        private_files.make_folder(folder / _INCOMING)
        known = folders(archive)
        if str(folder) not in known:
            set_meta(archive.catalog, _KEY, json.dumps([*known, str(folder)]))
        return cls(folder)

    def has_room(self, size: int, floor: int) -> bool:
        """Tell whether `size` bytes more leave `floor` bytes of the disk free."""
        return shutil.disk_usage(self.folder).free - size >= floor

    def keep(self, meta: FileMetaDataset, dataset: bytes | memoryview) -> Path:
        """Write a film. When this returns it is on the disk, whatever happens then. Raises OSError, NotUnderstood,
        Mismatch."""
        part = self.folder / _INCOMING / uuid.uuid4().hex
        try:
            with private_files.create(part) as out:
                _write(out, meta, dataset)
                out.flush()
                os.fsync(out.fileno())
            place = self._place(part, str(meta.MediaStorageSOPInstanceUID))
            self._make_folders(place.parent)
            os.replace(part, place)
            _sync(place.parent)
        finally:
            part.unlink(missing_ok=True)
        return place

    def kept(self) -> list[Path]:
        """List the films that are kept here."""
        return _files(self.folder)

    def drop_forgotten(self, archive: Archive, paths: Sequence[Path]) -> None:
        """Delete of these files those that an index run turned away because they were forgotten on request."""
        scope = file_diff.open_scope(archive.catalog, self.folder)
        places = path_pseudonyms.places(archive.catalog, archive.patient_key(), scope)
        for path in paths:
            if places.known(path.relative_to(scope.root).as_posix()) is not None:
                path.unlink(missing_ok=True)

    def _place(self, written: Path, announced: str) -> Path:
        from pydicom import dcmread

        names = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # they can quote what the header says
                header = dcmread(written, stop_before_pixels=True, specific_tags=list(names))
                uids = [str(header.get(name, "")) for name in names]
        except Exception:
            raise NotUnderstood from None
        if not all(len(uid) <= 64 and _UID.fullmatch(uid) for uid in uids):
            raise NotUnderstood
        if uids[2] != announced:
            raise Mismatch
        return self.folder / uids[0] / uids[1] / f"{uids[2]}.dcm"

    def _make_folders(self, folder: Path) -> None:
        for level in (folder.parent, folder):
            try:
                level.mkdir(mode=0o700)
            except FileExistsError:
                continue
            _sync(level.parent)


def _files(folder: Path) -> list[Path]:
    return [path for path in folder.glob("*/*/*.dcm") if not path.is_relative_to(folder / _INCOMING)]


def _write(out: IO[bytes], meta: FileMetaDataset, dataset: bytes | memoryview) -> None:
    from pydicom.filewriter import write_file_meta_info

    out.write(b"\x00" * 128 + b"DICM")
    write_file_meta_info(out, meta)  # type: ignore[arg-type]
    out.write(dataset)


def _sync(folder: Path) -> None:
    """Write the folder to the disk: a name is there only when its folder is."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
