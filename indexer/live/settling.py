"""Hold back what changes in folders until it has come to rest: a file that is being copied is no film yet."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass
from pathlib import Path

from filmroom.indexer.live.complete import is_complete
from filmroom.indexer.sources.folder import is_clutter

QUIET = 2.0
"""Seconds for which size and time of a file stay as they are before it is looked at."""

LOST_AFTER = 3 * QUIET
"""Seconds after which a path is believed to be empty: what was moved is found at its new place before."""

PATIENCE = 30.0
"""Seconds after which a file that ends too soon, and grows no more, is handed on all the same, to be rejected."""


@dataclass
class _Pending:
    """A file as it was last looked at, and since when it is so."""

    size: int
    mtime_ns: int
    since: float
    complete: bool | None = None


class Settling:
    """Paths that changed, on their way to be indexed. What is passed over in a folder is passed over here."""

    def __init__(
        self, folders: Collection[Path], skip: Collection[Path], clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._folders = folders
        self._skip = skip
        self._clock = clock
        self._files: dict[Path, _Pending] = {}
        self._new_folders: dict[Path, float] = {}
        self._lost: dict[Path, float] = {}

    def note(self, paths: Iterable[Path]) -> None:
        """Note that something happened at these paths: a file, a folder, or what was one."""
        now = self._clock()
        for path in paths:
            if self._is_passed_over(path):
                continue
            if path.is_dir():
                self._new_folders[path] = now
            elif os.path.lexists(path):
                self._lost.pop(path, None)
                self._look(path, now)
            else:
                self._forget(path)
                self._lost[path] = now

    def ready(self) -> tuple[list[Path], list[Path]]:
        """Take out the files that have come to rest, and the paths where nothing has been for as long."""
        now = self._clock()
        for folder in [path for path, since in self._new_folders.items() if now - since >= QUIET]:
            # A folder that was moved here tells nothing of its files, nor one of what came before it was watched.
            del self._new_folders[folder]
            for top, inside, names in os.walk(folder):
                inside[:] = [name for name in inside if not self._is_passed_over(Path(top, name))]
                for name in names:
                    if not self._is_passed_over(Path(top, name)):
                        self._look(Path(top, name), now)
        for path in list(self._files):
            self._look(path, now)
        files = [path for path, state in self._files.items() if self._is_settled(path, state, now)]
        for path in files:
            del self._files[path]
        lost = [path for path, since in self._lost.items() if now - since >= LOST_AFTER]
        for path in lost:
            del self._lost[path]
        return files, [path for path in lost if not os.path.lexists(path) and not _may_be_out_of_reach(path)]

    def back(self, files: Iterable[Path], lost: Iterable[Path]) -> None:
        """Take paths again that could not be worked on."""
        now = self._clock()
        for path in files:
            self._look(path, now)
        for path in lost:
            self._lost.setdefault(path, now)

    def drop(self, folder: Path) -> None:
        """Forget all below a folder that is away."""
        self._forget(folder)
        self._lost = {path: since for path, since in self._lost.items() if not path.is_relative_to(folder)}

    @property
    def waiting(self) -> int:
        return len(self._files) + len(self._new_folders) + len(self._lost)

    def _forget(self, above: Path) -> None:
        self._files = {path: state for path, state in self._files.items() if not path.is_relative_to(above)}
        self._new_folders = {path: since for path, since in self._new_folders.items() if not path.is_relative_to(above)}

    def _look(self, path: Path, now: float) -> None:
        try:
            facts = path.stat()
        except OSError:
            if self._files.pop(path, None) is not None and not os.path.lexists(path):
                self._lost.setdefault(path, now)
            return
        known = self._files.get(path)
        if known is None or (known.size, known.mtime_ns) != (facts.st_size, facts.st_mtime_ns):
            self._files[path] = _Pending(facts.st_size, facts.st_mtime_ns, now)

    def _is_settled(self, path: Path, state: _Pending, now: float) -> bool:
        quiet = now - state.since
        if quiet < QUIET:
            return False
        if state.complete is None:
            state.complete = state.size > 0 and is_complete(path)
        return state.complete or quiet >= PATIENCE

    def _is_passed_over(self, path: Path) -> bool:
        if any(path.is_relative_to(skipped) for skipped in self._skip):
            return True
        return any(
            any(is_clutter(part) for part in path.relative_to(folder).parts)
            for folder in self._folders
            if path.is_relative_to(folder)
        )


def _may_be_out_of_reach(path: Path) -> bool:
    """Tell whether what was at `path` may only be out of reach: the folder above has nothing in it at all, as the place
    of a disk that is no longer mounted has."""
    above = next(folder for folder in path.parents if folder.exists())
    try:
        with os.scandir(above) as entries:
            return next(entries, None) is None
    except OSError:
        return True
