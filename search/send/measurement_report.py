"""Make a Measurement Report (DICOM PS3.16 TID 1500) of what a report model found on the films of a study.

A sentence stays the text that it is: a code in its place would say of "no effusion" that there is one.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from filmroom.db.records import Film
from filmroom.db.writes.findings import Box, Kept
from filmroom.search.findings.dicom_sr import MODEL as MODELS
from filmroom.search.findings.dicom_sr import comprehensive, outline
from filmroom.search.send.documents import Draft, evidence, joined, uid_of
from filmroom.search.send.headers import Header


def measurement_report(draft: Draft, headers: Sequence[Header]) -> Any:
    """Return the document: a group for each box (TID 1410), with its area, width and height, and one for each sentence
    about a whole film (TID 1501). Its flags say that it is partial and not verified."""
    from highdicom.sr import (
        DeviceObserverIdentifyingAttributes,
        MeasurementReport,
        ObservationContext,
        ObserverContext,
    )
    from pydicom.sr.codedict import codes

    maker, model = MODELS.get(draft.source, (draft.source, draft.source))
    about = DeviceObserverIdentifyingAttributes(
        uid_of("device", draft.source), name=model, manufacturer_name=maker, model_name=model
    )
    report = MeasurementReport(
        ObservationContext(observer_device_context=ObserverContext(codes.DCM.Device, about)),
        codes.cid100.XRUnspecifiedBodyRegion,
        imaging_measurements=_groups(draft, headers),
    )
    document = comprehensive(
        evidence(draft.study, headers),
        report[0],
        draft.source,
        series=uid_of("series", draft.uid),
        instance=draft.uid,
    )
    return joined(document, headers[0].shared)


def _groups(draft: Draft, headers: Sequence[Header]) -> list[Any]:
    films = {film.id: film for film in draft.films}
    header_of = {header.film.id: header for header in headers}
    groups: list[Any] = []
    for number, finding in enumerate(draft.findings, 1):
        film = films[finding.film_id]
        header = header_of[film.id]
        if finding.boxes:
            groups += [_of_box(draft, film, header, finding, number, box) for box in enumerate(finding.boxes, 1)]
        else:
            groups.append(_of_film(draft, film, header, finding, number))
    return groups


def _of_box(draft: Draft, film: Film, header: Header, finding: Kept, number: int, box: tuple[int, Box]) -> Any:
    from highdicom.sr import (
        GraphicTypeValues,
        ImageRegion,
        PlanarROIMeasurementsAndQualitativeEvaluations,
        SourceImageForRegion,
        TrackingIdentifier,
    )

    at, shares = box
    corners = outline(film, shares)
    source = SourceImageForRegion(header.sop_class, header.instance, _frame(film, header))
    group = PlanarROIMeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(uid_of("tracking", draft.uid, number, at), f"Finding {number}, box {at}"),
        referenced_region=ImageRegion(GraphicTypeValues.POLYLINE, corners, source),
        measurements=_measured(corners, header.spacing),
    )
    return _with_words(group, finding.text)


def _of_film(draft: Draft, film: Film, header: Header, finding: Kept, number: int) -> Any:
    from highdicom.sr import (
        MeasurementsAndQualitativeEvaluations,
        SourceImageForMeasurementGroup,
        TrackingIdentifier,
    )

    group = MeasurementsAndQualitativeEvaluations(
        TrackingIdentifier(uid_of("tracking", draft.uid, number), f"Finding {number}"),
        source_images=[SourceImageForMeasurementGroup(header.sop_class, header.instance, _frame(film, header))],
    )
    return _with_words(group, finding.text)


def _with_words(group: Any, text: str) -> Any:
    """Add the sentence as an evaluation in text (TID 1501, row 11)."""
    from highdicom.sr import CodedConcept, RelationshipTypeValues, TextContentItem

    words = TextContentItem(CodedConcept("121071", "DCM", "Finding"), text, RelationshipTypeValues.CONTAINS)
    group[0].ContentSequence.append(words)
    return group


def _measured(corners: np.ndarray[Any, np.dtype[np.float32]], spacing: tuple[float, float] | None) -> list[Any]:
    """Write area, width and height of a box: in mm where the film is calibrated, else in pixels."""
    from highdicom.sr import CodedConcept, Measurement
    from pydicom.sr.codedict import codes

    down, across = spacing or (1.0, 1.0)
    wide, high = (float(side) for side in corners.max(axis=0) - corners.min(axis=0))
    pixels = CodedConcept("{pixels}", "UCUM", "pixels")
    length = codes.UCUM.Millimeter if spacing else pixels
    area = codes.UCUM.SquareMillimeter if spacing else pixels
    return [
        Measurement(codes.SCT.Area, round(wide * across * high * down, 3), area),
        Measurement(codes.SCT.Width, round(wide * across, 3), length),
        Measurement(codes.DCM.Height, round(high * down, 3), length),
    ]


def _frame(film: Film, header: Header) -> list[int] | None:
    return [film.frame + 1] if header.frames > 1 else None
