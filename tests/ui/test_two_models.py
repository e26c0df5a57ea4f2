"""A session chooses its model, and sees two models' answers to one search beside each other."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.indexer import pipeline
from filmroom.indexer.models import registry
from filmroom.search.searcher import Searcher
from filmroom.search.ui.models import moved

from tests.pages import components, page, said, shown
from tests.ui.conftest import models_of, tiny_model


@pytest.fixture(scope="module")
def two(archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The archive under two models, of which the newer answers where none is chosen."""
    place = tmp_path_factory.mktemp("two")
    with models_of(place):
        registry.add_model(str(tiny_model(place / "tiny")))
        registry.add_model(str(tiny_model(place / "other", name="other", seed=8)))
        archive = Archive.open(Path(shutil.copytree(archive_folder, place / "archive")))
        pipeline.index(archive, [archive_folder.parent / "films"], registry.load_towers("other"))
        yield archive.folder


def test_a_session_chooses_its_model_and_no_other_session_has_it(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, "search", monkeypatch, q="effusion")
    before = shown(test)
    assert components(test, "grid")[0]["title"] == "Films that match"
    test.selectbox(key="model-choice").set_value("tiny").run()
    assert " · tiny · " in said(test).replace("\\", ""), said(test)
    assert shown(test) == [hit.id for hit in Searcher.open(two, "tiny").search("effusion", k=24).hits]
    assert shown(test) != before
    assert shown(page(two, "search", monkeypatch, q="effusion")) == before


@pytest.mark.parametrize("name", ["map", "zeroshot"])
def test_map_and_zero_shot_have_the_choice(two: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, name, monkeypatch, finding="effusion")
    test.selectbox(key="model-choice").set_value("tiny").run()
    assert not test.exception
    assert test.selectbox(key="model-choice").value == "tiny"


def test_two_answers_stand_side_by_side_with_what_moved(two: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(two, "search", monkeypatch, q="effusion")
    test.selectbox(key="beside-model").set_value("tiny").run()
    left, right = components(test, "grid")
    mine = {int(one["id"]): at for at, one in enumerate(left["items"], 1)}
    theirs = {int(one["id"]): at for at, one in enumerate(right["items"], 1)}
    assert f"{len(set(mine) & set(theirs))} of the best 24 films are the same" in said(test)
    for item in left["items"]:
        if (film := int(item["id"])) in theirs:
            assert item["mark_says"] == moved(mine[film], theirs[film])
    assert list(theirs) == [hit.id for hit in Searcher.open(two, "tiny").search("effusion", k=24).hits]


def test_what_moved_is_said_in_words() -> None:
    assert moved(3, 3) == "rank 3 there, too"
    assert moved(3, 10) == "rank 10 there, 7 lower"
    assert moved(10, 3) == "rank 3 there, 7 higher"
    assert moved(1, None) == "not there"
