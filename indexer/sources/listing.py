"""List what there is to compare with the catalog: files of a folder by their paths below a root."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from filmroom.db.erasure.path_pseudonyms import ForgottenPaths
from filmroom.db.errors import Rejected
from filmroom.db.records import Scope
from filmroom.db.writes.file_diff import Seen
from filmroom.indexer.models.model_folder import sha256 as hash_file
from filmroom.indexer.sources.folder import list_folder
from filmroom.indexer.sources.source_file import Failure


def listed(
    scope: Scope, path: Path, archive: Path, failed: dict[str, Rejected], unreadable: list[str]
) -> Iterator[Seen]:
    """What lies below `path`, relative to the scope's root; notes what failed in the listing itself."""
    inside = "" if path.is_file() else f"{scope.prefix}/" if scope.prefix else ""
    if path.is_file() and "/" in scope.prefix:
        inside = scope.prefix.rpartition("/")[0] + "/"
    for one in list_folder(path, skip=[archive]):
        file = one.listed if isinstance(one, Failure) else one
        seen = Seen(inside + file.path if file.path != "." else scope.prefix, file.size, file.mtime_ns)
        if isinstance(one, Failure):
            failed[seen.path] = one.error
            if os.path.isdir(os.path.join(scope.root, seen.path)):
                unreadable.append(seen.path)
        yield seen


def as_stored(files: Iterable[Seen], places: ForgottenPaths, shown: dict[str, str]) -> Iterator[Seen]:
    """Files of forgotten films stand in the catalog by a digest; `shown` tells their paths by it."""
    for seen in files:
        stored = places.known(seen.path)
        if stored is not None:
            shown[stored] = seen.path
        yield seen if stored is None else replace(seen, path=stored)


def content_hash(scope: Scope, seen: Seen) -> str | None:
    """SHA-256 (hex) of a file of the scope; None where it cannot be read."""
    try:
        return hash_file(Path(scope.root, seen.path))
    except OSError:
        return None
