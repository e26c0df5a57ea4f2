"""Hold what changed in a folder, so that a run looks at that alone."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import NotFound, Rejected
from filmroom.db.records import Scope
from filmroom.db.writes.file_diff import Seen
from filmroom.indexer.sources.folder import list_folder
from filmroom.indexer.sources.source_file import Failure


@dataclass(frozen=True)
class Changed:
    """Files and folders below `folder` that are new or changed, and paths where nothing is any more. What else is in
    the folder is not looked at. Links are left to a run over the whole folder, which sees where they lead."""

    folder: Path
    paths: tuple[Path, ...] = ()
    lost: tuple[Path, ...] = ()

    def __str__(self) -> str:
        return str(self.folder)

    def listed(self, scope: Scope, archive: Path, failed: dict[str, Rejected]) -> Iterator[Seen]:
        """What lies at the paths, relative to the scope's root, each once; notes what failed in the listing itself."""
        known: set[str] = set()
        for path in self.paths:
            if path.is_symlink():
                continue
            inside = _relative(scope, path if path.is_dir() else path.parent)
            try:
                for one in list_folder(path, skip=[archive]):
                    file = one.listed if isinstance(one, Failure) else one
                    place = f"{inside}/{file.path}".removeprefix("/") if file.path != "." else inside
                    if place in known:
                        continue
                    known.add(place)
                    if isinstance(one, Failure):
                        failed[place] = one.error
                    yield Seen(place, file.size, file.mtime_ns)
            except NotFound:  # it went meanwhile: that is a change of its own
                continue

    def gone(self, scope: Scope) -> list[str]:
        """The paths where nothing is any more, relative to the scope's root."""
        return [_relative(scope, path) for path in self.lost if path != self.folder and not os.path.lexists(path)]


def _relative(scope: Scope, path: Path) -> str:
    found = Path(os.path.relpath(path, scope.root)).as_posix()
    return "" if found == "." else found
