"""Counts in English."""

from __future__ import annotations


def counted(count: int, one: str, many: str | None = None) -> str:
    """`1 film`, `2,000 films`; `many` where it is not `one` with an s."""
    return f"1 {one}" if count == 1 else f"{count:,} {many or one + 's'}"
