"""Run something in a process of its own that is killed at a chosen call."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

import pytest


def killed_after(owner: Any, name: str, call: Callable[[], object], *, before: bool = False) -> None:
    """Kill a child process that does `call` when `owner.name` has returned, or `before` it begins."""
    child = os.fork()
    if child == 0:
        whole = getattr(owner, name)

        def fatal(*arguments: Any, **options: Any) -> None:
            if not before:
                whole(*arguments, **options)
            os.kill(os.getpid(), signal.SIGKILL)

        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(owner, name, fatal)
            try:
                call()
            finally:
                os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
