"""The evaluation report: complete, readable without a network, and safe whatever the queries say."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path

import pytest
from filmroom.search.evaluation.metrics import Evaluation, Ranked, evaluate
from filmroom.search.evaluation.report import NOTICE, Page, to_html, to_markdown, write_report
from filmroom.search.evaluation.trec import Topic

NASTY = '<script>alert("x")</script> | left_mass'


@pytest.fixture
def evaluation() -> Evaluation:
    questions = [Topic(f"q{number}", f"finding {number}", "finding") for number in range(12)]
    questions += [Topic("n", NASTY, "side"), Topic("none", "nothing judged")]
    grades = {item.qid: {index: int(index == number) for index in range(14)} for number, item in enumerate(questions)}
    grades["none"] = {1: 0}

    def rank(text: str, k: int | None, within: set[int] | None) -> Ranked:
        return [(film, -float(film)) for film in range(20)]

    return evaluate(rank, questions, grades, films=range(20), name="film-{}".format)


class Reader(HTMLParser):
    """Tags, sources and text of a page."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.sources: list[str] = []
        self.words: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.sources += [value or "" for name, value in attrs if name in {"src", "href"}]

    def handle_data(self, data: str) -> None:
        self.words.append(data)


def test_html_says_all_and_loads_nothing(evaluation: Evaluation) -> None:
    page = Page(
        "Search of the archive",
        "mini",
        warning="The model has seen films of this set.",
        notes=["Films: 20"],
        thumbnail=lambda film: b"webp" if film == 0 else None,
    )
    reader = Reader()
    reader.feed(to_html(evaluation, page))
    text = " ".join(reader.words)
    assert "script" not in reader.tags
    assert reader.sources
    assert all(source.startswith("data:image/webp;base64,") for source in reader.sources)
    assert reader.tags.count("svg") == 2
    for said in (NOTICE, page.warning, NASTY, "random order", "gain linear", "Films: 20", *evaluation.left_out):
        assert said in text
    assert "film-0, grade 1" in text
    assert text.index(page.warning) < text.index("Means")
    assert "nan" not in text


def test_markdown_keeps_its_tables_whole(evaluation: Evaluation) -> None:
    text = to_markdown(evaluation, Page("Report", "mini"))
    lines = [line for line in text.splitlines() if line.startswith("|")]
    assert all(line.replace("\\|", "").count("|") == 7 for line in lines if "finding 3" in line)
    assert "\\<script\\>" in text
    assert "## Best queries" in text
    assert "## Worst queries" in text
    assert NOTICE in text


@pytest.mark.parametrize(("name", "start"), [("r.html", "<!doctype html>"), ("r.md", "# Report")])
def test_the_suffix_decides(tmp_path: Path, evaluation: Evaluation, name: str, start: str) -> None:
    write_report(tmp_path / name, evaluation, Page("Report", "mini"))
    assert (tmp_path / name).read_text().startswith(start)


def test_one_query_has_no_worst(evaluation: Evaluation) -> None:
    single = evaluate(lambda text, k, within: [(1, 1.0)], [Topic("q", "mass")], {"q": {1: 1}}, films=[1, 2])
    page = to_markdown(single, Page("Report", "mini"))
    assert "Worst" not in page
    assert "Groups" not in page
