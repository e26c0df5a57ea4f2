"""Options that several commands share, and what every command does with them. Imports nothing heavy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from db.archive import Archive

ArchiveOption = Annotated[
    Path | None,
    typer.Option("--archive", envvar="FILMROOM_ARCHIVE", metavar="DIR", help="The archive; default: your data folder."),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
ModelOption = Annotated[
    str | None,
    typer.Option("--model", metavar="NAME", help="A model's name or folder, or an open_clip architecture."),
]
WeightsOption = Annotated[
    Path | None, typer.Option("--weights", metavar="FILE", help="The checkpoint of an open_clip architecture.")
]
SourceOption = Annotated[
    str | None, typer.Option("--source", metavar="NAME", help="Where they come from; default: the file's name.")
]


def archive_folder(archive: Path | None) -> Path:
    """The folder named, else the default one."""
    from db.archive import default_folder

    return archive or default_folder()


def open_archive(archive: Path | None, *, create: bool = False) -> Archive:
    """Raises NotFound where there is none, unless it may be made."""
    from db.archive import Archive

    folder = archive_folder(archive)
    return Archive.create(folder) if create else Archive.open(folder)


def print_json(value: object) -> None:
    """One line; what JSON does not know is printed as text."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))
