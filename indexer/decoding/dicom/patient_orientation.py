"""Say which way a film lies in its file, by Patient Orientation (PS3.3 C.7.6.1.1.1).

A film is set right where the header leaves no doubt: frontal views so that rows run to the patient's left and columns
to the feet, lateral ones so that columns run to the feet. Where the header contradicts itself, cannot be read, or the
usual way to show such a film is not this one for certain, the film stays as it lies and is flagged.
"""

from __future__ import annotations

import re
from itertools import product

from filmroom.db.reads.filters import LATERALS
from filmroom.db.records import UNCERTAIN_ORIENTATION, Tags
from filmroom.indexer.decoding.orientation import words_for
from pydicom.dataset import Dataset
from pydicom.multival import MultiValue

READ_FOR_ORIENTATION = (
    "PatientOrientation", "AnatomicalOrientationType", "FieldOfViewRotation", "FieldOfViewHorizontalFlip",
)  # fmt: skip
_OPPOSITE = {"L": "R", "R": "L", "A": "P", "P": "A", "H": "F", "F": "H"}
_AXES = {"L": "side", "R": "side", "A": "depth", "P": "depth", "H": "height", "F": "height"}
_DIRECTION = re.compile(r"[LRAPHF]{1,3}")
_FRONTAL, _LATERAL = {"side", "height"}, {"depth", "height"}
# Breasts, teeth and angiograms are hung by rules of their own.
_OWN_RULES = frozenset({"MG", "IO", "PX", "XA"})
_PLAIN = frozenset({"CR", "DX", "DR", "RG", "RF"})
_SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
# Limbs are not among these: a hand is shown with the fingers upwards, and from behind.
_TRUNK = frozenset({
    "ABDOMEN", "ABDOMENPELVIS", "CHEST", "CHESTABDOMEN", "CLAVICLE", "COCCYX", "CSPINE", "CTSPINE", "FACE", "HEAD",
    "HIP", "JAW", "LSPINE", "LSSPINE", "MANDIBLE", "MAXILLA", "NASAL", "NECK", "ORBIT", "PELVIS", "RIB", "SACRUM",
    "SCAPULA", "SHOULDER", "SI", "SINUS", "SKULL", "SPINE", "SSPINE", "STERNUM", "TSPINE", "TLSPINE", "WHOLEBODY",
    "WHOLESPINE",
})  # fmt: skip
_FRONTAL_VIEWS, _LATERAL_VIEWS = frozenset({"AP", "PA"}), frozenset(LATERALS["LATERAL"])
_DECUBITUS = frozenset({"LLD", "RLD"})


def orientation_of(header: Dataset, tags: Tags) -> str | None:
    """Return what is to be done to a film (`Tags.orientation`); None where it lies right, or the header says nothing of
    it."""
    if tags.modality in _OWN_RULES or (tags.body_part and tags.body_part not in _TRUNK):
        return None
    letters = _letters(header)
    if not letters:
        return UNCERTAIN_ORIENTATION if _detector_was_turned(header) else None
    directions = _directions(header, letters)
    if directions is None:
        return UNCERTAIN_ORIENTATION
    axes = {_AXES[direction] for direction in directions}
    if axes not in (_FRONTAL, _LATERAL):
        return None  # seen along the body: no way to show it is the usual one
    if (axes == _FRONTAL and tags.view in _LATERAL_VIEWS) or (axes == _LATERAL and tags.view in _FRONTAL_VIEWS):
        return UNCERTAIN_ORIENTATION
    mirrored, turns = _way(directions, frontal=axes == _FRONTAL)
    if tags.view in _DECUBITUS:
        return UNCERTAIN_ORIENTATION if mirrored else None  # who lies on a side is shown lying
    orientation = words_for(mirrored=mirrored, turns=turns)
    return orientation if orientation is None or _is_certain(header, tags, directions) else UNCERTAIN_ORIENTATION


def _letters(header: Dataset) -> list[str]:
    value = header.get("PatientOrientation")
    several = value if isinstance(value, MultiValue | list | tuple) else [value]
    return [str(value).strip().upper() for value in several if value not in (None, "")]


def _directions(header: Dataset, letters: list[str]) -> tuple[str, str] | None:
    """Say where rows and columns run to, each by the first letter, which weighs most. None where it is not
    understood."""
    four_legged = str(header.get("AnatomicalOrientationType") or "BIPED").strip().upper() != "BIPED"
    if four_legged or len(letters) != 2 or not all(_DIRECTION.fullmatch(direction) for direction in letters):
        return None
    across, down = letters[0][0], letters[1][0]
    return (across, down) if _AXES[across] != _AXES[down] else None


def _way(directions: tuple[str, str], *, frontal: bool) -> tuple[bool, int]:
    """Tell whether a film is to be mirrored, and the quarter turns to the left then. Laterals face either way."""
    for mirrored, turns in product((False, True), range(4)):
        across, down = directions
        if mirrored:
            across = _OPPOSITE[across]
        for _ in range(turns):
            across, down = down, _OPPOSITE[across]
        if down == "F" and (across == "L" or not frontal):
            return mirrored, turns
    raise AssertionError(directions)  # one of the eight ways leads there


def _is_certain(header: Dataset, tags: Tags, directions: tuple[str, str]) -> bool:
    """Refuse captures, which may have been set right before, and films upside down of no body part: it may be a
    hand."""
    captured = str(header.get("SOPClassUID", "")).startswith(_SECONDARY_CAPTURE)
    return tags.modality in _PLAIN and not captured and (tags.body_part is not None or directions[1] != "H")


def _detector_was_turned(header: Dataset) -> bool:
    """Tell whether what a detector saw was mirrored or turned, of a file that does not say which way the patient
    faces."""
    flipped = str(header.get("FieldOfViewHorizontalFlip") or "NO").strip().upper() == "YES"
    try:
        turned = float(str(header.get("FieldOfViewRotation") or 0).replace(",", ".")) % 360 != 0
    except ValueError:
        turned = True
    return flipped or turned
