"""List what a de-identified copy holds: nothing of a file is in its copy but what is named here.

After PS3.15 Annex E (Basic Profile, Clean Graphics, Retain Patient Characteristics, Retain UIDs by wish), but the other
way round: its table names what to remove, and keeps what it does not know. Pixels are written anew from the decoded
values, as a compressed stream has room for comments.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from filmroom.db.records import Film
from filmroom.indexer.decoding.dicom.lookup_tables import number
from filmroom.indexer.decoding.dicom.read import StoredFrame
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID, ExplicitVRLittleEndian
from pydicom.valuerep import DSfloat

_MOST_NUMBERS = 16
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
_WORDS = {
    "LossyImageCompression": {"00", "01"},
    "PixelIntensityRelationship": {"LIN", "LOG", "DISP"},
    "PresentationIntentType": {"FOR PRESENTATION", "FOR PROCESSING"},
    "PresentationLUTShape": {"IDENTITY", "INVERSE"},
    "RescaleType": {"HU", "HU_MOD", "MGML", "OD", "PCT", "US"},
    "VOILUTFunction": {"LINEAR", "LINEAR_EXACT", "SIGMOID"},
}
"""Coded attributes of the image, each with its closed set of values."""

_NUMBERS = {
    "ImagerPixelSpacing": "DS", "NominalScannedPixelSpacing": "DS", "PixelAspectRatio": "IS", "PixelSpacing": "DS",
    "PixelIntensityRelationshipSign": "SS", "LossyImageCompressionRatio": "DS", "RescaleIntercept": "DS",
    "RescaleSlope": "DS", "WindowCenter": "DS", "WindowWidth": "DS", "PixelPaddingValue": "US",
    "PixelPaddingRangeLimit": "US",
}  # fmt: skip
"""Numbers without which the greys or the lengths would be others; all that is read of them is the numbers."""

_TABLES = {"ModalityLUTSequence": {"HU", "OD", "US"}, "VOILUTSequence": None}
"""Lookup tables: their descriptor and entries are kept, and the type of a modality LUT where it is of these."""

_MACROS = {
    "PixelValueTransformationSequence": ("RescaleSlope", "RescaleIntercept", "RescaleType"),
    "FrameVOILUTSequence": ("WindowCenter", "WindowWidth", "VOILUTFunction"),
    "PixelMeasuresSequence": ("PixelSpacing",),
}
"""The same, where a multi-frame object says them for each frame."""

_GROUPS = ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence")
READ = ("SOPClassUID", "ImageType", "PatientOrientation", *_WORDS, *_NUMBERS, *_TABLES, *_GROUPS)
"""All that is read of a header for a copy, besides what describes the pixels' encoding."""

_EMPTY = (
    "AccessionNumber", "InstanceNumber", "Manufacturer", "PatientBirthDate", "PatientName", "ReferringPhysicianName",
    "SeriesNumber", "StudyDate", "StudyID", "StudyTime",
)  # fmt: skip
"""Attributes that an image must have (type 2), without a value."""

_SIDES = re.compile(r"[AFHLPR]{1,3}")
_METHODS = {
    "113100": "Basic Application Confidentiality Profile",
    "113103": "Clean Graphics Option",
    "113108": "Retain Patient Characteristics Option",
    "113110": "Retain UIDs Option",
}


def built(stored: StoredFrame, film: Film) -> Dataset:
    """Make the data set of a copy, without UIDs, of a frame whose header was read with `READ`: the other frames of its
    file are other films, which nobody may have chosen."""
    copy, header = Dataset(), stored.header
    _put_facts(copy, header, film)
    _put_pixels(copy, stored)
    _put_image(copy, header, signed=bool(copy.get("PixelRepresentation", 0)))
    for name, first in zip(_GROUPS, (0, film.frame), strict=True):
        items = [_macros(item) for item in _items(header, name)[first : first + 1]]
        if any(items):
            setattr(copy, name, items)
    return copy


def _put_facts(copy: Dataset, header: Dataset, film: Film) -> None:
    """Write what the archive knows of the film, all from closed sets, and what the copy says of itself."""
    for name in _EMPTY:
        setattr(copy, name, "")
    tags = film.tags
    stated = str(_get(header, "SOPClassUID"))
    name = UID(stated).name  # itself, where pydicom does not know it
    copy.SOPClassUID = stated if name != stated and "Image Storage" in name else _SECONDARY_CAPTURE
    copy.Modality = tags.modality or "OT"
    copy.PatientSex = tags.sex or ""
    if tags.age is not None:
        copy.PatientAge = f"{tags.age:03d}Y"
    for name, value in (
        ("ViewPosition", tags.view), ("BodyPartExamined", tags.body_part), ("ImageLaterality", tags.laterality),
    ):  # fmt: skip
        if value:
            setattr(copy, name, value)
    if tags.burned_in is not None:
        copy.BurnedInAnnotation = "YES" if tags.burned_in else "NO"
    sides = [side for side in _values(header, "PatientOrientation") if isinstance(side, str) and _SIDES.fullmatch(side)]
    copy.PatientOrientation = sides if len(sides) == 2 else ""
    first, *rest = [*_values(header, "ImageType"), "", ""][:2]
    copy.ImageType = [
        "ORIGINAL" if first == "ORIGINAL" else "DERIVED",
        "SECONDARY" if "SECONDARY" in rest else "PRIMARY",
    ]


def _put_image(copy: Dataset, header: Dataset, *, signed: bool) -> None:
    for name, allowed in _WORDS.items():
        if (word := str(_get(header, name)).strip().upper()) in allowed:
            setattr(copy, name, word)
    for name, kind in _NUMBERS.items():
        if values := _numbers(header, name, as_integers=kind != "DS"):
            vr = "SS" if kind == "US" and signed else kind
            _put(copy, name, vr, values)
    for name, types in _TABLES.items():
        little = header.file_meta.TransferSyntaxUID.is_little_endian
        tables = [_table(item, types, little=little) for item in _items(header, name)]
        if tables and tables[0] is not None:
            setattr(copy, name, [tables[0]])


def _put(copy: Dataset, name: str, vr: str, values: list[Any]) -> None:
    """Add numbers, or leave them out where none of this kind can say them."""
    low, high = (-(1 << 15), 1 << 15) if vr == "SS" else (0, 1 << 16)
    if vr in ("US", "SS") and not all(low <= value < high for value in values):
        return
    copy.add_new(name, vr, [DSfloat(value, auto_format=True) for value in values] if vr == "DS" else values)


def _put_pixels(copy: Dataset, frame: StoredFrame) -> None:
    """Write the stored values, native; grey as they were, colour in RGB."""
    stored, header = frame.pixels, frame.header
    grey = stored.ndim == 2
    copy.SamplesPerPixel = 1 if grey else 3
    inverted = frame.photometric == "MONOCHROME1"
    copy.PhotometricInterpretation = "RGB" if not grey else "MONOCHROME1" if inverted else "MONOCHROME2"
    copy.Rows, copy.Columns = stored.shape[:2]
    if frame.frames > 1:
        copy.NumberOfFrames = 1
    if not grey:
        copy.PlanarConfiguration = 0
    size = 8 * stored.itemsize
    copy.BitsAllocated = size
    little = stored.astype(stored.dtype.newbyteorder("<"), copy=False)
    data = little.tobytes() + b"\0" * (little.nbytes % 2)
    if stored.dtype.kind == "f":
        copy.add_new("FloatPixelData" if size == 32 else "DoubleFloatPixelData", "OF" if size == 32 else "OD", data)
        return
    low, high = int(stored.min()), int(stored.max())
    signed = stored.dtype.kind == "i"
    needed = max((~bound if bound < 0 else bound).bit_length() for bound in (low, high)) + signed
    declared = _numbers(header, "BitsStored", as_integers=True)
    bits = min(size, max(1, needed, int(declared[0]) if declared else size))
    copy.BitsStored, copy.HighBit, copy.PixelRepresentation = bits, bits - 1, int(signed)
    copy.add_new("PixelData", "OW" if size > 8 else "OB", data)


def _macros(item: Dataset) -> Dataset:
    allowed = Dataset()
    for name, attributes in _MACROS.items():
        for macro in _items(item, name)[:1]:
            inner = Dataset()
            for attribute in attributes:
                if attribute in _WORDS:
                    if (word := str(_get(macro, attribute)).strip().upper()) in _WORDS[attribute]:
                        setattr(inner, attribute, word)
                elif values := _numbers(macro, attribute, as_integers=False):
                    _put(inner, attribute, "DS", values)
            setattr(allowed, name, [inner])
    return allowed


def _table(item: Dataset, types: set[str] | None, *, little: bool) -> Dataset | None:
    """Return a lookup table of exactly as many entries as it promises; None where it holds fewer."""
    try:
        count, first, bits = (int(number) for number in item.LUTDescriptor)
        entries = _entries(item.LUTData, count % (1 << 16) or 1 << 16, little=little)
    except Exception:  # a damaged value can raise anything; the film is shown without it, as by any viewer
        return None
    if entries is None:
        return None
    table = Dataset()
    count = count % (1 << 16)
    if first < 0:
        table.add_new("LUTDescriptor", "SS", [count if count < 1 << 15 else count - (1 << 16), first, bits])
    else:
        table.add_new("LUTDescriptor", "US", [count, first, bits])
    table.add_new("LUTData", "OW", entries)
    if types is not None:
        unit = str(_get(item, "ModalityLUTType")).strip().upper()
        table.ModalityLUTType = unit if unit in types else "US"
    return table


def _entries(data: Any, count: int, *, little: bool) -> bytes | None:
    if not isinstance(data, bytes):
        values = np.atleast_1d(np.asarray(data))[:count].astype("<u2")
        return values.tobytes() if len(values) == count else None
    length = 2 * count if len(data) >= 2 * count else count + count % 2
    if len(data) < length:
        return None
    words = data[:length]
    return words if little else np.frombuffer(words, ">u2").astype("<u2").tobytes()


def written(copy: Dataset, *, own_uids: bool) -> bytes:
    copy.PatientIdentityRemoved = "YES"
    copy.LongitudinalTemporalInformationModified = "REMOVED"
    copy.DeidentificationMethod = "Filmroom: new file from an allow-list"
    copy.DeidentificationMethodCodeSequence = []
    for code, meaning in _METHODS.items():
        if code == "113110" and not own_uids:
            continue
        item = Dataset()
        item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = code, "DCM", meaning
        copy.DeidentificationMethodCodeSequence.append(item)
    copy.file_meta = FileMetaDataset()
    copy.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    out = io.BytesIO()
    copy.save_as(out, enforce_file_format=True)
    return out.getvalue()


def _get(header: Dataset, name: str) -> Any:
    """Return a value; "" where it is missing or damaged, which may raise anything."""
    try:
        value = header.get(name)
    except Exception:
        return ""
    return "" if value is None else value


def _values(header: Dataset, name: str) -> list[Any]:
    value = _get(header, name)
    several = not isinstance(value, str | bytes) and isinstance(value, Iterable)
    return [entry for entry in (value if several else [value]) if entry != ""]


def _items(header: Dataset, name: str) -> list[Any]:
    return [value for value in _values(header, name) if hasattr(value, "get")]


def _numbers(header: Dataset, name: str, *, as_integers: bool) -> list[Any]:
    """Return finite numbers, also with a comma for a point; none at all where one of them is no number."""
    read = [number(value) for value in _values(header, name)[:_MOST_NUMBERS]]
    if any(number is None or (as_integers and number != int(number)) for number in read):
        return []
    return [int(number) if as_integers else number for number in read if number is not None]
