"""Read what a server answers to STOW-RS: which documents it refused, and why (DICOM PS3.18 I.2, PS3.4 B.2.3)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import requests

PROCESSING_FAILURE = 0x0110

_FAILED, _UID, _REASON = "00081198", "00081155", "00081197"
_REASONS = {
    PROCESSING_FAILURE: "it could not process them",
    0x0112: "it knows no such instance",
    0x0117: "it takes no such UID",
    0x0122: "it takes no documents of this kind",
    0x0124: "it lets this user store nothing",
    0xC122: "it takes no such transfer syntax",
}
_FAMILIES = {
    0xA7: "it is out of room",
    0xA9: "it finds them malformed",
    0xC0: "it does not understand them",
}


def refusal_words(code: int) -> str:
    """Say why a server refused documents, with the code."""
    return f"{_REASONS.get(code) or _FAMILIES.get(code >> 8, 'for a reason of its own')} ({code:04X})"


def failed_instances(answer: Any) -> dict[str, int]:
    """Return the refused SOP Instance UIDs with the codes of the reasons, from an answer in DICOM JSON."""
    row = answer[0] if isinstance(answer, list) and answer else answer
    failed = row.get(_FAILED) if isinstance(row, Mapping) else None
    items = failed.get("Value") if isinstance(failed, Mapping) else None
    return {
        str(uid): int(code) if str(code := _first(item, _REASON)).isdecimal() else PROCESSING_FAILURE
        for item in items or ()
        if isinstance(item, Mapping) and (uid := _first(item, _UID))
    }


def body(response: requests.Response) -> Any:
    """Return the JSON of an answer; None where it is none."""
    try:
        return response.json()
    except ValueError:
        return None


def without_parameters(response: requests.Response, *_: Any, **__: Any) -> requests.Response:
    """Strip `; charset=…` from the type of an answer in JSON: dicomweb-client reads only the bare type of STOW-RS."""
    kind = response.headers.get("Content-Type", "")
    if kind.lower().startswith(("application/dicom+json", "application/json")):
        response.headers["Content-Type"] = kind.partition(";")[0].strip().lower()
    return response


def _first(item: Mapping[str, Any], tag: str) -> Any:
    values = item.get(tag, {}).get("Value") if isinstance(item.get(tag), Mapping) else None
    return values[0] if values else ""
