"""Find what a query looks for in reports, beside the films: its words, never a report that denies what they name."""

from __future__ import annotations

from dataclasses import replace

from filmroom.db.catalog import Catalog
from filmroom.db.reads import fulltext
from filmroom.db.records import Filter, ReportedFinding
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.indexer.radiology.vocabulary import NORMAL, is_view
from filmroom.search.findings.read_reports import read_reports
from filmroom.search.query.parser import Query

_EMPTY = frozenset(
    "a an and any are as at by for from in is no not of on or the there to was were with".split()  # noqa: SIM905
)
"""Words that stand in every report and say nothing of a finding."""


def by_reports(catalog: Catalog, query: Query, k: int) -> list[int]:
    """Return the ids of the k films whose reports match the words best, best first, within the query's filter."""
    words, where = report_words(query)
    if where.asks_reports:
        read_reports(catalog)
    return fulltext.rank(catalog, words, k, where)


def report_words(query: Query) -> tuple[str, Filter]:
    """Return words to rank reports by, abbreviations also written out, and the query's filter without the reports that
    deny a finding which the words name: "no effusion" has the word, and is no hit for it."""
    text = ", ".join(query.positive)
    words = [word for word in f"{text} {spell_out(text).text}".split() if word.lower() not in _EMPTY]
    statements = (statement for statement in read_report(text) if statement.present)
    ideas = dict.fromkeys(statement.idea for statement in statements if statement.idea != NORMAL)
    denied = tuple(ReportedFinding(idea, idea) for idea in ideas if not is_view(idea))
    return " ".join(words), replace(query.filter, not_denies=(*query.filter.not_denies, *denied))
