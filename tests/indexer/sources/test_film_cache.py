"""Films that are fetched are kept for a while, by several processes at once, and nothing of them is left behind."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.records import Film, State, Tags
from filmroom.indexer.sources.film_cache import cache_folder, drop, source_path

from tests.indexer.sources.test_bucket import film
from tests.indexer.sources.test_listing import web

__all__ = ["web"]


@pytest.fixture
def kept(web: tuple[str, Path, list[str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Film:
    """A film of a listing."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return Film(1, web[0].removesuffix("films/"), "films/0.dcm", 0, State.PRESENT, 1, Tags())


def test_another_process_may_make_room_at_the_same_time(kept: Film) -> None:
    cache_folder().mkdir(parents=True)
    (cache_folder() / "gone.dcm").symlink_to("what another process has just deleted")
    assert source_path(kept).read_bytes() == film(0)


def test_a_place_where_nothing_can_be_kept_is_named(
    kept: Film, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    with pytest.raises(NotFound, match="cannot be kept while it is read"):
        source_path(kept)


def test_what_a_killed_process_has_left_goes(kept: Film) -> None:
    path = source_path(kept)
    halves = [cache_folder() / f".fetch-{name}" for name in ("old", "new", f"{path.stem}-half")]
    for half in halves:
        half.mkdir()
        (half / "film").write_bytes(b"Canary^Ada")
    os.utime(halves[0], (1, 1))
    path.unlink()
    source_path(kept)
    assert [half.exists() for half in halves] == [False, True, True], "another process may still be at it"
    drop([kept])
    assert [half.exists() for half in halves] == [False, True, False]
    assert not path.exists()


@pytest.mark.parametrize("size", ["much", "nan", "inf"])
def test_a_size_that_is_no_number_is_refused(kept: Film, monkeypatch: pytest.MonkeyPatch, size: str) -> None:
    monkeypatch.setenv("FILMROOM_CACHE_MB", size)
    with pytest.raises(BadInput, match="not a number of megabytes"):
        source_path(kept)
