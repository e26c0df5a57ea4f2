"""Run a model's program in processes with as little as the system lets us take away.

No file can be written or made longer (a limit on the size of files), no variable of the environment is known but what
the libraries need, and there is no network where the system lets a process do without (Linux, user namespaces).
docs/security.md says what is left.
"""

from __future__ import annotations

import ctypes
import os
import sys
import tempfile
from collections.abc import Iterable
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from importlib import import_module
from pathlib import Path
from typing import Any

from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.child_processes import context

_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_KEPT = ("CUDA", "LC_", "LD_", "NVIDIA", "OMP_", "PYTHON", "TF_", "XLA_")
_KEPT_NAMES = frozenset({"LANG", "PATH", "SYSTEMROOT", "TEMP", "TMP", "TMPDIR"})


class Confined:
    """`count` processes, each with the object that `module`.`made_by`(folder) gives, whose methods are called there."""

    def __init__(self, module: str, made_by: str, folder: Path, *, count: int = 1, threads: int | None = None) -> None:
        self.count = count
        self._folder = folder
        self._pool = ProcessPoolExecutor(
            count,
            mp_context=context("spawn"),
            initializer=_start,
            initargs=(module, made_by, folder.resolve(), threads),
        )

    def call(self, method: str, *arguments: Any) -> Any:
        """Return the answer of a method. Raises what it raises, and ModelUnavailable where its process ends."""
        (answer,) = self.each(method, [arguments])
        return answer

    def each(self, method: str, several: Iterable[tuple[Any, ...]]) -> list[Any]:
        """Return the answers to several calls, side by side, in their order."""
        try:
            waiting = [self._pool.submit(_call, method, arguments) for arguments in several]
            return [future.result() for future in waiting]
        except BrokenProcessPool:
            raise ModelUnavailable(
                "a process of this model ended, most likely for want of memory",
                where=self._folder,
                fix="Close other programs and run it again: what was done is kept.",
            ) from None


_MADE: Any = None
_MAKING: tuple[str, str, Path]


def _start(module: str, made_by: str, folder: Path, threads: int | None) -> None:
    """Confine such a process at its beginning: before numpy and TensorFlow, whose threads would stay outside."""
    global _MAKING
    confine()
    if threads is not None:
        os.environ["OMP_NUM_THREADS"] = os.environ["TF_NUM_INTRAOP_THREADS"] = str(threads)
        os.environ["TF_NUM_INTEROP_THREADS"] = str(threads)
    _MAKING = module, made_by, folder


def _call(method: str, arguments: tuple[Any, ...]) -> Any:
    global _MADE
    if _MADE is None:
        module, made_by, folder = _MAKING
        _MADE = getattr(import_module(module), made_by)(folder)
    return getattr(_MADE, method)(*arguments)


def confine() -> None:
    """Take from this process, for good, what a model has no need of."""
    for name in list(os.environ):
        if name not in _KEPT_NAMES and not name.startswith(_KEPT):
            del os.environ[name]
    sys.dont_write_bytecode = True
    tempfile.gettempdir()  # is tried by writing a file, and remembered: libraries ask for it
    os.chdir(os.path.abspath(os.sep))
    if os.name != "posix":
        return
    import resource

    for limit in (resource.RLIMIT_FSIZE, resource.RLIMIT_CORE):
        resource.setrlimit(limit, (0, 0))
    if sys.platform == "linux":
        system = ctypes.CDLL(None, use_errno=True)
        # As root as it is, else as a user of a namespace of its own; containers may refuse both.
        _ = system.unshare(_NEW_NETWORK) == 0 or system.unshare(_NEW_USER | _NEW_NETWORK) == 0
