from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Film, State, Tags
from filmroom.db.records import Label as Said
from filmroom.search.export import split as splitting
from filmroom.search.export.split import Split, assign, read_shares

from tests.search.export.conftest import House


def made(monkeypatch: pytest.MonkeyPatch, patients: int) -> np.ndarray:
    """Films of `patients`, 1 to 4 each, of whom 30 % have an effusion and 5 % a nodule."""
    rng = np.random.default_rng(0)
    everyone: dict[int, Film] = {}
    for patient in range(patients):
        labels = tuple(Said(name) for name, share in (("effusion", 0.3), ("nodule", 0.05)) if rng.random() < share)
        for _ in range(int(rng.integers(1, 5))):
            number = len(everyone) + 1
            tags = Tags(patient_key=f"patient {patient}")
            everyone[number] = Film(number, "/", f"{number}.png", 0, State.PRESENT, 1, tags, labels)
    monkeypatch.setattr(films, "films", lambda catalog, ids: [everyone[one] for one in ids])
    monkeypatch.setattr(splitting.films, "films", films.films)
    return np.array(list(everyone), np.int64)


def test_patients_stay_together_and_labels_are_spread(monkeypatch: pytest.MonkeyPatch, house: House) -> None:
    ids = made(monkeypatch, 400)
    split = Split((0.8, 0.1, 0.1), seed=3)
    places = assign(house.archive, ids, split)
    parts = defaultdict(set)
    counts: dict[str, np.ndarray] = defaultdict(lambda: np.zeros(3))
    for film, place in zip(films.films(house.archive.catalog, ids.tolist()), places, strict=True):
        parts[film.tags.patient_key].add(int(place))
        for label in film.label_names:
            counts[label][place] += 1
    assert max(map(len, parts.values())) == 1
    assert np.allclose(np.bincount(places) / len(ids), split.shares, atol=0.01)
    for label in ("effusion", "nodule"):
        assert np.allclose(counts[label] / counts[label].sum(), split.shares, atol=0.05), label
    assert np.array_equal(places, assign(house.archive, ids, split)), "the same every time"
    assert not np.array_equal(places, assign(house.archive, ids, Split((0.8, 0.1, 0.1), seed=4)))


def test_shares_are_read_as_people_write_them() -> None:
    assert read_shares("80/20").names == ("train", "test")
    assert read_shares("7/2/1").shares == pytest.approx((0.7, 0.2, 0.1))
    assert read_shares("0.8/0.2").shares == read_shares("80/20").shares
    assert len(read_shares("33.3/33.3/33.4").shares) == 3


@pytest.mark.parametrize(("text", "total"), [("50/60", "110"), ("80/10", "90"), ("2/2", "4"), ("0.5/0.6", "1.1")])
def test_shares_that_make_no_whole_are_refused(text: str, total: str) -> None:
    with pytest.raises(BadInput) as refused:
        read_shares(text)
    assert str(refused.value) == f"{text}: the shares add up to {total}. Let them add up to 100, 10 or 1."


def test_a_small_archive_gets_every_part(house: House) -> None:
    archive = Archive.open(house.folder)
    ids = np.array(sorted(film.id for film in house.films.values()), np.int64)
    places = assign(archive, ids, read_shares("60/20/20"))
    assert set(places.tolist()) == {0, 1, 2}


def test_the_split_is_written_the_same_in_every_kind(house: House, tmp_path: Path) -> None:
    import csv

    found = []
    for name, what in (("t.csv", "table"), ("set", "dataset")):
        house.door.export(what, everything=True, to=tmp_path / name, split="60/20/20", seed=5)
        path = tmp_path / name if what == "table" else tmp_path / name / "films.csv"
        with path.open(newline="") as file:
            found.append({row["id"]: row["split"] for row in csv.DictReader(file)})
    assert found[0] == found[1]
