"""The Archive page's lists of films that somebody who checks an archive looks at."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from filmroom.db.archive import Archive
from filmroom.search.ui.pages.film_lists import film_lists

from tests.pages import components, page, said


@pytest.fixture
def checked(archive_folder: Path, numbered: list[int], tmp_path: Path) -> Path:
    """The archive with two copies of a film, another picture under a UID, words in a film and a film that is gone."""
    copy = Path(shutil.copytree(archive_folder, tmp_path / "checked"))
    with sqlite3.connect(copy / "catalog.sqlite") as catalog:
        (root,) = catalog.execute("SELECT root_id FROM file").fetchone()
        for path, reason, film in (
            ("copy-1.dcm", "SAME_CONTENT", numbered[2]),
            ("copy-2.dcm", "SAME_PICTURE", numbered[2]),
            ("<b>twin.dcm", "SAME_UID", numbered[5]),
        ):
            catalog.execute(
                "INSERT INTO file (root_id, path, size, mtime_ns, tried_at, listed, outcome, reason, duplicate_of) "
                "VALUES (?, ?, 1, 1, 0, 1, 'duplicate', ?, ?)",
                (root, path, reason, film),
            )
        catalog.execute("UPDATE film SET burned_in = 1 WHERE id = ?", (numbered[7],))
        catalog.execute("UPDATE film SET state = 'gone' WHERE id = ?", (numbered[9],))
    return copy


def test_each_list_has_the_films_that_it_names(checked: Path, numbered: list[int]) -> None:
    found = film_lists(Archive.open(checked))
    assert {name: list(one.ids) for name, one in found.items()} == {
        "Duplicates": [numbered[2]],
        "Same UID": [numbered[5]],
        "Burned-in text": [numbered[7]],
        "Gone": [numbered[9]],
    }
    assert found["Duplicates"].says == {numbered[2]: "2 copies"}


def test_a_list_is_a_grid_with_picks(checked: Path, numbered: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(checked, "archive", monkeypatch)
    assert components(test, "grid") == []
    for name, film in (("Duplicates", numbered[2]), ("Same UID", numbered[5]), ("Gone", numbered[9])):
        test.segmented_control(key="film-list").set_value(name).run()
        (wall,) = components(test, "grid")
        assert [item["id"] for item in wall["items"]] == [str(film)]
        assert "pick" in wall["tools"]
        assert {"collect", "tag", "export"} <= set(wall["bar"]["actions"])
    assert "Their tags and judgements are kept" in said(test)
