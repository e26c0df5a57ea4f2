"""Start processes that leave the script which began it all alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import spawn
from multiprocessing.reduction import ForkingPickler
from typing import Any

_changing = threading.Lock()
_MAIN = ("init_main_from_name", "init_main_from_path")


def defines(work: object) -> bool:
    """Return True where something that `work` is pickled from stands in the main script."""
    return b"__main__" in bytes(ForkingPickler.dumps(work))


@contextmanager
def not_run_again() -> Iterator[None]:
    """Let the processes that this thread starts within do without the main script.

    The standard library runs the script again in every process that it spawns, so that functions of the script can be
    found there. A script that indexes and has no `if __name__ == "__main__"` would index in each of its own workers,
    which need nothing of it.
    """
    thread = threading.get_ident()

    def without_main(name: str) -> dict[str, Any]:
        preparation: dict[str, Any] = of_library(name)
        return {key: preparation[key] for key in preparation if threading.get_ident() != thread or key not in _MAIN}

    with _changing:
        of_library = spawn.get_preparation_data
        spawn.get_preparation_data = without_main
        try:
            yield
        finally:
            spawn.get_preparation_data = of_library
