"""Ctrl-C between two steps of a run, not within one that a library does in native code.

An interrupt that broke into a step of OpenVINO, ONNX Runtime or FAISS left threads at work upon memory that Python then
freed, or a library half imported: some runs ended in a segmentation fault after they had said that they were stopped.
"""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


class _Steps:
    """How deep the main thread is in such steps, and whether an interrupt waits for their end."""

    depth = 0
    waiting = False


@contextmanager
def between_steps() -> Iterator[None]:
    """Lets Ctrl-C raise KeyboardInterrupt within, outside of `step` alone; a second one ends the process at once, as
    whatever was committed is safe. Does nothing in a thread, or where a program has a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before not in (signal.default_int_handler, signal.SIG_DFL):
        yield
        return
    signal.signal(signal.SIGINT, _interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


@contextmanager
def step() -> Iterator[None]:
    """Holds an interrupt back until the end of the block."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _Steps.depth += 1
    try:
        yield
    finally:
        _Steps.depth -= 1
        if not _Steps.depth and _Steps.waiting:
            _Steps.waiting = False
            raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    if not _Steps.depth:
        raise KeyboardInterrupt
    _Steps.waiting = True
