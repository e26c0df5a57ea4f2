"""Cutting a long list into statements that SQLite accepts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from typing import TypeVar

T = TypeVar("T")

SIZE = 900
"""Below SQLite's smallest limit on bound values."""


def chunked(items: Iterable[T], size: int = SIZE) -> Iterator[list[T]]:
    iterator = iter(items)
    while some := list(islice(iterator, size)):
        yield some
