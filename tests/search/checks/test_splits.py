"""Leaks between the sides of a split are found, in the terminal."""

from __future__ import annotations

import csv
import re
import shlex
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes.annotations import collect

from tests.search.checks.conftest import picture
from tests.terminal import Terminal
from tests.ui.conftest import tiny_model


def test_patients_and_pictures_on_both_sides_are_found(leaky: Terminal, tmp_path: Path) -> None:
    found: Any = leaky.json("check", "splits", "--csv", tmp_path / "leaks.csv", "--collect", "leaks")
    assert found["figures"] == {
        "films in test": 6,
        "films in train": 11,
        "films in both": 0,
        "patients on both sides": 1,
        "files that are on the other side, too": 0,
        "near-duplicate pairs": 5,
    }
    assert not found["ok"]
    near = [one for one in found["picks"] if one["why"] == "near-duplicate"]
    assert {one["side"] for one in near} == {"test", "train"}
    assert len({one["film"] for one in near if one["side"] == "test"}) == 1
    with (tmp_path / "leaks.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert len(lines) == len(found["picks"])
    assert "path" not in lines[0]
    films = {one["film"] for one in found["picks"]}
    out = leaky("export", "table", "--collection", "leaks", "--to", tmp_path / "table.csv")
    assert leaky.code == 0, leaky.err + out
    assert len((tmp_path / "table.csv").read_text().splitlines()) == 1 + len(films)


def test_two_collections_are_two_sides(leaky: Terminal) -> None:
    for name, words in (("mine", "split:test"), ("yours", "split:train")):
        hits: Any = leaky.json("search", words, "-k", 50)
        collect(Archive.open(leaky.archive).catalog, name, [one["id"] for one in hits["hits"]])
    found: Any = leaky.json("check", "splits", "--collections", "mine", "yours")
    assert found["figures"]["near-duplicate pairs"] == 5
    leaky("check", "splits", "--collections", "mine", "nobody")
    assert leaky.code == 1
    assert leaky.err.strip() == (
        "filmroom: nobody: there is no collection of this name. The page Collections lists them."
    )


def test_a_split_that_nobody_named_is_said_in_one_line(leaky: Terminal) -> None:
    leaky("check", "splits", "--split-column", "fold")
    assert (leaky.code, len(leaky.err.strip().splitlines())) == (1, 1)
    assert "fold: no table gave the films this fact" in leaky.err


def test_duplicates_are_grouped_and_the_best_is_named(leaky: Terminal) -> None:
    found: Any = leaky.json("check", "duplicates")
    assert found["figures"]["groups of near-duplicates"] == 1
    assert found["figures"]["films in them"] == 6
    assert [one["advice"] for one in found["picks"]] == ["keep"] + ["drop"] * 5
    assert found["picks"][0]["rows"] == 320
    out = leaky("check", "duplicates")
    assert "near-duplicate" in out
    assert "The best of a group" in out


@pytest.mark.parametrize("check", ["splits", "duplicates", "archive"])
def test_films_without_a_picture_are_not_compared_and_counted(leaky: Terminal, check: str) -> None:
    (leaky.archive / "thumbnails.sqlite").unlink()
    found: Any = leaky.json("check", check)
    assert leaky.code in (0, 1)
    assert not [one for one in found["picks"] if one["why"] == "near-duplicate"]
    if check != "archive":
        assert "17 films without a picture: not compared. Try: filmroom doctor" in found["notes"]


def test_the_health_of_the_archive_names_the_patient_on_both_sides(leaky: Terminal) -> None:
    found: Any = leaky.json("check", "archive")
    lines = {one["line"]: (one["count"], one["state"]) for one in found["rows"]}
    assert lines["films that can be searched"] == (17, "fine")
    assert lines["films of patients on both sides"] == (2, "look")
    assert lines["odd size"] == (1, "look")


def test_the_commands_of_the_page_run_as_they_stand(leaky: Terminal, tmp_path: Path, monkeypatch: Any) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
    commands = re.findall(r"^filmroom (check .+)$", page.read_text("utf-8"), re.MULTILINE)
    commands = [one for one in commands if not one.startswith("check drift")]  # see test_drift
    assert len(commands) >= 4
    monkeypatch.chdir(tmp_path)
    for command in commands:
        leaky(*shlex.split(command))
        assert leaky.code == 0, (command, leaky.err)


def test_films_without_a_vector_are_named_as_not_compared(leaky: Terminal, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "more").mkdir()
    for seed in (20, 21):
        picture(seed).save(tmp_path / "more" / f"more-{seed}.png")
    (tmp_path / "sides.csv").write_text("film,split\nmore-20.png,test\nmore-21.png,train\n")
    leaky("index", tmp_path / "more", "--model", tiny_model(tmp_path / "other", name="other", seed=8), "--workers", 1)
    leaky("facts", tmp_path / "sides.csv")
    for check in ("duplicates", "splits"):
        found: Any = leaky.json("check", check, "--model", tiny)
        assert "2 films without a vector of this model: not compared by picture." in found["notes"], check


def test_what_may_be_another_exposure_is_looked_at_and_not_dropped(
    leaky: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.search.checks.duplicates.SURE_LIKENESS", 1.01)
    found: Any = leaky.json("check", "duplicates")
    assert [one["advice"] for one in found["picks"]] == ["keep"] + ["look"] * 5
    assert any("another exposure of the same patient" in note for note in found["notes"])
