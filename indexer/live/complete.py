"""Tell a file that is written to its end from one that is still being copied."""

from __future__ import annotations

import struct
import warnings
from pathlib import Path
from typing import BinaryIO

_HEAD = 132
_TAIL = 4096
_PNG, _PNG_END = b"\x89PNG\r\n\x1a\n", b"IEND\xaeB`\x82"
_JPEG, _JPEG_END = b"\xff\xd8\xff", b"\xff\xd9"
_SEQUENCE_END = b"\xfe\xff\xdd\xe0"
"""(FFFE,E0DD), with which compressed pixels end (PS3.5 A.4): within the last bytes, as little follows them."""

_UNDEFINED = 0xFFFFFFFF
_LONG = (b"OB", b"OW", b"UN")


def is_complete(path: Path) -> bool:
    """Tell whether the file ends as its kind does. Kinds that do not tell, and what is damaged, pass: decoding finds
    out."""
    try:
        with path.open("rb") as file:
            size = file.seek(0, 2)
            file.seek(0)
            head = file.read(_HEAD)
            file.seek(max(0, size - _TAIL))
            tail = file.read()
            if head.startswith(_PNG):
                return _PNG_END in tail
            if head.startswith(_JPEG):
                return _JPEG_END in tail
            if head[128:] == b"DICM":
                file.seek(0)
                return _dicom_is_complete(file, size, tail)
            return size > 0
    except OSError:
        return False


def _dicom_is_complete(file: BinaryIO, size: int, tail: bytes) -> bool:
    from pydicom import dcmread

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # they can quote what the header says
            header = dcmread(file, stop_before_pixels=True, specific_tags=["Rows"])
    except Exception:
        return False
    syntax = header.file_meta.get("TransferSyntaxUID")
    if syntax is None or syntax.is_deflated:
        return syntax is not None
    element = file.read(12)
    if not element:
        return "Rows" not in header  # no pixels where there should be some: the header alone has come
    order = "<" if syntax.is_little_endian else ">"
    if len(element) < 12:
        return False
    # Tag and VR, then the length: behind two spare bytes where the VR is a long one (PS3.5 7.1.2).
    explicit = element[4:6] in _LONG
    length, start = (struct.unpack_from(f"{order}I", element, 8)[0], 12) if explicit else (
        struct.unpack_from(f"{order}I", element, 4)[0], 8,
    )  # fmt: skip
    if length == _UNDEFINED:
        return _SEQUENCE_END in tail
    return file.tell() - len(element) + start + int(length) <= size
