"""Hold what changed in a folder, so that a run looks at that alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from filmroom.db.errors import NotFound
from filmroom.db.records import Scope, SourceFile
from filmroom.indexer.sources.folder import list_folder


@dataclass(frozen=True)
class Changed:
    """Files and folders below `folder` that are new or changed, and paths where nothing is any more. What else is in
    the folder is not looked at. Links are left to a run over the whole folder, which sees where they lead."""

    folder: Path
    paths: tuple[Path, ...] = ()
    lost: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return str(self.folder)

    def listed(self, scope: Scope, archive: Path) -> Iterator[SourceFile]:
        """List what lies at the paths, relative to the scope's root, each file once; `archive` is passed over."""
        known: set[str] = set()
        for path in self.paths:
            if path.is_symlink():
                continue
            inside = _relative(scope, path if path.is_dir() else path.parent)
            try:
                for source in list_folder(path, skip=[archive]):
                    place = f"{inside}/{source.path}".removeprefix("/") if source.path != "." else inside
                    if place not in known:
                        known.add(place)
                        yield replace(source, root=scope.root, path=place)
            except NotFound:  # it went meanwhile: that is a change of its own
                continue

    def gone(self, scope: Scope) -> list[str]:
        """Return the paths where nothing is any more, relative to the scope's root."""
        return [_relative(scope, path) for path in self.lost if path != self.folder and not os.path.lexists(path)]


def _relative(scope: Scope, path: Path) -> str:
    inside = Path(os.path.relpath(path, scope.root)).as_posix()
    return "" if inside == "." else inside
