"""Share what commands need that stay and index: a model that is loaded once, lines to print, a way to be stopped."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import print_json
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.db.archive import Archive
    from filmroom.indexer.live.rounds import Listener, Rounds
    from filmroom.indexer.pipeline import Summary


def lines(*, as_json: bool) -> Listener:
    """Print a line for each run that changed something, as JSON where it is asked for; notes go to stderr then."""
    from filmroom.indexer.live.rounds import Listener

    return Listener(run=_json if as_json else _line, note=lambda text: say(text, err=as_json))


def rounds_of(
    archive: Archive,
    listener: Listener,
    *,
    model: str | None,
    weights: Path | None,
    workers: int | None,
    any_modality: bool,
) -> Rounds:
    """Load the model, and treat UIDs as the archive does."""
    from filmroom.db.catalog import get_meta
    from filmroom.indexer.live.rounds import Rounds
    from filmroom.indexer.models.registry import DEFAULT_MODEL, add_model, load_towers
    from filmroom.indexer.pipeline import Options

    towers = load_towers(model or DEFAULT_MODEL, weights=weights)
    if model and Path(model).is_dir():
        add_model(model)  # later searches name no folder: the archive must find its model again
    hashed = get_meta(archive.catalog, "hash_uids") == "yes"
    return Rounds(archive, towers, Options(workers=workers, any_modality=any_modality, hash_uids=hashed), listener)


@contextmanager
def until_stopped(archive: Archive, task: str, doing: str) -> Iterator[None]:
    """Hold the place of the one that does the task. Ctrl-C and `kill` end it between two steps, and as a success."""
    from filmroom.db.files.standing import announced
    from filmroom.indexer import interrupts

    def interrupt(number: int, frame: FrameType | None) -> None:
        as_typed = signal.getsignal(signal.SIGINT)
        if not callable(as_typed):  # a shell makes what it starts in the background deaf to Ctrl-C
            raise KeyboardInterrupt
        as_typed(number, frame)

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        with announced(archive.folder, task, doing):
            yield
    except KeyboardInterrupt:
        say("Stopped. What was indexed is kept.", err=True)
        interrupts.leave(0)
    finally:
        signal.signal(signal.SIGTERM, before)


def _line(done: Summary) -> None:
    counts = done.counts
    parts: list[tuple[int, Callable[[int], str]]] = [
        (counts.indexed, lambda count: f"{counted(count, 'film')} indexed"),
        (counts.duplicate, lambda count: counted(count, "duplicate")),
        (counts.rejected, lambda count: f"{count:,} rejected"),
        (counts.gone, lambda count: f"{count:,} gone"),
    ]
    summary = ", ".join(words(count) for count, words in parts if count)
    say(f"{time.strftime('%H:%M:%S')}  {summary} ({done.seconds:.1f} s)")


def _json(done: Summary) -> None:
    print_json(asdict(done.counts) | {"seconds": round(done.seconds, 3)})
