"""Let Ctrl-C in between two steps of a run, not within one that a library does in native code.

An interrupt that broke into a step of OpenVINO, ONNX Runtime or FAISS left threads at work upon memory that Python then
freed, or a library half imported: some runs ended in a segmentation fault after they had said that they were stopped.
The same threads are why a process that was interrupted leaves at once, and takes nothing apart before.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

STOPPED = 130
"""The exit code of a program that was interrupted: 128 and the number of the signal, as shells have it."""


def listen(*, raising: bool) -> None:
    """Let Ctrl-C raise KeyboardInterrupt, or end the process. One that was started deaf to it stays so."""
    if signal.getsignal(signal.SIGINT) in (signal.SIG_DFL, signal.default_int_handler):
        signal.signal(signal.SIGINT, signal.default_int_handler if raising else signal.SIG_DFL)


class _Steps:
    """How deep the main thread is in such steps, and whether an interrupt has come that no caller has heard of yet."""

    depth = 0
    waiting = False


@contextmanager
def between_steps() -> Iterator[None]:
    """Let Ctrl-C and SIGTERM raise KeyboardInterrupt within, outside of `step` alone; a second one ends the process at
    once, as whatever was committed is safe. Does nothing in a thread, or where a program has a handler of its own."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.getsignal(signal.SIGINT)
    if before not in (signal.default_int_handler, signal.SIG_DFL):
        yield
        return
    _Steps.waiting = False
    signal.signal(signal.SIGINT, _interrupt)
    ending = signal.getsignal(signal.SIGTERM)
    if ending is signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt)  # how services and containers are stopped
    try:
        yield
    finally:
        _Steps.waiting = False
        signal.signal(signal.SIGINT, before)
        signal.signal(signal.SIGTERM, ending)


@contextmanager
def step() -> Iterator[None]:
    """Hold an interrupt back until the end of the block. Raises the one before it that nobody heard: Python drops what
    is raised where a finaliser happens to run."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _raise_what_waits()
    _Steps.depth += 1
    try:
        yield
    finally:
        _Steps.depth -= 1
        _raise_what_waits()


@contextmanager
def leaving() -> Iterator[None]:
    """Let an exit with the code STOPPED end the process at once. The interpreter's end would free what threads of
    libraries may be at work upon; other processes of ours end with their pipes to this one."""
    try:
        yield
    except SystemExit as end:
        if end.code != STOPPED:
            raise
        leave(STOPPED)


def leave(code: int) -> NoReturn:
    """End the process at once, with what it has printed."""
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):  # full, closed, or never there
            stream.flush()
    os._exit(code)


def _raise_what_waits() -> None:
    if not _Steps.depth and _Steps.waiting:
        _Steps.waiting = False
        raise KeyboardInterrupt


def _interrupt(number: int, frame: FrameType | None) -> None:
    signal.signal(number, signal.SIG_DFL)
    _Steps.waiting = True
    if not _Steps.depth:
        raise KeyboardInterrupt
