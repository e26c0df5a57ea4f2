"""Judging through query sets, and settling what two readers graded differently."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.writes import annotations
from filmroom.db.writes.annotations import Judgement
from filmroom.db.writes.query_sets import put_query_set, query_sets, remove_query_set
from filmroom.search.evaluation.pooling import ADJUDICATED, agreements, disagreements, to_qrels
from filmroom.search.ui.judge_sets import JUDGED, queries_of, sets

from tests.pages import page, said


@pytest.fixture
def own(archive_folder: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(archive_folder, tmp_path / "archive"))


def test_sets_are_kept_replaced_and_removed(own: Path) -> None:
    catalog = Archive.open(own).catalog
    put_query_set(catalog, " Ward ", ["effusion", " edema ", "effusion", ""])
    put_query_set(catalog, "a_%", ["mass"])
    assert query_sets(catalog) == {"a_%": ["mass"], "Ward": ["effusion", "edema"]}
    remove_query_set(catalog, "a_%")
    assert list(query_sets(catalog)) == ["Ward"]
    for name, queries in (("", ["mass"]), ("x", ["  "])):
        with pytest.raises(BadInput):
            put_query_set(catalog, name, queries)


def test_lines_and_query_files_are_read() -> None:
    assert queries_of("effusion\n\n small mass ") == ["effusion", "small mass"]
    assert queries_of("q1\teffusion\tfinding\nq2\tsmall mass\n") == ["effusion", "small mass"]
    with pytest.raises(BadInput):
        queries_of("q1\teffusion\nq1\tmass")


def test_a_set_says_how_far_its_reader_is_after_every_grade(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put_query_set(Archive.open(own).catalog, "Ward", ["effusion", "edema"])
    test = page(own, "judge", monkeypatch)
    test.text_input(key="judge").set_value("ab").run()
    test.number_input(key="judge-depth").set_value(5).run()
    test.selectbox(key="judge-set").set_value("Ward").run()
    assert "0 of 2 queries, 0 of 10 films" in bars(test)
    test.button(key="next-query").click().run()
    for graded in range(1, 6):
        test.button(key="grade-1").click().run()
        assert f"{graded} of 10 films" in bars(test)
    assert "1 of 2 queries" in bars(test)
    test.button(key="next-query").click().run()
    assert test.text_input(key="judged").value == "edema"
    test.text_input(key="judge").set_value("kb").run()
    assert "0 of 2 queries, 0 of 10 films" in bars(test), "each reader has a progress of their own"


def test_a_film_is_graded_on_its_own_page(own: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    catalog = Archive.open(own).catalog
    test = page(own, "film", monkeypatch, film=str(numbered[3]), q="small effusion view:PA")
    test.text_input(key="judge").set_value("ab").run()
    key = f"grade-{numbered[3]}"
    test.segmented_control(key=key).set_value(2).run()
    assert annotations.judgements(catalog) == [Judgement("small effusion", numbered[3], "ab", 2)]
    test.segmented_control(key=key).set_value(0).run()
    assert [one.grade for one in annotations.judgements(catalog)] == [0]
    test.segmented_control(key=key).set_value(None).run()
    assert annotations.judgements(catalog) == []


def bars(test: object) -> str:
    return " ".join(one.proto.text for one in test.get("progress"))  # type: ignore[attr-defined]


def test_a_set_that_was_just_kept_is_judged(own: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(own, "judge", monkeypatch, judged="effusion")
    test.text_input(key="judge").set_value("ab").run()
    test.text_input(key="set-name").set_value("Ward").run()
    test.text_area(key="set-text").set_value("effusion").run()
    test.button(key="set-keep").click().run()
    assert "The query set Ward is kept" in said(test)
    assert not test.exception
    test.button(key="grade-1").click().run()
    assert not test.exception
    assert len(annotations.judgements(Archive.open(own).catalog)) == 1


def test_a_query_with_a_word_that_nobody_knows_says_so_before_it_is_judged(
    own: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(own, "judge", monkeypatch, judged="XQZT")
    test.text_input(key="judge").set_value("ab").run()
    (warning,) = test.warning
    assert warning.value.replace("\\", "").startswith("XQZT: an abbreviation that is not known here; write it out.")
    test.text_input(key="judged").set_value("effusion").run()
    assert not test.warning


def test_what_readers_differ_on_is_adjudicated_and_counts_so(
    own: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    catalog = Archive.open(own).catalog
    for judge, grades in (("ab", (3, 1)), ("kb", (0, 1))):
        for film, grade in zip(numbered, grades, strict=False):
            annotations.judge(catalog, Judgement("effusion", film, judge, grade))
    assert disagreements(annotations.judgements(catalog)) == [("effusion", numbered[0])]
    test = page(own, "judge", monkeypatch)
    test.text_input(key="judge").set_value("cd").run()
    test.toggle(key="adjudicate").set_value(True).run()
    assert "ab: Exactly this" in said(test).replace("\\", "")
    assert "kb: No match" in said(test).replace("\\", "")
    test.button(key="grade-2").click().run()
    given = annotations.judgements(catalog)
    assert given[-1] == Judgement("effusion", numbered[0], f"{ADJUDICATED}cd", 2)
    assert disagreements(given) == []
    assert "2 judges, 1 adjudicated" in said(test)
    assert "% equal, weighted kappa" in said(test).replace("\\", "")
    _, qrels = to_qrels(given, films.everyone(catalog))
    assert sorted(qrels["q1"].values()) == [1, 2]
    assert [(one.a, one.b) for one in agreements(given)] == [("ab", "kb")]
    test.button(key="undo-grade").click().run()
    assert len(disagreements(annotations.judgements(catalog))) == 1
    assert list(sets(Archive.open(own))) == [JUDGED]
