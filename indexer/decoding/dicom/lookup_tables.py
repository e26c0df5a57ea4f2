"""Read lookup tables (PS3.3 C.11.1 and C.11.2) and numbers of a header as files write them, not only as they should."""

from __future__ import annotations

import math

import numpy as np
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

TABLES = ("ModalityLUTSequence", "VOILUTSequence")


def is_packed(item: Dataset) -> bool:
    """Tell whether entries of 8 bits lie two in a word, which the length of the data alone says."""
    return isinstance(item.LUTData, bytes) and len(item.LUTData) < 2 * (item.LUTDescriptor[0] or 1 << 16)


def plain_table(item: Dataset, header: Dataset) -> Dataset:
    """Copy a Modality or VOI LUT item so that its entries are 16-bit numbers, whatever its descriptor claims of them.

    Raises ValueError where the data hold fewer entries than promised.
    """
    count, first, _ = item.LUTDescriptor
    count = count or 1 << 16
    if isinstance(item.LUTData, bytes):
        little = header.file_meta.TransferSyntaxUID.is_little_endian
        words = np.frombuffer(item.LUTData[: len(item.LUTData) // 2 * 2], "<u2" if little else ">u2")
        # The first of two entries is the low byte of its word.
        entries = words.astype("<u2").view(np.uint8) if is_packed(item) else words
    else:
        entries = np.atleast_1d(np.asarray(item.LUTData))
    if len(entries) < count:
        raise ValueError("fewer entries than the table promises")
    table = Dataset()
    table.add_new("LUTDescriptor", "US", [count % (1 << 16), first, 16])
    table.add_new("LUTData", "US", [int(entry) for entry in entries[:count]])
    return table


def white_of(item: Dataset, table: Dataset) -> int:
    """Return the entry of a VOI LUT that is white, of its `plain_table`: the highest number of the bits that the
    descriptor claims (PS3.3 C.11.2.1.1), also where no entry reaches it.

    A claim of 16 bits may be no more than the word that entries of 14 bits or fewer are stored in (all that a CR image
    may claim besides 8), and then, as where it is too low or none, the bits that the entries need are taken.
    Raises ValueError where all entries are 0.
    """
    claimed, needed = int(item.LUTDescriptor[2]), int(np.max(table.LUTData)).bit_length()
    if not needed:
        raise ValueError("no entry of the table is lighter than black")
    believed = needed <= claimed < 16 or (claimed == 16 and needed >= 15)
    return int((1 << (claimed if believed else needed)) - 1)


def number(value: object) -> float | None:
    """Read a decimal string, also with a comma for its point. None where it is empty or no finite number."""
    try:
        parsed = float(str(value).strip().replace(",", "."))
    except ValueError:
        return None
    return parsed if math.isfinite(parsed) else None


def numbers(header: Dataset, keyword: str) -> list[float | None]:
    """Read what an element holds besides empty values, each as `number` does."""
    value = header.get(keyword)
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [number(value) for value in several if value not in (None, "")]
