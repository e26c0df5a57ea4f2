"""What `make fuzz` has found, each as the smallest file that shows it."""

from __future__ import annotations

import io

import pydicom
import pytest
from filmroom.db.errors import Rejected
from filmroom.indexer.decoding.decode import decode_bytes
from pydicom.encaps import encapsulate, generate_frames

from tests.indexer.dicom_files import LOSSLESS, dicom, ramp


def with_stream(syntax: str, change: object) -> bytes:
    """A film of this syntax with its compressed stream changed."""
    film = pydicom.dcmread(io.BytesIO(dicom(ramp(), syntax=LOSSLESS[syntax])))
    stream = next(generate_frames(film.PixelData, number_of_frames=1))
    film.PixelData = encapsulate([change(stream)])  # type: ignore[operator]
    out = io.BytesIO()
    film.save_as(out)
    return out.getvalue()


FOUND = {
    # The decoder, in Rust, panics with what is no Exception, and took the worker with it.
    "RLE that lacks a byte": (with_stream("RLE", lambda data: data[:100] + data[101:]), "truncated or damaged pixels"),
}


@pytest.mark.parametrize("name", FOUND)
def test_found(name: str) -> None:
    data, reason = FOUND[name]
    with pytest.raises(Rejected) as caught:
        decode_bytes(data)
    assert caught.value.reason == reason
