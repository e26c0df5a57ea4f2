"""List files of a folder as the catalog knows them: by their paths below a root."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from filmroom.db.records import Scope, SourceFile
from filmroom.indexer.models.model_folder import sha256 as hash_file
from filmroom.indexer.sources.folder import list_folder


def listed(scope: Scope, path: Path, archive: Path) -> Iterator[SourceFile]:
    """List what lies below `path`, relative to the scope's root; `archive` is passed over."""
    inside = "" if path.is_file() else f"{scope.prefix}/" if scope.prefix else ""
    if path.is_file() and "/" in scope.prefix:
        inside = scope.prefix.rpartition("/")[0] + "/"
    for source in list_folder(path, skip=[archive]):
        below_root = inside + source.path if source.path != "." else scope.prefix
        as_is = source.root == scope.root and source.path == below_root  # most often, and a copy has its price
        yield source if as_is else replace(source, root=scope.root, path=below_root)


def passed_over(scope: Scope, path: Path, archive: Path) -> list[str]:
    """Return the archive's place, relative to the scope's root, where `listed` came by it: of the files in it, received
    ones, nothing is told."""
    place = Path(os.path.relpath(os.path.realpath(archive), os.path.realpath(path)))
    if place == Path() or ".." in place.parts:
        return []
    return [f"{scope.prefix}/{place.as_posix()}".removeprefix("/")]


def content_hash(source: SourceFile) -> str | None:
    """Compute the SHA-256 (hex) of a file; None where it cannot be read."""
    try:
        return hash_file(source.location)
    except OSError:
        return None
