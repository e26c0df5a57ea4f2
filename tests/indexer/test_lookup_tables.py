"""Tables of a header as files write them: packed, of full length, of odd length, in words or as numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from filmroom.indexer.decoding.dicom.lookup_tables import is_packed, number, numbers, plain_table, white_of
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian

ALL = 1 << 16


def item(data: Any, count: int, *, first: int = 0, bits: int = 16) -> Dataset:
    table = Dataset()
    table.LUTDescriptor = [count, first, bits]
    table.add_new("LUTData", "OW" if isinstance(data, bytes) else "US", data)
    return table


def header(*, little: bool = True) -> Dataset:
    found = Dataset()
    found.file_meta = FileMetaDataset()
    found.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian if little else ExplicitVRBigEndian
    return found


def entries(table: Dataset) -> list[int]:
    return [int(entry) for entry in table.LUTData]


@pytest.mark.parametrize("little", [True, False])
def test_words_are_read_in_the_order_of_the_file(little: bool) -> None:
    data = np.array([1, 256, 65535], "<u2" if little else ">u2").tobytes()
    table = plain_table(item(data, 3, first=7), header(little=little))
    assert entries(table) == [1, 256, 65535]
    assert list(table.LUTDescriptor) == [3, 7, 16]
    assert (table["LUTDescriptor"].VR, table["LUTData"].VR) == ("US", "US")


def test_two_entries_in_a_word_come_low_byte_first() -> None:
    packed = item(bytes([1, 2, 3, 4]), 4, bits=8)
    assert is_packed(packed)
    assert entries(plain_table(packed, header())) == [1, 2, 3, 4]
    turned = item(bytes([2, 1, 4, 3]), 4, bits=8)
    assert entries(plain_table(turned, header(little=False))) == [1, 2, 3, 4]


def test_no_count_is_a_table_of_all_values() -> None:
    words = np.arange(ALL, dtype="<u2")
    whole = item(words.tobytes(), 0)
    assert not is_packed(whole)
    table = plain_table(whole, header())
    assert entries(table) == words.tolist()
    assert table.LUTDescriptor[0] == 0
    assert is_packed(item(bytes(2 * ALL - 2), 0))
    with pytest.raises(ValueError, match="fewer entries"):
        plain_table(item([1, 2, 3], 0), header())


def test_a_byte_too_many_is_no_entry() -> None:
    assert entries(plain_table(item(bytes([1, 0, 2, 0, 9]), 2), header())) == [1, 2]


def test_entries_may_be_numbers_already_and_one_stands_alone() -> None:
    assert entries(plain_table(item([3, 2, 1, 9], 3), header())) == [3, 2, 1]
    with pytest.raises(ValueError, match="fewer entries"):
        plain_table(item(5, 2), header())


@pytest.mark.parametrize(
    ("claimed", "highest", "white"),
    [
        (12, 4095, 4095), (12, 2047, 4095), (12, 1, 4095), (8, 127, 255), (8, 255, 255), (14, 8000, 16383),
        (16, 65535, 65535), (16, 40000, 65535), (16, 32767, 65535), (16, 16384, 65535),
        (16, 16383, 16383), (16, 4095, 4095), (16, 255, 255), (8, 4095, 4095), (10, 4000, 4095), (0, 4095, 4095),
        (32, 4095, 4095),
    ],
)  # fmt: skip
def test_white_is_the_highest_number_of_the_bits_that_are_claimed(claimed: int, highest: int, white: int) -> None:
    table = item([0, highest], 2, bits=claimed)
    assert white_of(table, plain_table(table, header())) == white


def test_a_table_of_black_alone_has_no_white() -> None:
    table = item([0, 0], 2)
    with pytest.raises(ValueError, match="lighter than black"):
        white_of(table, plain_table(table, header()))


@pytest.mark.parametrize(
    ("said", "read"),
    [("1,5", 1.5), (" 2 ", 2.0), ("", None), ("inf", None), ("nan", None), ("-1e400", None), ("x", None)],
)
def test_a_number_is_finite(said: str, read: float | None) -> None:
    assert number(said) == read


def test_empty_values_are_no_numbers() -> None:
    found = Dataset()
    found.add_new("WindowCenter", "LO", ["1", "", "x"])
    assert numbers(found, "WindowCenter") == [1.0, None]
    assert numbers(Dataset(), "WindowCenter") == []
