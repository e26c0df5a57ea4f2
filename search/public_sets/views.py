"""What public sets call views, as statements to judge by and as the views that the catalog keeps."""

from __future__ import annotations

from filmroom.indexer.radiology.report_labeler import Statement
from filmroom.indexer.radiology.views_and_body_parts import view_of

_VIEWS = {
    "PA": "view PA",
    "AP": "view AP",
    "AP_HORIZONTAL": "view AP SUPINE",
    "AP SUPINE": "view AP SUPINE",
    "AP ERECT": "view AP ERECT",
    "L": "view LATERAL",
    "LL": "view LATERAL",
    "LATERAL": "view LATERAL",
    "FRONTAL": "frontal",
}
_KEPT = {"L": "LATERAL", "LL": "LL", "RL": "RL"}


def view_statements(name: str) -> tuple[Statement, ...]:
    """What a view position says of a film; nothing where it is not known."""
    idea = _VIEWS.get(name.strip().upper())
    return (Statement(idea),) if idea else ()


def kept_view(name: str) -> str | None:
    """The view of the catalog's closed set that a table means; None for frontal, which may be PA or AP, and for words
    that are not known."""
    word = name.strip().upper()
    return _KEPT.get(word) or view_of(word, "")
