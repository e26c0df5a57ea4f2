"""List the files of a folder, each exactly once."""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Iterable, Iterator
from dataclasses import replace
from pathlib import Path

from filmroom.db.errors import NotFound
from filmroom.db.records import SourceFile
from filmroom.indexer.decoding.rejections import Refusal

_CLUTTER = frozenset({"thumbs.db", "desktop.ini", "__macosx"})


def check_there(paths: Iterable[Path]) -> None:
    """Raise NotFound for the first of the paths that is not there."""
    for path in paths:
        if not path.exists():
            raise NotFound(
                "there is nothing to index here", where=path, fix="Check the path, and that its disk is there."
            )


def list_folder(root: Path, *, skip: Collection[Path] = ()) -> Iterator[SourceFile]:
    """List every file below `root` in the order of the names, or `root` itself where it is a file.

    Extensions are not looked at: content decides later. Hidden names (a leading dot) and what file managers
    leave behind are passed over, and so are the folders in `skip` (an archive that lies in its own source).
    A link to a file within `root` is listed as a file; a link to a folder within `root` is not, as that folder is
    listed where it is, so there are no loops. What cannot be indexed by its kind (pipe, socket, device, a link out
    of `root`, a folder that may not be read) comes with the reason
    in `rejected`.

    Raises NotFound where there is no `root`.
    """
    check_there([root])
    top = os.path.realpath(root)
    if not os.path.isdir(top):
        # Named by the person, so that a link is followed wherever it leads, under its own name.
        folder, name = os.path.split(os.path.abspath(root))
        facts = os.stat(top)
        if stat.S_ISREG(facts.st_mode):
            yield SourceFile(folder, name, facts.st_size, facts.st_mtime_ns)
        else:
            yield _fail(folder, name, Refusal.NOT_A_FILE)
        return
    left_out = {os.path.realpath(path) for path in skip}
    waiting = [""]
    while waiting:
        folder = waiting.pop()
        try:
            with os.scandir(os.path.join(top, folder)) as listing:
                entries = sorted(listing, key=lambda entry: entry.name)
        except OSError:
            yield replace(_fail(top, folder or ".", Refusal.UNREADABLE), is_folder=True)
            continue
        folders = []
        for entry in entries:
            if is_clutter(entry.name):
                continue
            path = f"{folder}/{entry.name}" if folder else entry.name
            if entry.is_symlink():
                if (seen := _follow(top, path)) is not None:
                    yield seen
            elif not entry.is_dir(follow_symlinks=False):
                yield _look(top, path, entry.path)
            elif entry.path not in left_out:
                folders.append(path)
        waiting.extend(reversed(folders))


def is_clutter(name: str) -> bool:
    """Tell whether a file or folder is passed over: hidden, or left behind by a file manager."""
    return name.startswith(".") or name.lower() in _CLUTTER


def _follow(top: str, path: str) -> SourceFile | None:
    """Return what the link at `path` means; None for a folder within `top`, which is listed at its own place."""
    target = os.path.realpath(os.path.join(top, path))
    if not os.path.exists(target):
        return _fail(top, path, Refusal.LINK_BROKEN)
    if target != top and not target.startswith(top.rstrip(os.sep) + os.sep):
        return replace(_fail(top, path, Refusal.LINK_OUT), is_folder=os.path.isdir(target))
    if os.path.isdir(target):
        return None
    return _look(top, path, target)


def _look(top: str, path: str, where: str) -> SourceFile:
    try:
        facts = os.stat(where)
    except OSError:
        return _fail(top, path, Refusal.UNREADABLE)
    if not stat.S_ISREG(facts.st_mode):
        return _fail(top, path, Refusal.NOT_A_FILE)
    return SourceFile(top, path, facts.st_size, facts.st_mtime_ns)


def _fail(top: str, path: str, refusal: Refusal) -> SourceFile:
    return SourceFile(top, path, 0, 0, rejected=refusal.error())
