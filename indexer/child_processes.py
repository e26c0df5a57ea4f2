"""Start Python processes that import nothing from the current folder.

An interpreter that is started with -c or -m has the current folder on its path, and that folder may hold whatever came
with the films: a `gdcm.py` beside them would run as the user. The standard library starts its fork server, its resource
tracker and its spawned processes in this way, and passes -P on only where the parent was given it.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager, nullcontext
from multiprocessing import context as contexts
from multiprocessing import resource_tracker
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any

from filmroom.indexer import main_script

NEEDS_MAIN = "needs_main"
"""Attribute of a process whose work is defined in the main script, and which therefore imports it."""

_VARIABLE = "PYTHONSAFEPATH"
_changing = threading.Lock()


@contextmanager
def safe_path() -> Iterator[None]:
    """Let the Python processes that are started within have a safe path, as by -P.

    The environment is what they inherit, and it is put back: a program that uses this one as a library may start
    scripts of its own.
    """
    with _changing:
        before = os.environ.get(_VARIABLE)
        os.environ[_VARIABLE] = "1"
        try:
            yield
        finally:
            if before is None:
                del os.environ[_VARIABLE]
            else:
                os.environ[_VARIABLE] = before


def context(method: str, *, preload: Sequence[str] = ()) -> BaseContext:
    """Return the context of multiprocessing for `method`, spawn or forkserver, whose processes have a safe path.

    They do not run the main script again, but for a process with the attribute NEEDS_MAIN.

    `preload` names modules that a fork server imports before it forks. A system without fork servers spawns.
    """
    if os.name == "posix":
        with safe_path():
            resource_tracker.ensure_running()  # started by the first lock or pipe otherwise, out of our hands
    if method == "forkserver" and method in multiprocessing.get_all_start_methods():
        served = _ForkServer()
        served.set_forkserver_preload(list(preload))
        return served
    return _Spawn()


def _main_script(process: BaseProcess) -> AbstractContextManager[None]:
    return nullcontext() if getattr(process, NEEDS_MAIN, False) else main_script.not_run_again()


class _SpawnedProcess(contexts.SpawnProcess):
    @staticmethod
    def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 (the name that multiprocessing calls)
        with safe_path(), _main_script(process_obj):
            return contexts.SpawnProcess._Popen(process_obj)


class _Spawn(contexts.SpawnContext):
    Process = _SpawnedProcess


if hasattr(contexts, "ForkServerContext"):

    class _ServedProcess(contexts.ForkServerProcess):
        @staticmethod
        def _Popen(process_obj: BaseProcess) -> Any:  # noqa: N802 (the name that multiprocessing calls)
            # The first process starts the server, and one that died is started again.
            with safe_path(), _main_script(process_obj):
                return contexts.ForkServerProcess._Popen(process_obj)

    class _ForkServer(contexts.ForkServerContext):
        Process = _ServedProcess
