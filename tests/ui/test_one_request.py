"""What is seen, stepped through, saved and exported comes from one search request."""

from __future__ import annotations

import dataclasses
import shutil
import sqlite3
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.writes.annotations import save_search, saved_searches
from filmroom.search.request import Order, SearchRequest, UploadedFilm, from_parameters
from filmroom.search.results import Hit
from filmroom.search.searcher import Searcher
from filmroom.search.ui import layout
from filmroom.search.ui.query.query_chips import without
from filmroom.search.ui.query.search_state import remember_upload

from tests.pages import components, page, said, shown


@pytest.fixture
def dated(archive_folder: Path, tmp_path: Path) -> Path:
    """The archive with a year on every film but one; more films than a page shows, the newest not among the best."""
    copy = Path(shutil.copytree(archive_folder, tmp_path / "dated"))
    with sqlite3.connect(copy / "catalog.sqlite") as catalog:
        catalog.execute("UPDATE film SET year = 1980 + (id * 7) % 31 WHERE id > 1")
    return copy


def years(searcher: Searcher, ids: list[int]) -> list[int]:
    with sqlite3.connect(searcher.archive.folder / "catalog.sqlite") as catalog:
        known = dict(catalog.execute("SELECT id, year FROM film"))
    return [known[film_id] for film_id in ids]


def test_newest_first_sorts_all_that_pass_and_not_the_page_shown(dated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    searcher = Searcher.open(dated)
    everything = [hit.id for hit in searcher.search("effusion", k=100).hits]
    newest = sorted((year for year in years(searcher, everything) if year), reverse=True)
    test = page(dated, "search", monkeypatch, q="effusion", sort="newest")
    assert years(searcher, shown(test)) == newest[:24]
    assert "24 of 36 films, newest first" in said(test)
    assert "best" not in said(test), "an order by year ranks nothing"
    last = searcher.answer(SearchRequest("effusion", order=Order.NEWEST, k=100)).hits
    assert len(last) == len(everything)
    assert last[-1].film.tags.year is None
    assert all(hit.score is not None for hit in last)


def test_next_follows_the_order_that_was_chosen(dated: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = shown(page(dated, "search", monkeypatch, q="effusion", sort="oldest"))
    assert order != shown(page(dated, "search", monkeypatch, q="effusion"))
    test = page(dated, "film", monkeypatch, q="effusion", sort="oldest", film=str(order[5]))
    assert not test.button(key="step-Previous").disabled
    found = Searcher.open(dated).answer(SearchRequest("effusion", order=Order.OLDEST))
    assert [hit.id for hit in found.hits] == order


def test_a_film_says_where_it_stands_in_the_answer(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    order = [hit.id for hit in Searcher.open(archive_folder).search("effusion label:effusion", k=100).hits]
    for rank in (3, 18):
        test = page(archive_folder, "film", monkeypatch, q="effusion label:effusion", film=str(order[rank - 1]))
        assert f"Rank {rank} of 18 films" in said(test)
        assert components(test, "pick")[0]["film"] == str(order[rank - 1])
    other = next(hit.id for hit in Searcher.open(archive_folder).search("effusion", k=100).hits if hit.id not in order)
    test = page(archive_folder, "film", monkeypatch, q="effusion label:effusion", film=str(other))
    assert "Not among the films that pass" in said(test)


def test_an_uploaded_film_is_seen_and_restored(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch)
    searcher = layout.searcher(archive_folder)
    vector = searcher.index.vectors(np.array([numbered[7]]))[0].mean(axis=0)
    upload = UploadedFilm.of(searcher.held.space.fingerprint, vector / np.linalg.norm(vector))
    remember_upload(upload)
    test = page(archive_folder, "search", monkeypatch, upload=upload.id)
    assert shown(test)[0] == numbered[7]
    (chip,) = components(test, "chips")[0]["items"]
    assert (chip["text"], chip["part"]) == ("an uploaded film", f"upload {upload.id}")
    assert without(SearchRequest(uploads=(upload,)), chip["part"]).empty
    lost = page(archive_folder, "search", monkeypatch, upload="0123456789")
    assert "upload it again" in said(lost)


def test_all_that_pass_are_exported_in_the_order_of_the_page(archive_folder: Path, numbered: list[int]) -> None:
    searcher = Searcher.open(archive_folder)
    vector = searcher.index.vectors(np.array([numbered[7]]))[0].mean(axis=0)
    upload = UploadedFilm.of(searcher.held.space.fingerprint, vector / np.linalg.norm(vector))
    request = SearchRequest(uploads=(upload,), k=5)
    seen = [hit.id for hit in searcher.answer(request).hits]
    whole = [hit.id for hit in searcher.answer(dataclasses.replace(request, k=10_000)).hits]
    assert whole[:5] == seen
    assert whole != sorted(whole)
    picked = searcher.hits_of(request, whole[3:5])
    assert [hit.id for hit in picked] == whole[3:5]
    assert all(isinstance(hit, Hit) and hit.score is not None for hit in picked)


def test_an_uploaded_film_of_another_model_is_refused(archive_folder: Path) -> None:
    searcher = Searcher.open(archive_folder)
    with pytest.raises(BadInput, match="another model"):
        searcher.answer(SearchRequest(uploads=(UploadedFilm("other", bytes(4 * 32)),)))


def test_a_saved_search_keeps_examples_and_order(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch, q="edema", like=str(numbered[3]), sort="age", study="true")
    test.text_input(key="save-as").set_value("whole").run()
    next(button for button in test.button if button.label == "Save").click().run()
    test = page(archive_folder, "search", monkeypatch)
    test.button(key="saved-whole").click().run()
    assert (test.query_params["like"], test.query_params["sort"]) == (str(numbered[3]), "age")
    assert test.query_params["study"] == "true"
    test.button(key="unsave-whole").click().run()


def test_a_saved_search_has_a_name_that_is_seen(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch, q="edema")
    test.text_input(key="save-as").set_value("a\0b").run()
    next(button for button in test.button if button.label == "Save").click().run()
    assert not test.exception
    assert "cannot be seen" in test.error[0].value
    assert not saved_searches(Archive.open(archive_folder).catalog)


def test_a_liked_film_stays_in_the_answer_first_and_marked(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    test = page(archive_folder, "search", monkeypatch, q="effusion", like=f"{numbered[4]},{numbered[3]}")
    assert shown(test)[:2] == [numbered[4], numbered[3]]
    assert [one["mark"] for one in components(test, "grid")[0]["items"]][:3] == ["liked", "liked", None]
    assert "of 36 films" in said(test)
    request = from_parameters({"q": "effusion", "like": f"{numbered[4]},{numbered[3]}"})
    searcher = Searcher.open(archive_folder)
    assert searcher.passing(request, 24) == shown(test)
    assert sorted(searcher.passing(request, 100)) == sorted(numbered)
    narrow = dataclasses.replace(request, query="effusion label:effusion")
    assert searcher.passing(narrow, 100)[0] == numbered[3]
    assert numbered[4] not in searcher.passing(narrow, 100), "a filter holds for liked films, too"
    assert searcher.answer(dataclasses.replace(request, per_study=True, k=3)).hits[0].id == numbered[4]
    fused = searcher.answer(dataclasses.replace(request, hybrid=True))
    assert [hit.id for hit in fused.hits[:2]] == [numbered[4], numbered[3]]


def test_many_liked_films_leave_room_for_others(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    liked = numbered[:20]
    found = shown(page(archive_folder, "search", monkeypatch, like=",".join(map(str, liked))))
    assert found[:20] == liked
    assert len(found) == 36


def test_a_saved_search_by_an_uploaded_film_outlives_the_server(
    archive_folder: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = Searcher.open(archive_folder)
    vector = searcher.index.vectors(np.array([numbered[9]]))[0].mean(axis=0)
    upload = UploadedFilm.of(searcher.held.space.fingerprint, vector / np.linalg.norm(vector))
    save_search(searcher.catalog, "by-film", "", SearchRequest(uploads=(upload,)).to_json())
    test = page(archive_folder, "search", monkeypatch)
    test.button(key="saved-by-film").click().run()
    assert shown(test)[0] == numbered[9]
    test.button(key="unsave-by-film").click().run()
