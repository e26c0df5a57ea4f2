"""Count in English."""

from __future__ import annotations

from collections.abc import Sequence


def number(count: int, *, thousands: str = ",") -> str:
    """Write a count with `thousands` between the thousands."""
    return f"{count:,}".replace(",", thousands)


def counted(count: int, singular: str, many: str | None = None, *, thousands: str = ",") -> str:
    """Return `1 film`, `2,000 films`; `many` where it is not `one` with an s."""
    return f"1 {singular}" if count == 1 else f"{number(count, thousands=thousands)} {many or singular + 's'}"


def some_of(names: Sequence[str], most: int = 12) -> str:
    """Name the first of some things, and say how many more there are."""
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {number(rest)} more" if rest > 0 else "")
