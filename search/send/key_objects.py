"""Make a Key Object Selection (DICOM PS3.3 A.35.4, PS3.16 TID 2010) of the films of a study."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from filmroom.search.findings.dicom_sr import DISCLAIMER
from filmroom.search.send.documents import (
    MAKER,
    MODEL,
    Draft,
    device_context,
    evidence,
    frames_of,
    joined,
    uid_of,
)
from filmroom.search.send.headers import Header
from filmroom.search.send.titles import Concept

_MODIFIER = Concept("113011", "Document Title Modifier")


def key_objects(draft: Draft, headers: Sequence[Header]) -> Any:
    """Return the document, which points at each film once, and at the frames of those that have several."""
    from highdicom.ko import KeyObjectSelection, KeyObjectSelectionDocument
    from highdicom.sr import CodeContentItem, CodedConcept, RelationshipTypeValues

    def coded(concept: Concept) -> CodedConcept:
        return CodedConcept(concept.code, "DCM", concept.meaning)

    title = draft.title
    if title is None:
        raise ValueError("a draft of findings is no key object selection")
    references = evidence(draft.study, headers)
    content = KeyObjectSelection(
        coded(title.title),
        references,
        observer_device_context=device_context(),
        description=title.description or None,
    )
    items = content[0].ContentSequence
    frames = {header.instance: frames_of(header, draft.films) for header in headers}
    for item in items:
        for reference in item.get("ReferencedSOPSequence", ()):
            if several := frames[reference.ReferencedSOPInstanceUID]:
                reference.ReferencedFrameNumber = several
    if title.reason:
        modifier = CodeContentItem(coded(_MODIFIER), coded(title.reason), RelationshipTypeValues.HAS_CONCEPT_MOD)
        items.insert(0, modifier)
    document = KeyObjectSelectionDocument(
        references,
        content,
        series_instance_uid=uid_of("series", draft.uid),
        series_number=1,
        sop_instance_uid=draft.uid,
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MODEL,
        series_description=f"Key objects. {DISCLAIMER}",
    )
    return joined(document, headers[0].shared)
