"""Make the documents of a study: a Key Object Selection, and reports of findings after TID 1500, by highdicom.

A document's UID is made of its content, so that the same document has the same UID whenever it is made.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid5

from filmroom.db.records import Film
from filmroom.db.writes.findings import Kept
from filmroom.search.send.headers import OF_PATIENT_AND_STUDY, Header
from filmroom.search.send.titles import Title

MAKER, MODEL = "Filmroom", "Filmroom"
_SPACE = UUID("6f1f0a0e-6d5c-5b0c-9a3e-6b4f2c7d1e90")
_UTF8 = "ISO_IR 192"


def uid_of(*parts: object) -> str:
    """Return a UID made of what it names (PS3.5 B.2)."""
    return f"2.25.{uuid5(_SPACE, json.dumps(parts, sort_keys=True)).int}"


DEVICE_UID = uid_of("device", MODEL)


@dataclass(frozen=True)
class Draft:
    """A document to be made: of key objects with a `title`, or of what `source` found."""

    study: str
    films: tuple[Film, ...]
    title: Title | None = None
    source: str = ""
    findings: tuple[Kept, ...] = ()

    @property
    def kind(self) -> str:
        return "key objects" if self.title else "findings"

    @property
    def uid(self) -> str:
        """The document's SOP Instance UID."""
        pointed = sorted((film.tags.instance_uid or "", film.frame) for film in self.films)
        if self.title:
            reason = self.title.reason.code if self.title.reason else ""
            return uid_of("KO", self.study, self.title.title.code, reason, self.title.description, pointed)
        place = {film.id: (film.tags.instance_uid, film.frame) for film in self.films}
        content = [(*place[finding.film_id], finding.text, finding.boxes) for finding in self.findings]
        return uid_of("SR", self.study, self.source, content)


def drafts(study: str, films: Sequence[Film], title: Title, findings: Sequence[Kept]) -> list[Draft]:
    """Return the documents of a study: one of key objects, and one for each source of findings about them."""
    documents = [Draft(study, tuple(films), title)]
    by_source: dict[str, list[Kept]] = {}
    known = {film.id for film in films}
    for finding in findings:
        if finding.film_id in known:
            by_source.setdefault(finding.source, []).append(finding)
    for source, of_source in sorted(by_source.items()):
        about = {finding.film_id for finding in of_source}
        documents.append(
            Draft(study, tuple(film for film in films if film.id in about), source=source, findings=tuple(of_source))
        )
    return documents


def evidence(study: str, headers: Sequence[Header]) -> list[Any]:
    """Return the films as highdicom is shown them: nothing of the patient."""
    from pydicom.dataset import Dataset

    by_instance = {}
    for header in headers:
        image = Dataset()
        for keyword in OF_PATIENT_AND_STUDY:
            setattr(image, keyword, "")
        image.StudyInstanceUID, image.SeriesInstanceUID = study, header.series
        image.SOPClassUID, image.SOPInstanceUID = header.sop_class, header.instance
        image.Rows, image.Columns = 1, 1
        by_instance[image.SOPInstanceUID] = image
    return list(by_instance.values())


def joined(document: Any, shared: Mapping[str, str]) -> Any:
    """Give a document the attributes that it shares with its study, as they are: a check of them might quote them."""
    from pydicom import config
    from pydicom.datadict import dictionary_VR, tag_for_keyword
    from pydicom.dataelem import DataElement

    document.SpecificCharacterSet = _UTF8
    for keyword, value in shared.items():
        tag = tag_for_keyword(keyword)
        if tag is None or (not value and keyword == "IssuerOfPatientID"):
            continue
        document[tag] = DataElement(tag, dictionary_VR(tag), value, validation_mode=config.IGNORE)
    return document


def frames_of(header: Header, films: Sequence[Film]) -> list[int] | None:
    """Return the frames, from 1, that films are of a file; None for a file that is one picture."""
    frames = [film.frame + 1 for film in films if film.tags.instance_uid == header.instance]
    return sorted(frames) if header.frames > 1 else None


def device_context() -> Any:
    """Say who made the document: a program."""
    from highdicom.sr import DeviceObserverIdentifyingAttributes, ObserverContext
    from pydicom.sr.codedict import codes

    about = DeviceObserverIdentifyingAttributes(DEVICE_UID, name=MODEL, manufacturer_name=MAKER, model_name=MODEL)
    return ObserverContext(codes.DCM.Device, about)
