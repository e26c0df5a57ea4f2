"""Two sides that differ are told apart, by their vectors and by their facts; two halves of one thing are not."""

from __future__ import annotations

import csv
import re
import shlex
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.films import everyone
from filmroom.db.schema import film, run
from filmroom.db.writes import runs
from filmroom.db.writes.annotations import collect
from filmroom.search.checks.subgroups import drift
from filmroom.search.checks.subgroups.named_sides import side_of
from filmroom.search.checks.subgroups.two_sample import permuted_sides, two_sample
from sqlalchemy import update

from tests.terminal import Terminal


def made(rng: np.random.Generator, *, moved: float) -> tuple[Any, Any, Any]:
    """Two films of each of 120 patients, half of them on either side; the second side is moved in one dimension."""
    patients = np.repeat(np.arange(120), 2)
    second = patients % 2 == 1
    rows = np.repeat(rng.normal(size=(120, 12)), 2, axis=0) + 0.3 * rng.normal(size=(240, 12))
    rows[second, 0] += moved
    return rows.astype(np.float32), second, patients


def test_what_was_moved_is_found_and_halves_of_one_thing_are_alike() -> None:
    rng = np.random.default_rng(1)
    rows, second, patients = made(rng, moved=1.5)
    found = two_sample(rows, second, patients, permuted_sides(second, patients, 199))
    assert found.p == 1 / 200
    assert 0.75 < found.auc < 0.95
    assert found.scores[second].mean() > found.scores[~second].mean()
    p = []
    for _ in range(20):
        rows, second, patients = made(rng, moved=0)
        p.append(two_sample(rows, second, patients, permuted_sides(second, patients, 99)).p)
    assert sum(one < 0.05 for one in p) <= 4
    assert 0.25 < np.mean(p) < 0.75


def test_patients_change_sides_as_a_whole_and_their_films_where_they_are_on_both() -> None:
    patients = np.array([0, 0, 1, 1, 1, 2, 3, 3, 3, 4])
    second = np.array([0, 0, 1, 1, 1, 0, 0, 1, 0, 1], bool)  # the fourth patient is on both
    dealt = permuted_sides(second, patients, 50)
    assert (dealt[0] == dealt[1]).all()
    assert (dealt[2] == dealt[3]).all()
    assert (dealt[6:9].sum(axis=0) == 1).all()
    assert len({tuple(column) for column in dealt[6:9].T}) == 3
    assert (dealt[[0, 2, 5, 9]].sum(axis=0) == 2).all()
    assert len({tuple(column) for column in dealt[[0, 2, 5, 9]].T}) > 3


@pytest.fixture
def sided(terminal: Terminal, films: Any, tiny: Path) -> Terminal:
    """Fifty films, half of them to test on; the women are there alone. Their patients have one film each."""
    folder = films(50)
    terminal("index", folder, "--model", tiny, "--workers", 1)
    table = folder.parent / "facts.csv"
    rows = [
        f"film-{at:03}.png,p{at},{'test' if at < 25 else 'train'},{'FM'[at >= 22]},2{at % 2:03}" for at in range(50)
    ]
    table.write_text("film,patient,split,sex,year\n" + "\n".join(rows))
    terminal("facts", table)
    assert terminal.code == 0, terminal.err
    return terminal


def test_the_command_says_what_moved(sided: Terminal, tmp_path: Path) -> None:
    found: Any = sided.json("check", "drift", "split:train", "split:test", "--csv", tmp_path / "moved.csv")
    assert (found["figures"]["films in split:train"], found["figures"]["films in split:test"]) == (25, 25)
    assert 0 < found["figures"]["p"] <= 1
    first = found["rows"][0]
    assert (first["fact"], first["slice"], first["state"]) == ("sex", "M", "moved")
    assert (first["A"], first["B"], first["difference"]) == (1.0, 0.12, -0.88)
    assert first["low"] < -0.88 < first["high"]
    assert not found["ok"]
    with (tmp_path / "moved.csv").open(newline="") as file:
        assert [line["slice"] for line in csv.DictReader(file)] == [row["slice"] for row in found["rows"]]
    assert "A is split:train, B is split:test." in sided("check", "drift", "split:train", "split:test")


def test_the_commands_of_the_page_run_as_they_stand(sided: Terminal, tmp_path: Path, monkeypatch: Any) -> None:
    page = Path(__file__).resolve().parents[3] / "docs" / "checks.md"
    commands = re.findall(r"^filmroom (check drift .+)$", page.read_text("utf-8"), re.MULTILINE)
    assert len(commands) == 2
    monkeypatch.chdir(tmp_path)
    for command in commands:
        sided(*shlex.split(command))
        assert sided.code == 0, (command, sided.err)


def test_the_most_typical_films_of_either_side_are_picked(sided: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "ALPHA", 1.1)
    found: Any = sided.json("check", "drift", "split:train", "split:test", "--collect", "typical")
    assert {one["side"] for one in found["picks"]} == {"split:train", "split:test"}
    assert len(found["picks"]) == 2 * drift.TYPICAL
    places = {
        side: [one["place"] for one in found["picks"] if one["side"] == f"split:{side}"] for side in ("train", "test")
    }
    assert places["train"] == sorted(places["train"])
    assert places["test"] == sorted(places["test"], reverse=True)


def test_the_fact_that_names_the_sides_is_left_out(sided: Terminal) -> None:
    found: Any = sided.json("check", "drift", "year:2000", "year:2001")
    assert "year" not in {row["fact"] for row in found["rows"]}
    assert "sex" in {row["fact"] for row in found["rows"]}


def test_of_sides_that_are_alike_it_says_how_many_facts_were_tested(sided: Terminal) -> None:
    found: Any = sided.json("check", "drift", "year:2000", "year:2001")
    assert found["ok"]
    measured = [row for row in found["rows"] if row["p"] is not None]
    few = len(found["rows"]) - len(measured)
    small = f" ({few} too small)" if few else ""
    said = f"No difference is shown, by vectors or in the {len(measured)} facts that were tested{small}."
    assert found["conclusion"] == said
    out = sided("check", "drift", "year:2000", "year:2001")
    assert said in out
    assert "Nothing to look at" not in out


def test_of_more_films_random_patients_are_compared(sided: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(drift, "MOST_FILMS", 44)
    found: Any = sided.json("check", "drift", "split:train", "split:test")
    assert found["films"] == 44
    assert any(note.startswith("Only the films of random patients") for note in found["notes"])


def test_sides_are_named_by_source_run_and_collection(sided: Terminal, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = Archive.open(sided.archive)
    ids = [entry.id for entry in everyone(archive.catalog)]
    collect(archive.catalog, "odd ones", ids[::2])
    assert side_of(archive, "source:films").ids.tolist() == ids
    assert side_of(archive, "run:1").ids.tolist() == ids
    assert side_of(archive, 'collection:"odd ones"').ids.tolist() == ids[::2]
    monkeypatch.setattr(drift, "LEAST_FILMS", 5)
    both: Any = sided.json("check", "drift", "split:train", 'collection:"odd ones"')
    assert both["films"] == 26
    assert "12 films on both sides: left out." in both["notes"]


def test_a_run_that_was_killed_ends_where_the_next_one_begins(sided: Terminal) -> None:
    archive = Archive.open(sided.archive)
    ids = [entry.id for entry in everyone(archive.catalog)]
    later = runs.start(archive.catalog, ["films"], "tiny")
    ended = subprocess.Popen(["true"])
    ended.wait()
    with archive.catalog.write() as connection:
        connection.execute(update(film).values(added_at=250))
        connection.execute(update(film).where(film.c.id <= ids[9]).values(added_at=110))
        for number, values in (
            (1, {"state": "running", "started_at": 100, "ended_at": None, "pid": ended.pid}),
            (later, {"state": "done", "started_at": 200, "ended_at": 300}),
        ):
            connection.execute(update(run).where(run.c.id == number).values(values))
    assert side_of(archive, "run:1").ids.tolist() == ids[:10]
    assert side_of(archive, f"run:{later}").ids.tolist() == ids[10:]


def test_a_side_that_is_none_is_one_line(sided: Terminal) -> None:
    for side, said in (
        ("2019", "2019: this does not name a side. Name a side as year:2019, "),
        ("split:train )", "split:train ): not every sign is read: "),
        ("split:nobody", "split:nobody: no film is on this side."),
        ("run:77", "77: there is no run of this number."),
        ("run:last", "last: a run is named by its number."),
        ("source:there", "there: there is no source of this name. Sources: films"),
        ("split:test", "split:test: both sides are the same films."),
        ("split:TEST", "split:TEST and split:test: both sides are the same films."),
        ("split:train OR split:test", "split:test: 0 films of 0 patients with a vector of this model"),
        ("collection:nobody", "nobody: there is no collection of this name. Collections: none"),
        ("collection:nobody OR split:train", "nobody: there is no collection of this name. Collections: none"),
    ):
        sided("check", "drift", side, "split:test")
        assert (sided.code, len(sided.err.strip().splitlines())) == (1, 1)
        assert sided.err.startswith(f"filmroom: {said}")
