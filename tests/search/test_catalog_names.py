"""An archive's films are found by its catalog's indexes as they are by all their names in memory."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import pytest
from filmroom.db.records import Film, State, Tags
from filmroom.search.catalog_names import CatalogNames, CatalogStudies
from filmroom.search.film_names import FilmNames, StudyNames

from tests.named_catalog import catalog_of

KEY = b"key"
PARTS = [
    "p1",
    "p2",
    "study1",
    "study2",
    "set",
    "CheXpert-v1.0",
    "CheXpert-small",
    "train",
    "patient00001",
    "Å",
    "A\u030a",
]
STEMS = ["one", "two", "view1", "1.2.3.4", "\u00c5", "A\u030a", "one#1", "\udcff"]
SUFFIXES = ["", ".png", ".jpg", ".PNG", ".dcm", ".txt"]
ROOTS = ["/films", "/", "/set/p1", "/CheXpert/train", "/films/p2", "/2/study1"]
UIDS = [None, None, "1.2.3.4", "1.2.3.5", "1.2.3.40", "one"]
STUDIES = [None, "1.5.6.7", "1.5.6.8"]


def films(chance: random.Random, count: int) -> list[Film]:
    found: dict[tuple[str, str, int], Film] = {}
    for number in range(1, count + 1):
        root, frame = chance.choice(ROOTS), chance.choice([0, 0, 0, 1, 2])
        path = "/".join([*chance.choices(PARTS, k=chance.randrange(4)), name(chance)])
        tags = Tags(instance_uid=chance.choice(UIDS), study_uid=chance.choice(STUDIES))
        state = State.PRESENT if number % 7 else State.GONE
        found.setdefault((root, path, frame), Film(number, root, path, frame, state, 1, tags))
    return list(found.values())


def name(chance: random.Random) -> str:
    return chance.choice(STEMS) + chance.choice(SUFFIXES)


def asked(chance: random.Random, everyone: Sequence[Film]) -> str:
    film = chance.choice(everyone)
    whole = f"{film.root}/{film.path}".strip("/").split("/")
    folders = whole[-chance.randrange(1, 6) : -1] if chance.random() < 0.7 else chance.choices(PARTS, k=3)
    file = whole[-1] if chance.random() < 0.6 else name(chance)
    frame = chance.choice(["", "", "", "#0", "#1", "#9"])
    said = "/".join([*chance.choices(PARTS, k=chance.randrange(2)), *folders, file]) + frame
    if chance.random() < 0.2:
        said = "/".join(["CheXpert-v9", "train", "patient00001", "study1", file])
    if chance.random() < 0.1:
        said = str(film.tags.instance_uid) + frame
    return said.replace("/", "\\") if chance.random() < 0.1 else said


@pytest.mark.parametrize("seed", range(12))
def test_a_name_means_what_it_means_among_all_names(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    everyone = films(chance, 20 * (seed + 1))
    catalog = catalog_of(tmp_path / "catalog.sqlite", everyone)
    present = [film for film in everyone if film.state is State.PRESENT]
    names = list(dict.fromkeys(asked(chance, everyone) for _ in range(400)))
    whole, looked_up = FilmNames(present), CatalogNames(catalog)
    for said, (ids, distance) in looked_up.nearest(names):
        expected, expected_distance = whole.nearest(said)
        assert ids == expected if len(expected) < 2 else len(ids) > 1 and ids <= expected, said
        assert distance == expected_distance or not expected, said
    doubtful = set(chance.sample(names, 20))
    assert looked_up.place(names, doubtful=doubtful) == whole.place(names, doubtful=doubtful)
    assert looked_up.bare(names) == whole.bare(names)
    assert any(len(whole.find(said)) == 1 for said in names)


@pytest.mark.parametrize("seed", range(6))
def test_a_study_means_the_films_that_it_means_among_all(tmp_path: Path, seed: int) -> None:
    chance = random.Random(seed)
    everyone = films(chance, 100)
    catalog = catalog_of(tmp_path / "catalog.sqlite", everyone)
    present = [film for film in everyone if film.state is State.PRESENT]
    patients = ["", "1", "p1", "00001", "set"]
    studies = ["1", "study1", "2", "1.5.6.7", "1.5.6.9", "p1/study1", "patient00001/study2", "none", ""]
    whole = StudyNames(present, KEY)
    pairs = [(patient, study) for patient in patients for study in studies]
    for some in ([pair] for pair in pairs) if seed % 2 else [pairs]:
        looked_up = CatalogStudies(catalog, KEY, some)
        for pair in some:
            assert set(looked_up.find(*pair)) == set(whole.find(*pair)), pair
    one = frozenset(film.id for film in present if film.tags.study_uid == "1.5.6.7")
    looked_up = CatalogStudies(catalog, KEY, [("", "1.5.6.7")])
    assert looked_up.whole([one, one - {min(one)}, frozenset({min(one)}), frozenset()]) == {one: "1.5.6.7"}


def test_many_films_of_one_name_are_not_all_held(tmp_path: Path) -> None:
    many = [Film(n, "/films", f"p{n}/study1/view1.jpg", 0, State.PRESENT, 1, Tags()) for n in range(1, 501)]
    names = CatalogNames(catalog_of(tmp_path / "catalog.sqlite", many))
    ((_, (ids, _)),) = names.nearest(["view1.jpg"])
    assert len(ids) == 2
    assert names.place(["view1.jpg", "study1/view1.jpg", "p7/study1/view1.jpg"]).films == {"p7/study1/view1.jpg": 7}
