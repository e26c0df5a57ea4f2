"""Read what public sets call views as statements to judge by."""

from __future__ import annotations

from filmroom.indexer.radiology.report_labeler import Statement
from filmroom.indexer.radiology.vocabulary import view_finding


def view_statements(name: str) -> tuple[Statement, ...]:
    """Say what a view position means of a film; nothing where it is not known."""
    idea = view_finding(name)
    return (Statement(idea),) if idea else ()
