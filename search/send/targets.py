"""Send documents to a server, by STOW-RS, or to a folder."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.files import private_files
from filmroom.indexer.sources.credentials import read_credentials
from filmroom.indexer.sources.dicomweb import Connection, Server, is_address


class Target(Protocol):
    """A place for documents. `server` is None for a folder."""

    @property
    def server(self) -> Connection | None: ...

    def check(self) -> None:
        """Raise FilmroomError where nothing can be sent there."""

    def documents_there(self, study: str) -> set[str]:
        """Return the SOP Instance UIDs of a study that are there."""

    def deliver(self, documents: Sequence[Any]) -> dict[str, int]:
        """Send documents of one study; gives those refused, by UID, with the code of the reason."""


def target_of(text: str, credentials: Path | None = None) -> Target:
    """Tell the address of a server from a folder. Raises BadInput for an address of another kind."""
    if is_address(text):
        return ToServer(Server(text, read_credentials(credentials)).open())
    if "://" in text:
        raise BadInput(
            "documents go to a DICOMweb server or a folder", where=text, fix="Write https://HOST/dicom-web, or a path."
        )
    if credentials:
        raise BadInput("--credentials are for a server", fix="Leave them out, or name one: --to https://HOST/dicom-web")
    return ToFolder(Path(text))


@dataclass(frozen=True)
class ToServer:
    server: Connection

    def check(self) -> None:
        self.server.check()

    def documents_there(self, study: str) -> set[str]:
        return self.server.instances(study)

    def deliver(self, documents: Sequence[Any]) -> dict[str, int]:
        return self.server.store(documents)


@dataclass(frozen=True)
class ToFolder:
    folder: Path
    server: None = None

    def check(self) -> None:
        if self.folder.exists() and not self.folder.is_dir():
            raise BadInput("this is not a folder", where=self.folder, fix="Name a folder, new or old.")

    def documents_there(self, study: str) -> set[str]:
        return {path.stem for path in self.folder.glob("*.dcm")} if self.folder.is_dir() else set()

    def deliver(self, documents: Sequence[Any]) -> dict[str, int]:
        """Write files of mode 0600, which have their names when they are whole."""
        try:
            private_files.make_folder(self.folder)
            for document in documents:
                target = self.folder / f"{document.SOPInstanceUID}.dcm"
                with private_files.aside(target) as (path, out):
                    document.save_as(out, enforce_file_format=True)
                    out.flush()
                    path.replace(target)
        except OSError as fault:
            raise FilmroomError(
                f"the documents cannot be written ({fault.strerror})", where=self.folder, fix="Check the folder."
            ) from None
        return {}
