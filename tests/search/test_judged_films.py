"""Which films a search learns from: judgements, votes and labels of what is asked; terminal, page and export agree."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.writes.annotations import Judgement, judge
from filmroom.search.query.judged_films import judged_films
from filmroom.search.query.parser import parse
from filmroom.search.request import SearchRequest
from filmroom.search.searcher import Searcher
from filmroom.search.ui.text import plain

from tests.pages import page, said
from tests.terminal import Terminal

pytestmark = pytest.mark.usefixtures("either")

Films = Callable[..., Path]


@pytest.fixture
def archive(terminal: Terminal, films: Films, tiny: Path) -> Archive:
    terminal("index", films(12), "--model", tiny)
    return Archive.open(terminal.archive)


def ids(archive: Archive) -> dict[str, int]:
    return {film.path: film.id for film in db_films.everyone(archive.catalog)}


def grade(archive: Archive, query: str, grades: dict[int, int], judge_name: str = "ab") -> None:
    for film, value in grades.items():
        judge(archive.catalog, Judgement(query, film, judge_name, value))


@pytest.mark.parametrize(
    ("judged", "asked", "counts"),
    [
        ("pleural effusion", "pleural effusion", True),
        ("pleural effusion view:PA", "effusion sex:F", True),
        ("fluid in the pleural space", "effusion", True),
        ("left effusion", "effusion", False),
        ("left effusion", "effusion on the left", True),
        ("effusion", "no effusion", False),
        ("effusion -pacemaker", "effusion", False),
        ("odd looking ribs", "Odd  looking ribs", True),
        ("odd looking ribs", "ribs", False),
        ("edema", "effusion", False),
    ],
)
def test_judgements_of_the_same_topic_count(judged: str, asked: str, counts: bool, archive: Archive) -> None:
    grade(archive, judged, {1: 2, 2: 0})
    assert judged_films(archive.catalog, parse(asked), {}) == ({1: True, 2: False} if counts else {})


def test_a_vote_counts_before_a_judgement_and_that_before_a_label(
    terminal: Terminal, archive: Archive, tmp_path: Path
) -> None:
    by_name = {film: path for path, film in ids(archive).items()}
    (tmp_path / "l.csv").write_text("film,label\n" + "\n".join(f"{by_name[film]},Effusion" for film in (1, 2, 3)))
    terminal("label", tmp_path / "l.csv")
    assert judged_films(archive.catalog, parse("effusion"), {}) == {1: True, 2: True, 3: True}
    (tmp_path / "m.csv").write_text(f"film,label\n{by_name[4]},mass\n")
    terminal("label", tmp_path / "m.csv")
    grade(archive, "effusion", {2: 0, 5: 3})
    grade(archive, "effusion", {5: 0}, "cd")
    found = judged_films(archive.catalog, parse("pleural effusion"), {1: -1, 7: 1})
    assert found == {1: False, 2: False, 3: True, 4: False, 5: False, 7: True}
    assert 3 not in judged_films(archive.catalog, parse("left pleural effusion"), {}), "a label says nothing of a side"


def test_a_search_learns_on_a_switch_alone_and_all_doors_agree(terminal: Terminal, archive: Archive) -> None:
    plain_answer = terminal.json("search", "effusion", "-k", 12)
    assert isinstance(plain_answer, dict)
    assert plain_answer["learned"] is None
    last = [hit["id"] for hit in plain_answer["hits"]][-3:]
    first = [hit["id"] for hit in plain_answer["hits"]][:3]
    grade(archive, "pleural effusion", dict.fromkeys(last, 2) | dict.fromkeys(first, 0))
    assert terminal.json("search", "effusion", "-k", 12)["hits"] == plain_answer["hits"]  # type: ignore[index]

    found = terminal.json("search", "effusion", "-k", 12, "--judged")
    assert isinstance(found, dict)
    assert (found["learned"]["show"], found["learned"]["lack"]) == (3, 3)
    assert found["learned"]["weight"] == pytest.approx(0.5 * 3 / 13)
    order = [hit["id"] for hit in found["hits"]]
    before = {hit["id"]: hit["score"] for hit in plain_answer["hits"]}
    assert {hit["id"]: hit["score"] for hit in found["hits"]} != before
    assert "Ranked with 6 judged or labelled films (3 show it, 3 do not)" in terminal("search", "effusion", "--judged")

    searcher = Searcher.open(terminal.archive)
    request = SearchRequest("effusion", judged=True, k=12)
    assert [hit.id for hit in searcher.answer(request).hits] == order
    exported = {hit.id: hit.score for hit in searcher.hits_of(request, order)}
    seen = {hit["id"]: hit["score"] for hit in found["hits"]}
    assert exported == pytest.approx(seen, abs=1e-5), "what is exported has the scores that were seen"
    assert "learn" in terminal("search", "edema", "--judged"), "nothing is judged for it yet"


def test_the_page_says_what_it_learned(terminal: Terminal, archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    grade(archive, "effusion", {1: 2, 2: 0, 3: 0})
    test = page(terminal.archive, monkeypatch=monkeypatch, q="effusion", judged="true")
    assert not test.exception
    assert test.toggle(key="judged").value is True
    assert plain("Ranked with 3 judged or labelled films (1 show it, 2 do not)") in said(test)
    test.toggle(key="judged").set_value(False).run()
    assert "judged" not in test.query_params
    assert "labelled films" not in said(test)
