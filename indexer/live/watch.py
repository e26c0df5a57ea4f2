"""Watch folders: what is new or changed in them is searchable within seconds."""

from __future__ import annotations

import os
import time
from collections.abc import Generator, Sequence
from contextlib import closing
from pathlib import Path

from filmroom.db.errors import BadInput
from filmroom.indexer.live.network_drives import is_network_drive
from filmroom.indexer.live.rounds import WHOLE_EVERY, Listener, Rounds
from filmroom.indexer.live.settling import Settling
from filmroom.indexer.sources.changed import Changed
from filmroom.indexer.sources.folder import check_there

STEP_MS = 500
POLL_MS = 2000

Identity = tuple[int, int] | None


class _NotWatched(Exception):
    """The system, or a look through the folders, does not tell of changes."""


def check_folders(folders: Sequence[Path]) -> list[Path]:
    """Return the folders by their whole paths, without those that lie in others. Raises NotFound, or BadInput for a
    file."""
    check_there(folders)
    if files := [path for path in folders if not path.is_dir()]:
        raise BadInput("only folders are watched", where=files[0], fix="Name the folder that it is in.")
    absolute = sorted({Path(os.path.abspath(path)) for path in folders})
    return [folder for folder in absolute if not any(other in folder.parents for other in absolute)]


def watch(rounds: Rounds, folders: Sequence[Path], listener: Listener, *, poll: bool = False) -> None:
    """Index folders, then what changes in them, until an interrupt (KeyboardInterrupt).

    A folder that goes away, or is another one all at once (a disk that was unmounted), takes nothing out of the
    archive; when it is back it is compared as a whole.
    """
    polled = poll or any(is_network_drive(folder) for folder in folders)
    if polled and not poll:
        listener.note("A network drive does not tell of changes: it is looked through again and again.")
    settling = Settling(folders, [Path(os.path.abspath(rounds.archive.folder))])
    identities: dict[Path, Identity] = {}
    while True:
        before, identities = identities, {folder: _identity(folder) for folder in folders}
        for folder in folders:
            if identities[folder] is None and before.get(folder):
                listener.note(f"{folder} is away; its films stay, and it is watched again when it is back.")
            elif identities[folder] and before and not before[folder]:
                listener.note(f"{folder} is back.")
        present = [folder for folder in folders if identities[folder] is not None]
        try:
            _watch_while_as_they_are(rounds, present, identities, settling, polled=polled)
        except _NotWatched as fault:
            if polled:
                raise BadInput(f"the folder cannot be watched ({fault})", where=present[0]) from None
            polled = True
            listener.note("The system watches no more folders (fs.inotify.max_user_watches): they are looked through.")


def _watch_while_as_they_are(
    rounds: Rounds, present: Sequence[Path], identities: dict[Path, Identity], settling: Settling, *, polled: bool
) -> None:
    """Return as soon as a folder goes, comes, or is another one."""
    due = 0.0
    with closing(_changes(present, polled=polled)) as changes:
        for changed in changes:
            if any(_identity(folder) != identity for folder, identity in identities.items()):
                for folder in identities:
                    if _identity(folder) != identities[folder]:
                        settling.drop(folder)
                return
            settling.note(changed)
            if not rounds.may_try or not present:
                continue
            if time.monotonic() >= due:
                # Only now, as what changes during it is told by the events.
                if rounds.take(present):
                    due = time.monotonic() + WHOLE_EVERY
                continue
            files, lost = settling.ready()
            sources = [Changed(folder, _below(folder, files), _below(folder, lost)) for folder in present]
            sources = [source for source in sources if source.paths or source.lost]
            if sources and not rounds.take(sources):
                settling.back(files, lost)


def _changes(folders: Sequence[Path], *, polled: bool) -> Generator[list[Path], None, None]:
    """Yield the paths at which something happened, twice a second, none where nothing did. Raises _NotWatched."""
    from watchfiles import watch as events

    if not folders:
        while True:
            yield []
            time.sleep(STEP_MS / 1000)
    try:
        for changes in events(
            *folders,
            watch_filter=None,
            rust_timeout=STEP_MS,
            yield_on_timeout=True,
            force_polling=polled,
            poll_delay_ms=POLL_MS,
            ignore_permission_denied=True,
        ):
            yield [Path(path) for _, path in changes]
    except OSError as fault:
        raise _NotWatched(fault.strerror) from fault


def _below(folder: Path, paths: Sequence[Path]) -> tuple[Path, ...]:
    return tuple(path for path in paths if path.is_relative_to(folder))


def _identity(folder: Path) -> Identity:
    """Say which folder it is, of which disk; None where there is none."""
    try:
        facts = folder.stat()
    except OSError:
        return None
    return facts.st_dev, facts.st_ino
