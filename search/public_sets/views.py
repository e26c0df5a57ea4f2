"""What public sets call views, as statements to judge by and as the views that the catalog keeps."""

from __future__ import annotations

from filmroom.indexer.radiology.report_labeler import Statement
from filmroom.indexer.radiology.views_and_body_parts import view_of
from filmroom.indexer.radiology.vocabulary import view_finding

_KEPT = {"L": "LATERAL", "AP_HORIZONTAL": "AP"}


def view_statements(name: str) -> tuple[Statement, ...]:
    """What a view position says of a film; nothing where it is not known."""
    idea = view_finding(name)
    return (Statement(idea),) if idea else ()


def kept_view(name: str) -> str | None:
    """The view of the catalog's closed set that a table means; None for frontal, which may be PA or AP, and for words
    that are not known."""
    word = name.strip().upper()
    return _KEPT.get(word) or view_of(word, "")
