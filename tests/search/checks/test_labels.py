"""Labels that were flipped are found again, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.writes.annotations import label_values
from filmroom.search.checks.known_labels import no_such_label
from filmroom.search.checks.labels import NEIGHBOURS, doubts, neighbours_of

from tests.terminal import Terminal


def test_flipped_labels_come_first() -> None:
    rng = np.random.default_rng(3)
    truth = rng.random(300) < 0.3
    rows = rng.normal(size=(300, 16)).astype(np.float32)
    rows[:, 0] += np.where(truth, 2.5, -2.5)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    flipped = rng.permutation(300)[:15]
    given = truth.copy()
    given[flipped] ^= True
    patients = np.array([f"patient {at // 2}" for at in range(300)])
    found = doubts(rows, given, patients, neighbours_of(rows, patients))
    assert len(set(np.argsort(-found.doubt)[:15].tolist()) & set(flipped.tolist())) >= 13
    assert ((found.doubt >= 0) & (found.doubt <= 1)).all()


def test_a_film_does_not_speak_for_another_of_its_patient() -> None:
    rng = np.random.default_rng(4)
    rows = np.repeat(rng.normal(size=(60, 8)), 2, axis=0).astype(np.float32)  # two equal films a patient
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    given = np.repeat(rng.random(60) < 0.5, 2)
    patients = np.repeat([f"patient {at}" for at in range(60)], 2)
    found = doubts(rows, given, patients, neighbours_of(rows, patients))
    assert found.neighbours[given].mean() < 0.8  # of chance: no label follows from its twin's


@pytest.mark.parametrize(("films", "patients"), [(6, 3), (40, 4), (300, 100), (900, 5)])
def test_neighbours_are_those_of_comparing_every_pair(films: int, patients: int) -> None:
    """Of a patient with many films the nearest of others lie behind more of its own than are looked at first."""
    rng = np.random.default_rng(films)
    whose = rng.integers(0, patients, films)
    rows = (rng.normal(size=(patients, 8))[whose] + 0.3 * rng.normal(size=(films, 8))).astype(np.float32)
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    target = rng.random(films) < 0.4
    shares = neighbours_of(rows, whose.astype(str)).share(target)
    for film in range(films):
        others = np.flatnonzero(whose != whose[film])
        cosines = rows[others] @ rows[film]
        nearest = np.argsort(-cosines)[:NEIGHBOURS]
        weights = np.maximum(cosines[nearest], 0) + 1e-6
        assert shares[film] == pytest.approx((weights * target[others[nearest]]).sum() / weights.sum(), abs=1e-4)


def test_the_command_lists_doubts_and_writes_no_label(terminal: Terminal, films: Any, tiny: Path) -> None:
    folder = films(40)
    terminal("index", folder, "--model", tiny, "--workers", 1)
    table = folder.parent / "labels.csv"
    table.write_text("film,label,value\n" + "".join(f"film-{at:03}.png,edema,{at % 2}\n" for at in range(40)))
    terminal("label", table)
    before = label_values(Archive.open(terminal.archive).catalog)
    found: Any = terminal.json("check", "labels", "edema", "--collect", "doubts")
    assert found["figures"]["findings checked"] == 1
    assert {one["label"] for one in found["picks"]} <= {"present", "absent"}
    assert [one["doubt"] for one in found["picks"]] == sorted((one["doubt"] for one in found["picks"]), reverse=True)
    assert label_values(Archive.open(terminal.archive).catalog) == before
    assert terminal.json("check", "labels", "Edema", " edema") == found, "a finding that is named twice is one"
    assert terminal.json("check", "labels", "pulmonary oedema") == found, "by any of its names"
    terminal("check", "labels", "unicorn")
    assert (terminal.code, terminal.err.strip()) == (
        1,
        "filmroom: unicorn: there is no label of this name. Labels: edema",
    )


def test_a_long_list_of_labels_says_how_many_more_there_are() -> None:
    labels = [f"finding {at:02}" for at in range(20)]
    said = str(no_such_label(["unicorn"], labels))
    assert said.endswith("finding 10, finding 11 and 8 more")
    assert str(no_such_label(["unicorn"], labels[:12])).endswith("finding 10, finding 11")
