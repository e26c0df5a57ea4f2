"""Say how large a pixel of a DICOM film is, for those who measure on it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pydicom

# The first that a film has: in the patient (PS3.3 10.7.1.1), then at the detector, then on a scanned sheet.
_SOURCES = {
    "PixelSpacing": "",
    "ImagerPixelSpacing": "at the detector",
    "NominalScannedPixelSpacing": "on the sheet that was scanned",
}
_LEAST, _MOST = 1e-3, 10.0


@dataclass(frozen=True)
class Spacing:
    """Millimetres from one row to the next and from one column to the next; `where` these are meant, empty for in the
    patient as the header has it."""

    row: float
    column: float
    where: str = ""


def spacing_of(path: Path, *, turned: bool = False) -> Spacing | None:
    """Read a film's spacing from its header; None where it says none that can be. In a film that is shown `turned`,
    rows may be columns: then only equal ones are known."""
    try:
        header = pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(_SOURCES))
        for name, where in _SOURCES.items():
            values = header.get(name)
            if values is None or len(values) != 2:
                continue
            row, column = float(values[0]), float(values[1])
            if all(_LEAST <= distance <= _MOST for distance in (row, column)) and not (turned and row != column):
                return Spacing(row, column, where)
    except Exception:
        return None
    return None
