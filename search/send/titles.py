"""Name the titles and reasons of key object selections: DICOM PS3.16 CID 7010, 7011 and 7012 in short words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from filmroom.db.errors import BadInput


@dataclass(frozen=True)
class Concept:
    """A code of the DICOM scheme."""

    code: str
    meaning: str


TITLES: Mapping[str, Concept] = {
    "research": Concept("113009", "For Research"),
    "interest": Concept("113000", "Of Interest"),
    "teaching": Concept("113004", "For Teaching"),
    "conference": Concept("113005", "For Conference"),
    "referrer": Concept("113002", "For Referring Provider"),
    "peer-review": Concept("113008", "For Peer Review"),
    "quality": Concept("113010", "Quality Issue"),
    "rejected": Concept("113001", "Rejected for Quality Reasons"),
}

REASONS: Mapping[str, Concept] = {
    "positioning": Concept("111209", "Positioning"),
    "motion": Concept("111210", "Motion blur"),
    "under-exposed": Concept("111211", "Under exposed"),
    "over-exposed": Concept("111212", "Over exposed"),
    "grid": Concept("111208", "Grid artifact(s)"),
    "detector": Concept("111214", "Detector artifact(s)"),
    "artifacts": Concept("111207", "Image artifact(s)"),
    "double-exposure": Concept("113026", "Double exposure"),
    "processing": Concept("111219", "Inappropriate image processing"),
    "other": Concept("111220", "Other failure"),
}

WITH_REASON = ("quality", "rejected")
"""Titles that the standard lets bear a reason (PS3.16 TID 2010, row 2)."""


@dataclass(frozen=True)
class Title:
    """What a key object selection is for, and why; `description` is free text."""

    title: Concept
    reason: Concept | None = None
    description: str = ""


def title_of(title: str, reason: str | None = None, description: str = "") -> Title:
    """Read a title and reason by their words. Raises BadInput for words that are not known, and for a reason where the
    title takes none."""
    if title not in TITLES:
        raise BadInput("no title of a key object selection", where=title, fix=f"Use {', '.join(TITLES)}.")
    if reason is not None and reason not in REASONS:
        raise BadInput("no reason that is known", where=reason, fix=f"Use {', '.join(REASONS)}.")
    if reason is not None and title not in WITH_REASON:
        raise BadInput("this title takes no reason", where=title, fix=f"A reason goes with {' or '.join(WITH_REASON)}.")
    return Title(TITLES[title], REASONS[reason] if reason else None, description.strip())
