"""`says:` and `denies:` find films by what their reports assert."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.fulltext import count_unread
from filmroom.db.schema import report, report_finding
from filmroom.indexer.radiology.report_labeler import READER
from filmroom.search.findings.read_reports import read_reports
from filmroom.search.query.parser import parse
from filmroom.search.ranking.report_words import report_words
from sqlalchemy import delete, func, select, update

from tests.terminal import Terminal

pytestmark = pytest.mark.usefixtures("either")

REPORTS = (
    "No pleural effusion. Small left pneumothorax.",
    "Moderate right pleural effusion. No pneumothorax.",
    "Pleural effusion cannot be excluded.",
    "Bilateral pleural effusions. Covid-19 pneumonia.",
    "No change in the left lower lobe consolidation.",
)


@pytest.fixture
def read(terminal: Terminal, films: Callable[..., Path], tmp_path: Path, tiny: Path) -> Terminal:
    terminal("index", films(6), "--model", tiny)
    table = tmp_path / "reports.csv"
    table.write_text("film,report\n" + "".join(f'film-{n:03},"{text}"\n' for n, text in enumerate(REPORTS)))
    terminal("report", table)
    return terminal


def names(terminal: Terminal, query: str) -> list[str]:
    found = terminal.json("search", query, "-k", 10)
    assert isinstance(found, dict)
    return sorted(Path(hit["path"]).stem[-1] for hit in found["hits"])


ASKED = {
    "says:effusion": "13",
    "denies:effusion": "0",
    'says:"left effusion"': "3",
    'says:"right effusion"': "13",
    'says:"moderate effusion"': "1",
    "says:pneumonia": "3",
    'says:"lower lobe consolidation"': "4",
    'says:"upper lobe consolidation"': "",
    "denies:pneumothorax": "1",
    "says:(effusion OR pneumothorax)": "013",
    "(says:consolidation OR denies:PTX)": "14",
    "has:report -says:effusion -denies:effusion": "24",
    "path:film -says:effusion": "0245",
    'report:"pleural effusion"': "012",
}


def test_films_by_what_their_reports_assert(read: Terminal) -> None:
    assert {query: "".join(names(read, query)) for query in ASKED} == ASKED


def test_reports_of_an_archive_from_before_are_read_when_first_asked_for(read: Terminal, tmp_path: Path) -> None:
    catalog = Archive.open(tmp_path / "archive").catalog
    with catalog.write() as connection:
        connection.execute(delete(report_finding))
        connection.execute(update(report).values(read_by=None))
    assert count_unread(catalog, READER) == len(REPORTS)
    assert "".join(names(read, "says:effusion")) == "13"
    assert count_unread(catalog, READER) == 0
    assert read_reports(catalog) == 0


def test_a_report_that_goes_takes_what_it_says_along(read: Terminal, tmp_path: Path) -> None:
    catalog = Archive.open(tmp_path / "archive").catalog
    found = read.json("search", "says:pneumonia")
    assert isinstance(found, dict)
    read("forget", found["hits"][0]["id"], "--yes")
    with catalog.read() as connection:
        kept = select(func.count()).select_from(report_finding).where(report_finding.c.finding == "pneumonia")
        assert connection.scalar(kept) == 0


def test_a_report_that_denies_the_words_is_no_hit_of_a_hybrid_search(read: Terminal) -> None:
    plain, fused = (
        [Path(hit["path"]).stem[-1] for hit in read.json("search", "pleural effusion", "-k", 10, *more)["hits"]]  # type: ignore[call-overload]
        for more in ((), ("--hybrid",))
    )
    assert plain.index("0") <= fused.index("0"), "its report has both words, and denies them"
    assert {"1", "2", "3"} == set(fused[:3])


def test_what_a_query_looks_for_in_reports() -> None:
    words, where = report_words(parse("CHF with fluid in the pleural space view:PA"))
    assert words.split()[:3] == ["CHF", "fluid", "pleural"]
    assert {"congestive", "heart", "failure"} <= set(words.split())
    assert "effusion" in {one.finding for one in where.not_denies}
    assert where.views == ("PA",)
    assert report_words(parse("-effusion")) == ("", parse("-effusion").filter)
