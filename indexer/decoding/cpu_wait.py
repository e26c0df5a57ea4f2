"""Measure how long a process stood ready and got no CPU: on a busy machine that is no fault of the file it decodes."""

from __future__ import annotations

MOST = 9
"""Waiting is forgiven up to so many times the limit, so that what hangs ends in any case."""


def seconds_waited(pid: int | None) -> float:
    """Return the seconds since its start in which the process could have run and others did; 0 where the system (Linux
    alone does) does not say."""
    try:
        with open(f"/proc/{pid}/schedstat", encoding="ascii") as file:
            return int(file.read().split()[1]) / 1e9
    except (OSError, ValueError, IndexError):
        return 0.0
