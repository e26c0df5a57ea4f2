"""Write an archive into one file, or bring one up to date: its catalog, its thumbnails and its key. Indexes are made
again when it is restored."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import stat
import tempfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.db import doctor
from filmroom.db.archive import Archive, folder_of
from filmroom.db.catalog import get_meta
from filmroom.db.errors import ArchiveDamaged, BadInput
from filmroom.db.files import backup_store, private_files, sqlite_file
from filmroom.db.thumbnails.file import NAME as THUMBNAILS
from filmroom.db.thumbnails.file import ThumbnailFile, key_of
from numpy.typing import NDArray

_CATALOG, _KEY = "catalog.sqlite", "patient.key"
_NAMES = (sorted([_CATALOG, _KEY]), sorted([_CATALOG, _KEY, THUMBNAILS]))
"""What is in a backup: an earlier version kept the thumbnails in the catalog."""

_RATIO = 20
"""Bytes of a catalog for one of a backup: more is a bomb. Our own backups are not compressed at all."""

_SLACK = 1 << 16
_END, _END_64 = 22, 76
"""Bytes of a zip's end record, and of the two that come before it where the file is large."""

_OF_THE_DISK = "lost+found"
"""What ext4 makes at the top of a disk, which is where a backup often goes."""

_UNFINISHED = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_READONLY)
_WRONG = (NotImplementedError, RuntimeError, ArchiveDamaged, backup_store.Damaged)


@dataclass(frozen=True)
class Copied:
    """What was written or restored."""

    films: int
    megabytes: float
    new_megabytes: float | None = None
    """Of a backup that was brought up to date."""


def backup(archive: Archive, target: Path) -> Copied:
    """Write all that cannot be made again into one new file, as of one instant, while others read and write; or bring
    the backup in a folder, which may be empty, up to date, by writing what is new.

    The file holds the archive's key, so it is its owner's alone (mode 0600). Raises BadInput where it cannot be
    written, ArchiveDamaged where the catalog is not whole.
    """
    if not archive.catalog.is_file:
        raise BadInput(
            "an archive on a server is backed up there",
            where=archive.catalog.place,
            fix=f"Use pg_dump, and keep {archive.folder / _KEY}; or first: filmroom copy ADDRESS DIR",
        )
    archive.patient_key()
    if target.is_dir():
        return _brought_up(archive, target)
    if target.exists():
        fix = "Name a new one, or a folder, whose backup is brought up to date."
        raise BadInput("there is a file of this name already", where=target, fix=fix)
    try:
        with tempfile.TemporaryDirectory(prefix=".filmroom-", dir=target.absolute().parent) as folder:
            copy = Path(folder, _CATALOG)
            sqlite_file.backup(archive.catalog.path, copy)
            films = _films(copy)
            # After the catalog: a picture that it means is here, or it has another since.
            pictures = archive.folder / THUMBNAILS
            if pictures.exists():
                sqlite_file.backup(pictures, Path(folder, THUMBNAILS))
            with private_files.aside(target) as (unfinished, out):
                # Stored as they are: thumbnails and vectors do not get smaller.
                with zipfile.ZipFile(out, "w", zipfile.ZIP_STORED) as packed:
                    packed.write(copy, _CATALOG)
                    if pictures.exists():
                        packed.write(Path(folder, THUMBNAILS), THUMBNAILS)
                    packed.write(archive.folder / _KEY, _KEY)
                out.flush()
                os.fsync(out.fileno())
                _put(unfinished, target)
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"the backup cannot be written ({reason})", where=target, fix="Name another place.") from error
    return Copied(films, _megabytes(target))


def _brought_up(archive: Archive, folder: Path) -> Copied:
    names = {path.name for path in folder.iterdir()}
    if names - {backup_store.NAME, f"{backup_store.NAME}-journal", _OF_THE_DISK}:
        fix = "Name an empty folder, or one that holds a backup alone."
        raise BadInput("there is something else in this folder", where=folder, fix=fix)
    try:
        with _catalog_copy(archive, folder if archive.catalog.read_only else archive.folder) as copy:
            films = _films(copy)
            archive_id = get_meta(archive.catalog, "archive_id") or ""
            key = (archive.folder / _KEY).read_bytes()
            pictures = ThumbnailFile(archive.folder / THUMBNAILS)
            written = backup_store.update(folder, archive_id, key, copy, _picture_keys(copy), pictures.read)
    except backup_store.Another as error:
        raise BadInput("holds the backup of another archive", where=folder, fix="Name another folder.") from error
    except backup_store.Damaged as error:
        raise BadInput("the backup in it is damaged", where=folder, fix="Name another folder.") from error
    except (OSError, sqlite3.OperationalError) as error:
        reason = getattr(error, "strerror", None) or error
        raise BadInput(f"the backup cannot be written ({reason})", where=folder, fix="Name another place.") from error
    return Copied(films, _megabytes(folder / backup_store.NAME), round(written / 2**20, 1))


@contextmanager
def _catalog_copy(archive: Archive, folder: Path) -> Iterator[Path]:
    """Keep a copy of the catalog, as of one instant, in `folder` while it is read. Raises BadInput where it cannot be
    written."""
    with ExitStack() as stack:
        try:
            place = stack.enter_context(tempfile.TemporaryDirectory(prefix=private_files.PREFIX, dir=folder))
            copy = Path(place, _CATALOG)
            sqlite_file.backup(archive.catalog.path, copy)
        except (OSError, sqlite3.OperationalError) as error:
            reason = getattr(error, "strerror", None) or error
            raise BadInput(
                f"the copy of the catalog that a backup is made of cannot be written ({reason})",
                where=folder,
                fix=f"Make room for {_megabytes(archive.catalog.path)} MB there; or name a new file for the backup, "
                "beside which the copy is made.",
            ) from error
        yield copy


def _picture_keys(catalog: Path) -> NDArray[np.int64]:
    """Return the keys of the pictures that a catalog means in the file beside it, ascending."""
    statement = "SELECT film_id, checksum FROM thumbnail WHERE webp = x'' AND checksum IS NOT NULL ORDER BY film_id"
    with closing(sqlite3.connect(catalog)) as connection:
        return np.fromiter((key_of(film, check) for film, check in connection.execute(statement)), np.int64)


def _put(unfinished: Path, target: Path) -> None:
    """Give the finished file its name, and write over nothing that came there meanwhile. Raises OSError."""
    try:
        os.link(unfinished, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links, as removable disks have
        os.replace(unfinished, target)


def restore(source: Path, folder: Path) -> Copied:
    """Make an archive of a backup in a folder that is new or empty, and its indexes.

    Raises BadInput where `source` is no backup, is damaged or of a newer version, or there is something in `folder`;
    nothing is left there then.
    """
    folder = folder_of(folder)
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput("there is something there already", where=folder, fix="Name a new folder.")
    if not os.path.lexists(source):
        raise BadInput("there is no backup here", where=source, fix="Name the file, or the folder, of a backup.")
    try:
        folder.absolute().parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=".filmroom-", dir=folder.absolute().parent) as beside:
            work = Path(beside, "archive")
            work.mkdir(mode=0o700)
            (_take_out if source.is_dir() else _unpack)(source, work)
            _films(work / _CATALOG)
            copied = _made_whole(work, source)
            if folder.exists():
                folder.rmdir()
            os.replace(work, folder)
            return copied
    except (zipfile.BadZipFile, zlib.error, EOFError, *_WRONG) as error:
        raise BadInput("is no Filmroom backup, or is damaged", where=source, fix="Use another backup.") from error
    except OSError as error:
        fix = f"See that the backup can be read, and that {folder} can be written and has room."
        raise BadInput(f"cannot be restored ({error.strerror or error})", where=source, fix=fix) from error


def _made_whole(folder: Path, source: Path) -> Copied:
    """Bring an older catalog up to date and make the indexes. Raises BadInput for one of a newer version."""
    try:
        archive = Archive.open(folder)
    except ArchiveDamaged as error:
        raise BadInput(error.what, where=source, fix=error.fix) from error
    films = doctor.repair(archive).films
    archive.catalog.close()
    return Copied(films, _megabytes(source / backup_store.NAME if source.is_dir() else source))


def _take_out(source: Path, folder: Path) -> None:
    """Write the files of a backup in a folder as they were, and no more than there is room for."""
    path = source / backup_store.NAME
    if not path.is_file():
        raise backup_store.Damaged
    if path.stat().st_size > shutil.disk_usage(folder).free:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    try:
        key = backup_store.unpack(path, folder / _CATALOG, ThumbnailFile(folder / THUMBNAILS).put)
    except sqlite3.OperationalError as error:
        if (getattr(error, "sqlite_errorcode", None) or 0) & 0xFF not in _UNFINISHED:
            raise backup_store.Damaged from error
        raise BadInput(
            "an update of this backup is under way, or was ended and cannot be undone as nothing may be written here",
            where=source,
            fix="Wait for it, or copy the folder to where it may be written.",
        ) from error
    private_files.write(folder / _KEY, key)


def _unpack(source: Path, folder: Path) -> None:
    """Unpack plain files of these names and no others, of no more than they say, and no more than there is room for."""
    _check_directory(source)
    with zipfile.ZipFile(source) as packed:
        if sorted(packed.namelist()) not in _NAMES:
            raise zipfile.BadZipFile
        for entry in packed.infolist():
            # A link's or a folder's mode, or a size that no catalog shrinks from (pictures and vectors hardly do).
            if entry.external_attr >> 16 and not stat.S_ISREG(entry.external_attr >> 16):
                raise zipfile.BadZipFile
            if entry.file_size > _RATIO * entry.compress_size + _SLACK or (
                entry.filename == _KEY and entry.file_size > _SLACK
            ):
                raise zipfile.BadZipFile
        if sum(entry.file_size for entry in packed.infolist()) > shutil.disk_usage(folder).free:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        for name in packed.namelist():
            with packed.open(name) as data, private_files.create(folder / name) as out:
                shutil.copyfileobj(data, out, 1 << 20)  # ends in BadZipFile where a checksum is wrong
                out.flush()
                os.fsync(out.fileno())


def _check_directory(source: Path) -> None:
    """Refuse a long list at the end of the file, which is read whole: that of a few files is short. PKWARE's APPNOTE,
    4.3.14 and 4.3.16."""
    with source.open("rb") as file:
        file.seek(max(0, source.stat().st_size - _END - _END_64))
        tail = file.read()
    end, end_64 = tail[-_END:], tail[:_END_64]
    if end[:4] != b"PK\5\6" or int.from_bytes(end[10:12], "little") not in map(len, _NAMES):
        raise zipfile.BadZipFile
    large = int.from_bytes(end_64[40:48], "little") if end_64[:4] == b"PK\6\6" else 0
    if max(int.from_bytes(end[12:16], "little"), large) > _SLACK:
        raise zipfile.BadZipFile


def _films(path: Path) -> int:
    """Return the films of a catalog that is whole. Raises ArchiveDamaged."""
    with closing(sqlite3.connect(path)) as connection:
        try:
            verdict = connection.execute("PRAGMA quick_check(1)").fetchone()[0]
            films = connection.execute("SELECT count(*) FROM film WHERE state = 'present'").fetchone()[0]
        except sqlite3.DatabaseError as error:
            raise ArchiveDamaged("the catalog is damaged", where=path, fix="Restore a backup.") from error
    if verdict != "ok":
        raise ArchiveDamaged(f"the catalog is damaged: {verdict}", where=path, fix="Restore a backup.")
    return int(films)


def _megabytes(path: Path) -> float:
    return round(path.stat().st_size / 2**20, 1)
