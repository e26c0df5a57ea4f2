"""Read paths as the names of films are compared: in composed Unicode, by their parts, without a picture's suffix."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

_PICTURES = re.compile(r"(?<=.)\.(?:png|jpe?g|dcm|dicom|tiff?|bmp|webp)$", re.IGNORECASE)


def parts_of(path: str) -> list[str]:
    """Return folders and file name; what only says where one stands (`.`, `..`) is no part."""
    return [part for part in unicodedata.normalize("NFC", path).split("/") if part not in {"", ".", ".."}]


def without_suffix(name: str) -> str:
    """Return a path or file name without a picture's suffix; the last part of a UID is none."""
    return _PICTURES.sub("", name)


def tail_of(path: str) -> bytes:
    """Return a path from its end: the file name without a picture's suffix, then its folders, the nearest first, each
    closed by a slash. Paths that end alike begin alike here, so that an index finds them."""
    *folders, file = parts_of(path) or [""]
    return tail(folders, without_suffix(file))


def tail(folders: Sequence[str], stem: str) -> bytes:
    """Return the tail of the paths of this file name in these folders."""
    text = "".join(f"{part}/" for part in (stem, *reversed(folders)))
    return text.encode("utf-8", "surrogatepass")  # of bytes that are no UTF-8, and of names that no file can have
