"""The most memory that any process begun by this one has held."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def watched() -> Iterator[list[int]]:
    """Yields a list whose only entry is, in the end, the largest resident size seen, in bytes (0 without /proc)."""
    peak, stop = [0], threading.Event()

    def look() -> None:
        while not stop.wait(0.05):
            peak[0] = max([peak[0], *map(_resident, _below(os.getpid()))])

    looking = threading.Thread(target=look, daemon=True)
    looking.start()
    try:
        yield peak
    finally:
        stop.set()
        looking.join()


def _below(pid: int) -> Iterator[int]:
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        try:
            children = [int(child) for child in task.read_text().split()]
        except OSError:
            continue
        for child in children:
            yield child
            yield from _below(child)


def _resident(pid: int) -> int:
    """The high-water mark, which a look every now and then cannot miss."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) << 10 for line in lines if line.startswith("VmHWM")), 0)
