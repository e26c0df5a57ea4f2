"""Write measurements on a film into its note in words, read them back and export them."""

from __future__ import annotations

import csv
import io
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from filmroom.db.errors import BadInput
from filmroom.indexer.decoding.dicom.spacing import Spacing

Point = tuple[float, float]


class Kind(StrEnum):
    """What is measured, as a note names it."""

    LENGTH = "Length"
    ANGLE = "Angle"
    VALUE = "Grey value"


_POINTS = {Kind.LENGTH: 2, Kind.ANGLE: 3, Kind.VALUE: 1}
_LINE = re.compile(
    r"^(Length|Angle|Grey value) (\d+(?:\.\d+)?) ?(mm(?: at the detector| on the sheet that was scanned)?|px|°|%): "
    r"((?:\d+,\d+ ?){1,3})$",
    re.MULTILINE,
)


@dataclass(frozen=True)
class Measurement:
    """`points` are pixels (column, row) of the film as it is shown."""

    kind: Kind
    points: tuple[Point, ...]
    value: float
    unit: str

    def __str__(self) -> str:
        places = " ".join(f"{x:.0f},{y:.0f}" for x, y in self.points)
        return f"{self.kind} {self.value:.1f}{'' if self.unit == '°' else ' '}{self.unit}: {places}"


def measure(kind: Kind, points: tuple[Point, ...], spacing: Spacing | None, grey: float | None = None) -> Measurement:
    """Measure between points (column, row): a length in mm where the spacing is known, the angle at the second point,
    or the grey value (a share of white) that was read there. Raises BadInput for points of another number or place."""
    if len(points) != _POINTS[kind] or not all(0 <= part < 1e6 for point in points for part in point):
        raise BadInput("these are no points to measure between", where=str(kind), fix="Measure again.")
    if kind is Kind.VALUE:
        return Measurement(kind, points, 100 * min(1.0, max(0.0, grey or 0.0)), "%")
    across, down = (spacing.column, spacing.row) if spacing else (1.0, 1.0)
    scaled = [(x * across, y * down) for x, y in points]
    if kind is Kind.LENGTH:
        unit = " ".join(part for part in ("mm", spacing.where) if part) if spacing else "px"
        return Measurement(kind, points, math.dist(scaled[0], scaled[1]), unit)
    (ax, ay), (bx, by), (cx, cy) = scaled
    angle = math.atan2(ay - by, ax - bx) - math.atan2(cy - by, cx - bx)
    degrees = abs(math.degrees(angle)) % 360
    return Measurement(kind, points, min(degrees, 360 - degrees), "°")


def measurements_of(note: str) -> list[Measurement]:
    """Return the measurements that stand in a note, each on a line of its own."""
    measurements = []
    for kind, value, unit, places in _LINE.findall(note):
        points = tuple((float(x), float(y)) for x, y in (part.split(",") for part in places.split()))
        if len(points) == _POINTS[Kind(kind)]:
            measurements.append(Measurement(Kind(kind), points, float(value), unit))
    return measurements


def with_measurements(note: str, measurements: Iterable[Measurement]) -> str:
    """Return the note with these measurements below it."""
    return "\n".join([*([note.rstrip()] if note.strip() else []), *map(str, measurements)])


def as_csv(notes: Mapping[int, str]) -> bytes:
    """Return a table of the measurements in the notes of films (by film id), a row each."""
    out = io.StringIO(newline="")
    writer = csv.writer(out)
    writer.writerow(["film", "measurement", "value", "unit", "points"])
    for film_id, note in notes.items():
        for measurement in measurements_of(note):
            places = " ".join(f"{x:.0f},{y:.0f}" for x, y in measurement.points)
            writer.writerow([film_id, measurement.kind.value, f"{measurement.value:.1f}", measurement.unit, places])
    return out.getvalue().encode()
