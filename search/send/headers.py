"""Read what a document must share with its study, when it is sent: never kept, logged or put into a message.

A PACS joins a document to its study by the type 2 attributes of the Patient and General Study modules (PS3.3 C.7.1.1,
C.7.2.1; IHE RAD TF-2, appendix A); of a film, its class, size and pixel spacing are needed to point at it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from filmroom.db.errors import FilmroomError, Rejected
from filmroom.db.records import Film
from filmroom.indexer.decoding.orientation import size_in_file
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.sources.dicomweb import Connection
from filmroom.indexer.sources.film_cache import server_of, source_path

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

OF_PATIENT_AND_STUDY = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate",
    "StudyTime", "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip
_OF_FILM = (
    "SOPClassUID", "SOPInstanceUID", "StudyInstanceUID", "SeriesInstanceUID", "Rows", "Columns", "NumberOfFrames",
    "PixelSpacing",
)  # fmt: skip


@dataclass(frozen=True)
class Header:
    """A film's header: `shared` names the patient and does not appear in a repr. `spacing` is the distance of rows and
    of columns in mm at the patient, where the film is calibrated."""

    film: Film
    sop_class: str
    series: str
    instance: str
    frames: int
    spacing: tuple[float, float] | None
    shared: Mapping[str, str] = field(repr=False)


class NoHeader(Exception):
    """Why a film cannot be pointed at, in fixed words. `failed` where a server did not do its part, `away` where it
    does not answer at all."""

    def __init__(self, reason: str, *, failed: bool = False, away: bool = False) -> None:
        super().__init__(reason)
        self.failed = failed
        self.away = away


def read_header(film: Film, target: Connection | None) -> Header:
    """Read the header from the server that documents go to, else from where the film is. Raises NoHeader."""
    tags = film.tags
    server = target or server_of(film.root)
    try:
        if server is not None:
            row = server.header(f"{tags.study_uid}/{tags.series_uid}/{tags.instance_uid}")
            values = {keyword: _of_json(row, keyword) for keyword in (*_OF_FILM, *OF_PATIENT_AND_STUDY)}
        else:
            values = _of_file(film)
    except FilmroomError as fault:  # Rejected and ServerError, too: one film stops no other
        away = isinstance(fault, Rejected) and fault.code == Refusal.NOT_FETCHED.code
        raise NoHeader("the server did not send its header", failed=True, away=away) from None
    except FileNotFoundError:
        raise NoHeader("the file is not where it was indexed") from None
    except Exception:  # Rejected, a damaged file, a header that is none: a message of theirs may quote it
        raise NoHeader("its header cannot be read") from None
    known = (tags.study_uid, tags.series_uid, tags.instance_uid)
    if tuple(values[name] for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID")) != known:
        raise NoHeader("the UIDs of its file are others than the archive's")
    if (values["Rows"], values["Columns"]) != tuple(str(side) for side in size_in_file(tags)):
        raise NoHeader("its file holds another picture by now")
    return Header(
        film,
        values["SOPClassUID"],
        values["SeriesInstanceUID"],
        values["SOPInstanceUID"],
        _frames(values["NumberOfFrames"]),
        _spacing(values["PixelSpacing"]),
        {keyword: values[keyword] for keyword in OF_PATIENT_AND_STUDY},
    )


def _of_file(film: Film) -> dict[str, str]:
    import pydicom

    tags = (*_OF_FILM, *OF_PATIENT_AND_STUDY, "SpecificCharacterSet")
    header = pydicom.dcmread(source_path(film), stop_before_pixels=True, specific_tags=list(tags))
    return {keyword: _text(header, keyword) for keyword in (*_OF_FILM, *OF_PATIENT_AND_STUDY)}


def _text(header: Dataset, keyword: str) -> str:
    value = header.get(keyword)
    several = not isinstance(value, str) and hasattr(value, "__iter__") and not hasattr(value, "components")
    return "" if value is None else "\\".join(map(str, value)) if several else str(value)


def _of_json(row: Mapping[str, Any], keyword: str) -> str:
    """Return an attribute's values in DICOM JSON as DICOM writes them."""
    from pydicom.datadict import tag_for_keyword

    element = row.get(f"{tag_for_keyword(keyword):08X}")
    values = element.get("Value") if isinstance(element, Mapping) else None
    return "\\".join(map(_written, values or ()))


def _written(value: Any) -> str:
    if isinstance(value, Mapping):  # a person's name
        groups = [str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")]
        return "=".join(groups).rstrip("=")
    return "" if value is None else str(value)


def _frames(text: str) -> int:
    """Return how many frames a file holds: 1 where that is none or no number, as films are decoded."""
    return int(text) if text.isdecimal() and len(text) < 10 else 1


def _spacing(text: str) -> tuple[float, float] | None:
    try:
        down, across = (float(part) for part in text.split("\\"))
    except ValueError:
        return None
    return (down, across) if down > 0 and across > 0 else None
