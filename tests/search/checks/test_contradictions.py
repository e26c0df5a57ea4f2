"""Films that lie wrong, or are none, are found by their pictures, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.indexer.decoding.workers import thumbnail
from filmroom.indexer.phantom.rendering.render import render
from filmroom.indexer.phantom.sampling import sample
from filmroom.indexer.phantom.spec import View
from filmroom.search.checks.thumbnails import film_probe
from filmroom.search.checks.thumbnails.contradictions import LEAST_ODDS, MIRRORED, NO_CHEST, NOT_LATERAL, TURNED
from filmroom.search.checks.thumbnails.film_probe import LIES, TURNS, look
from PIL import Image

from tests.search.checks.conftest import picture
from tests.terminal import Terminal


@pytest.fixture(scope="module")
def frontal() -> Any:
    return render(sample(41, view=View.PA), 256)


@pytest.fixture
def odd(frontal: Any, terminal: Terminal, tiny: Path, tmp_path: Path) -> Terminal:
    """One film as it should lie, turned in several ways, called lateral, and a picture that is no film."""
    folder = tmp_path / "films"
    folder.mkdir()
    for name, pixels in {
        "right": frontal,
        "upside-down": np.rot90(frontal, 2),
        "turned": np.rot90(frontal),
        "mirrored": frontal[:, ::-1],
        "called-lateral": frontal[4:, 3:],
        "called-hand": np.rot90(frontal[2:, 3:], 2),
    }.items():
        Image.fromarray((255 * np.ascontiguousarray(pixels)).astype(np.uint8)).save(folder / f"{name}.png")
    picture(5).save(folder / "noise.png")
    (tmp_path / "facts.csv").write_text("film,view\nright.png,PA\ncalled-lateral.png,LATERAL\n")
    terminal("index", folder, "--model", tiny, "--workers", 1)
    terminal("facts", tmp_path / "facts.csv")
    assert terminal.code == 0, terminal.err
    with Archive.open(terminal.archive).catalog.write() as connection:
        connection.exec_driver_sql(
            "UPDATE film SET body_part = 'HAND' WHERE file_id = (SELECT id FROM file WHERE path = 'called-hand.png')"
        )
    return terminal


def test_what_a_picture_contradicts_is_listed_for_a_person(odd: Terminal) -> None:
    catalog = Archive.open(odd.archive).catalog
    names = {film.id: Path(film.path).stem for film in db_films.everyone(catalog)}
    before = catalog.changes()
    found: Any = odd.json("check", "archive")
    said = {names[one["film"]]: (one["why"], one["seems"]) for one in found["picks"] if one["seems"]}
    assert said == {
        "upside-down": (TURNED, "upside down"),
        "turned": (TURNED, "on its side"),
        "mirrored": (MIRRORED, "mirrored"),
        "called-lateral": (NOT_LATERAL, "frontal"),
        "noise": (NO_CHEST, "no frontal chest film"),
    }
    lines = {one["line"]: (one["count"], one["state"]) for one in found["rows"]}
    assert lines["pictures looked at"] == (6, "fine"), "a hand is not asked to be a chest"
    assert lines[TURNED] == (2, "look")
    assert not found["ok"]
    assert catalog.changes() == before
    out = odd("check", "archive")
    assert "a doubt, for a person to look at" in out
    assert "upside down" in out


def test_what_was_looked_at_is_not_looked_at_again(odd: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    first = odd.json("check", "archive")

    def never(webp: bytes) -> Any:
        raise AssertionError("read again")

    object.__setattr__(film_probe.FILM_PROBE, "take", never)
    try:
        assert odd.json("check", "archive") == first
    finally:
        object.__setattr__(film_probe.FILM_PROBE, "take", look)


def test_real_films_are_set_right_whatever_the_turn(real_data: Path) -> None:
    some = sorted((real_data / "cxr-real" / "images" / "dev").glob("*.jpg"))[:12]
    hits = alarms = 0
    for path in some:
        with Image.open(path) as film:
            pixels = np.asarray(film.convert("L"), np.float32) / 255
        for quarters in range(4):
            scores = look(thumbnail(np.ascontiguousarray(np.rot90(pixels, quarters))))[:TURNS]
            best = int(scores.argmax())
            wrong = scores[best] - scores[0] >= LEAST_ODDS and LIES[best] != "mirrored"
            hits, alarms = hits + (wrong and quarters > 0), alarms + (wrong and quarters == 0)
    assert hits >= 33
    assert alarms <= 1
