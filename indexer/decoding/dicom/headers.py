"""A header with some elements set otherwise."""

from __future__ import annotations

from typing import Any

from pydicom.dataset import Dataset


def altered(header: Dataset, **elements: Any) -> Dataset:
    """Copy a header and set elements in the copy alone: pydicom's own copies share their elements."""
    copied = header[:]
    if hasattr(header, "file_meta"):
        copied.file_meta = header.file_meta
    for keyword, value in elements.items():
        if keyword in copied:
            delattr(copied, keyword)  # else the element that both have would get the value
        setattr(copied, keyword, value)
    return copied
