"""Lay out a data set as TFRecord files of tf.train.Example, as CXR Foundation reads them: image/encoded, image/format.

Written without TensorFlow. A record is its length, the masked CRC-32C of that, the data, and its masked CRC-32C; an
Example is a map of names to lists (tensorflow/core/example/feature.proto), in the wire format of protocol buffers.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

from filmroom.db.errors import MissingExtra
from filmroom.search.export.dataset.record import Record, Records

SHARD = 512
"""Films a file."""

_BYTES, _FLOAT, _INT64 = 1, 2, 3

Value = bytes | list[bytes] | int | float


def checksum() -> Callable[[bytes], int]:
    """Compute CRC-32C. Raises MissingExtra."""
    try:
        from google_crc32c import value
    except ImportError:
        raise MissingExtra("TFRecord export", extra="tfrecord") from None
    crc32c: Callable[[bytes], int] = value
    return crc32c


def write(folder: Path, records: Records, pictures: Path) -> None:
    """Write SPLIT-00000.tfrecord, ... (films-00000.tfrecord without a split), each of at most SHARD films, whose PNG
    files lie in `pictures`."""
    crc = checksum()
    for split, split_records in records.by_split():
        for number, shard in enumerate(_shards(split_records)):
            with (folder / f"{split or 'films'}-{number:05}.tfrecord").open("wb") as out:
                for record in shard:
                    out.write(framed(example(_features(record, pictures)), crc))


def _features(record: Record, pictures: Path) -> dict[str, Value]:
    facts = {
        f"film/{name}": value if isinstance(value, int) else str(value).encode()
        for name, value in record.facts.items()
        if value is not None
    }
    return {
        "image/encoded": (pictures / record.file).read_bytes(),
        "image/format": b"png",
        "image/id": str(record.id).encode(),
        "image/width": record.width,
        "image/height": record.height,
        "image/class/text": [name.encode() for name in record.present],
        **facts,
    }


def example(features: Mapping[str, Value]) -> bytes:
    """Write a tf.train.Example with bytes, whole numbers and floats."""
    entries = [_field(1, name.encode()) + _field(2, _feature(value)) for name, value in features.items()]
    return _field(1, b"".join(_field(1, entry) for entry in entries))


def framed(data: bytes, crc: Callable[[bytes], int]) -> bytes:
    """Write a record of a TFRecord file."""

    def masked(data: bytes) -> bytes:
        value = crc(data)
        return struct.pack("<I", (((value >> 15) | (value << 17)) + 0xA282EAD8) & 0xFFFFFFFF)

    length = struct.pack("<Q", len(data))
    return length + masked(length) + data + masked(data)


def _feature(value: Value) -> bytes:
    if isinstance(value, int):
        return _field(_INT64, _field(1, _varint(value)))
    if isinstance(value, float):
        return _field(_FLOAT, _field(1, struct.pack("<f", value)))
    return _field(_BYTES, b"".join(_field(1, entry) for entry in ([value] if isinstance(value, bytes) else value)))


def _field(number: int, data: bytes) -> bytes:
    """Return a field of wire type 2: its number, its length, its bytes."""
    return _varint(number << 3 | 2) + _varint(len(data)) + data


def _varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def _shards(records: Iterator[Record]) -> Iterator[Iterator[Record]]:
    for first in records:

        def shard(first: Record = first) -> Iterator[Record]:
            yield first
            for _ in range(SHARD - 1):
                following = next(records, None)
                if following is None:
                    return
                yield following

        yield shard()
