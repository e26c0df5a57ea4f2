"""Index what came, again and again, with one model that stays loaded."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from filmroom.db.archive import Archive
from filmroom.db.errors import ArchiveBusy, FilmroomError
from filmroom.indexer.models.base import Towers
from filmroom.indexer.pipeline import Options, Source, Summary, index

RETRY = 5.0
"""Seconds until a run is tried again that could not be made."""

WHOLE_EVERY = 3600.0
"""Seconds between two comparisons of whole folders: they find what no event told, and save the search index."""


@dataclass(frozen=True)
class Listener:
    """What a loop hands out: a run that changed something, and lines for a person."""

    run: Callable[[Summary], None]
    note: Callable[[str], None]


class Rounds:
    """Runs over what came. While another process writes to the archive, or the run fails, it is tried again later."""

    def __init__(self, archive: Archive, towers: Towers, options: Options, listener: Listener) -> None:
        self.archive = archive
        self._towers = towers
        self._options = options
        self._listener = listener
        self._not_before = 0.0
        self._complaint = ""

    @property
    def may_try(self) -> bool:
        return time.monotonic() >= self._not_before

    def take(self, sources: Sequence[Source]) -> bool:
        """Index sources. False where it could not be done: it is to be tried again when `may_try`. Raises
        KeyboardInterrupt where the run was interrupted; what it committed is kept."""
        try:
            done = index(self.archive, sources, self._towers, options=self._options)
        except (FilmroomError, OSError) as error:
            words = _in_words(error)
            if words != self._complaint:
                self._listener.note(words)
            self._complaint = words
            self._not_before = time.monotonic() + RETRY
            return False
        self._complaint = ""
        counts = done.counts
        if counts.indexed or counts.rejected or counts.duplicate or counts.gone:
            self._listener.run(done)
        if done.stopped:
            raise KeyboardInterrupt
        return True


def _in_words(error: FilmroomError | OSError) -> str:
    if isinstance(error, ArchiveBusy):
        return "waiting for another process"
    if isinstance(error, FilmroomError):
        return str(error)
    # By its kind alone: the path that it names can hold a name.
    return f"the run broke off ({error.strerror or type(error).__name__}); it is tried again"
