"""Write findings of a report model as DICOM Structured Reports: one a film, that points at film and boxes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import MissingExtra
from filmroom.db.records import Film
from filmroom.db.writes.findings import Box
from filmroom.indexer.decoding.orientation import box_in_file, size_in_file
from filmroom.indexer.sources.film_cache import source_path
from filmroom.search.exchange.tables import empty_folder
from filmroom.search.export.job import sha256_of
from filmroom.search.findings.search import FilmFinding
from numpy.typing import NDArray

MODEL = {"cxrreportgen": ("Microsoft", "CXRReportGen")}

DISCLAIMER = "Research use only, not for diagnosis"

# Type 2 of the Patient and General Study modules: a document has them, if only empty.
_MAY_BE_EMPTY = (
    "PatientID", "PatientName", "PatientBirthDate", "PatientSex", "StudyID", "StudyDate", "StudyTime",
    "AccessionNumber", "ReferringPhysicianName",
)  # fmt: skip


@dataclass(frozen=True)
class Written:
    """`failed` are (film id, reason): films that are no DICOM file have no report of this kind."""

    folder: Path
    files: int
    failed: tuple[tuple[int, str], ...]


def write_reports(sentences: Sequence[FilmFinding], folder: Path) -> Written:
    """Write one Comprehensive SR (PS3.3 A.35.3) for each film and source, into a new or empty folder.

    Under the root: each sentence a TEXT item "Finding", with its boxes as closed polylines (SCOORD) selected from the
    film. The document belongs to the film's study, so it carries the patient's name as the film does. Its flags say
    that it is partial and not verified. Raises BadInput for a folder that holds something, MissingExtra.
    """
    try:
        import highdicom  # noqa: F401
    except ImportError:
        raise MissingExtra("writing DICOM Structured Reports", extra="sr") from None
    empty_folder(folder)
    films: dict[tuple[int, str], list[FilmFinding]] = {}
    for sentence in sentences:
        films.setdefault((sentence.film.id, sentence.finding.source), []).append(sentence)
    count, failed = 0, []
    for (film_id, source), film_sentences in films.items():
        film = film_sentences[0].film
        if film.tags.instance_uid is None:
            failed.append((film_id, "it is not from a DICOM file"))
            continue
        try:
            document = _document(film, film_sentences, source)
            document.save_as(folder / f"{film_id:07d}-{source}.dcm", enforce_file_format=True)
        except FileNotFoundError:
            failed.append((film_id, "the file is not where it was indexed"))
        except OSError as fault:
            failed.append((film_id, fault.strerror or "it cannot be read or written"))
        except Exception as fault:  # a header may be wrong in many ways, and a message may quote it
            failed.append((film_id, f"no document can be made of its header ({type(fault).__name__})"))
        else:
            count += 1
    return Written(folder, count, tuple(failed))


def outline(film: Film, box: Box) -> NDArray[np.float32]:
    """Return the corners (5, 2) of a box as x, y in pixels of the film's file, the first again at the end."""
    rows, columns = size_in_file(film.tags)
    in_file = box_in_file(box, film.tags.orientation)
    x0, y0, x1, y1 = (value * side for value, side in zip(in_file, (columns, rows) * 2, strict=True))
    return np.array([[x0, y0], [x1, y0], [x1, y1], [x0, y1], [x0, y0]], np.float32)


def _document(film: Film, sentences: Sequence[FilmFinding], source: str) -> Any:
    import pydicom
    from highdicom.uid import UID

    path = source_path(film)
    image = pydicom.dcmread(path, stop_before_pixels=True)
    if not _is_of(film, image, path):
        raise FileNotFoundError  # another file lies there by now
    for name in _MAY_BE_EMPTY:
        if name not in image:
            setattr(image, name, "")
    content = _content(film, image, sentences)
    return comprehensive([image], content, source, series=UID(), instance=UID())


def _is_of(film: Film, image: Any, path: Path) -> bool:
    """Tell whether a file is still the film's: of its size, and under its UIDs or, where the archive knows them
    otherwise, byte by byte."""
    stated = tuple(str(image.get(name, "")) for name in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"))
    known = (film.tags.study_uid, film.tags.series_uid, film.tags.instance_uid)
    alike = (image.Rows, image.Columns) == size_in_file(film.tags)
    return alike and (stated == known or sha256_of(path) == film.sha256)


def comprehensive(evidence: Sequence[Any], content: Any, source: str, *, series: str, instance: str) -> Any:
    """Return a Comprehensive SR of what the model `source` found. Its flags say that it is partial and not verified."""
    from highdicom.sr import ComprehensiveSR

    maker, model = MODEL.get(source, (source, source))
    return ComprehensiveSR(
        evidence=evidence,
        content=content,
        series_instance_uid=series,
        series_number=1,
        sop_instance_uid=instance,
        instance_number=1,
        manufacturer=maker,
        manufacturer_model_name=model,
        series_description=f"{model} findings. {DISCLAIMER}",
        is_complete=False,
        is_final=False,
        is_verified=False,
    )


def _content(film: Film, image: Any, sentences: Sequence[FilmFinding]) -> Any:
    """Return the report's tree: an item a sentence, with the regions of its boxes."""
    import pydicom
    from highdicom.sr import CodedConcept, ContainerContentItem, RelationshipTypeValues, TextContentItem

    root = ContainerContentItem(
        name=CodedConcept("18748-4", "LN", "Diagnostic imaging report"), is_content_continuous=False
    )
    root.ContentSequence = pydicom.Sequence()
    for sentence in sentences:
        item = TextContentItem(
            name=CodedConcept("121071", "DCM", "Finding"),
            value=sentence.finding.text,
            relationship_type=RelationshipTypeValues.CONTAINS,
        )
        if sentence.finding.boxes:
            item.ContentSequence = pydicom.Sequence([_region(film, image, box) for box in sentence.finding.boxes])
        root.ContentSequence.append(item)
    return root


def _region(film: Film, image: Any, box: Box) -> Any:
    """Return the box as a closed polyline in pixels of the film's file (PS3.3 C.18.6), selected from it."""
    import pydicom
    from highdicom.sr import (
        CodedConcept,
        GraphicTypeValues,
        ImageContentItem,
        RelationshipTypeValues,
        ScoordContentItem,
    )

    region = ScoordContentItem(
        name=CodedConcept("111030", "DCM", "Image Region"),
        graphic_type=GraphicTypeValues.POLYLINE,
        graphic_data=outline(film, box),
        relationship_type=RelationshipTypeValues.INFERRED_FROM,
    )
    several = int(getattr(image, "NumberOfFrames", 1) or 1) > 1
    selected = ImageContentItem(
        name=CodedConcept("111040", "DCM", "Original Source"),
        referenced_sop_class_uid=image.SOPClassUID,
        referenced_sop_instance_uid=image.SOPInstanceUID,
        referenced_frame_numbers=[film.frame + 1] if several else None,
        relationship_type=RelationshipTypeValues.SELECTED_FROM,
    )
    region.ContentSequence = pydicom.Sequence([selected])
    return region
