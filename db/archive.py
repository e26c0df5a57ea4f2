"""Open an archive on disk: the catalog, the key that makes patient keys, the cached indexes and the writer's lock."""

from __future__ import annotations

import os
import re
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.db.errors import BadInput, NotFound
from filmroom.db.files import writer_lock
from filmroom.db.files.writer_lock import Writer
from filmroom.db.postgresql import address
from filmroom.db.reads import summary
from filmroom.db.reads.summary import Glance
from filmroom.db.records import Run, RunState

if TYPE_CHECKING:
    from filmroom.db.catalog import Catalog


LOG = "index.log"
"""What a run that was started from a page printed, in the archive's folder; a fault names a path."""

_SCHEME = re.compile(r"[a-z][a-z0-9+.-]+:", re.IGNORECASE)
"""Of two letters at least: of one it is a drive."""

CHECKS = "checks"
"""The folder, in the archive's, of checks that run as processes of their own and of their results."""

FETCHED = "fetched-"
"""How the folders begin, in the archive's, of films that a run fetches from a server, whole as they are there."""

PICTURE_MEASURES = "picture-measures"
"""The folder, in the archive's, of what checks measured on thumbnails: a cache that goes when films are forgotten."""


@dataclass(frozen=True)
class Archive:
    folder: Path
    catalog: Catalog

    @classmethod
    def open(cls, folder: Path) -> Archive:
        """Return an archive that is there. Raises NotFound where it is not."""
        return cls(folder, _opened(catalog_file(folder), create=False))

    @classmethod
    def create(cls, folder: Path) -> Archive:
        """Return an archive, made if it is not there. Raises BadInput where it cannot be."""
        folder = folder_of(folder)
        try:
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        except OSError as error:
            raise BadInput(
                f"the archive folder cannot be made ({error.strerror})",
                where=folder,
                fix="Name another with --archive.",
            ) from error
        server = folder / address.FILE
        return cls(
            folder, _opened(catalog_file(folder) if server.is_file() else folder / "catalog.sqlite", create=True)
        )

    @property
    def vectors(self) -> Path:
        return self.folder / "vectors"

    def patient_key(self) -> bytes:
        """Return the secret of this archive's patient keys: 32 random bytes, readable by its owner alone."""
        path = self.folder / "patient.key"
        if not path.exists():
            self.catalog.check_key(None, path)
            import secrets

            temporary = path.with_name(f"patient.key.{os.getpid()}")
            with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
                out.write(secrets.token_bytes(32))
                out.flush()
                os.fsync(out.fileno())
            try:
                # A link never replaces: of two processes that make the key at once, one wins and both use it.
                os.link(temporary, path)
            except FileExistsError:
                pass
            except OSError:  # a file system without links, as removable disks have
                if not path.exists():
                    os.replace(temporary, path)
            finally:
                temporary.unlink(missing_ok=True)
        key = path.read_bytes()
        self.catalog.check_key(key, path)
        return key

    def writing(self, doing: str, *, alone: bool = False) -> AbstractContextManager[None]:
        """Hold the writer's lock of this archive. On a server several may hold it, unless one is to be `alone`.

        Raises ArchiveBusy, naming the holder, when there is one already; ArchiveReadOnly.
        """
        return self.catalog.working(doing, alone=alone)

    def writer(self) -> Writer | None:
        """Say who holds the writer's lock; None when nobody does."""
        return writer(self.folder)

    def worker(self, run: Run) -> Writer | None:
        """Say which process does a run that is under way; None where it is over."""
        if run.state is not RunState.RUNNING:
            return None
        at_work = _writers(self.folder)
        return next((holder for holder in at_work if holder.run in (run.id, None) and holder.pid == run.pid), None)


def folder_of(name: str | Path) -> Path:
    """Return the folder that the name of an archive means: of a PostgreSQL server's address, that of this client.

    Raises BadInput for any other address, which would be made as a folder; its scheme alone is shown, as the rest may
    hold a password.
    """
    if isinstance(name, str) and address.is_address(name):
        return address.folder_of(name)
    if scheme := _SCHEME.match(str(name)):
        raise BadInput(
            "an archive is a folder on this machine, and this is an address",
            where=scheme[0],
            fix="Name a folder, or postgresql://HOST/DATABASE; a folder with a colon in its name by its whole path.",
        )
    return Path(name)


def catalog_file(folder: Path) -> Path:
    """Say where the catalog of an archive is, or the address of its server. Raises NotFound where there is none,
    BadInput for an address."""
    server = folder_of(folder) / address.FILE
    if server.is_file():
        address.read(server)  # that it can be, and that its driver is here
        return server
    path = folder / "catalog.sqlite"
    if not path.is_file():
        raise NotFound(
            "there is no archive here",
            where=folder,
            fix="Make one with: filmroom index FOLDER (or filmroom demo), or name another with --archive.",
        )
    return path


def place_of(folder: Path) -> str:
    """Return what people call the archive: its folder, or the address of its server without a password."""
    server = folder / address.FILE
    return address.shown(address.parts(address.read(server))) if server.is_file() else str(folder)


def is_there(folder: Path) -> bool:
    """Tell whether there is a catalog, or the address of one."""
    return any((folder / name).is_file() for name in ("catalog.sqlite", address.FILE))


def glance(folder: Path) -> Glance:
    """Count what an archive holds. Raises NotFound, and sqlite3.Error where it is no catalog that can be read."""
    path = catalog_file(folder)
    if path.name != address.FILE:
        return summary.glance(path)
    from filmroom.db.postgresql.catalog import glance as glance_at_server

    return glance_at_server(path)


def _opened(path: Path, *, create: bool) -> Catalog:
    if path.name == address.FILE:
        from filmroom.db.postgresql.catalog import ServerCatalog

        return ServerCatalog.open(path, create=create)
    from filmroom.db.catalog import Catalog

    return Catalog.open(path)


def writer(folder: Path) -> Writer | None:
    """Say who holds the writer's lock of an archive, one of this machine first; None when nobody does."""
    return min(_writers(folder), key=lambda holder: bool(holder.host), default=None)


def _writers(folder: Path) -> list[Writer]:
    if not (folder / address.FILE).is_file():
        holder = writer_lock.writer(folder)
        return [] if holder is None else [holder]
    from filmroom.db.postgresql.catalog import writers

    return writers(folder / address.FILE)


def default_folder() -> Path:
    """Return `FILMROOM_ARCHIVE`, else the user's data folder. Raises BadInput where that is an address."""
    name = os.environ.get("FILMROOM_ARCHIVE")
    if name:
        return folder_of(name)
    from platformdirs import user_data_path

    return user_data_path("filmroom", appauthor=False) / "archive"
