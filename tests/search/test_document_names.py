"""Each film has a name of its own in runs and judgements, found without the names of all others."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pytest
from filmroom.db.reads import named_films
from filmroom.db.records import Film, State, Tags
from filmroom.search.evaluation.document_names import DocumentNames
from filmroom.search.evaluation.trec import document_name, document_names

from tests.named_catalog import catalog_of


def films(seed: int) -> list[Film]:
    chance = random.Random(seed)
    found: dict[tuple[str, str, int], Film] = {}
    for number in range(1, 80):
        root, frame = chance.choice(["/films", "/more"]), chance.choice([0, 0, 1])
        path = (
            chance.choice(["a/", "b/a/", ""])
            + chance.choice(["one", "two", "two#1"])
            + chance.choice(["", ".png", ".dcm"])
        )
        tags = Tags(
            instance_uid=chance.choice([None, f"1.2.{number}"]), study_uid=chance.choice([None, "", "1.5", "1.6"])
        )
        found.setdefault((root, path, frame), Film(number, root, path, frame, State.PRESENT, 1, tags))
    return list(found.values())


@pytest.mark.parametrize("seed", range(5))
def test_names_are_those_among_all_films(tmp_path: Path, seed: int) -> None:
    everyone = films(seed)
    catalog = catalog_of(tmp_path / "catalog.sqlite", everyone)
    some = everyone[::3]
    whole = document_names(everyone)
    assert DocumentNames(catalog).of(some) == {film.id: whole[film.id] for film in some}
    judged = {everyone[0].id: "judged", everyone[1].id: document_name(everyone[5]), everyone[2].id: "1.2.3#1"}
    names = {film.id: judged.get(film.id) or document_name(film) for film in everyone}
    shared = {name for name, count in Counter(names.values()).items() if count > 1}
    expected = {number: f"{name}~{number}" if name in shared else name for number, name in names.items()}
    given = DocumentNames(catalog, judged).in_run(some)
    assert given == {film.id: expected[film.id] for film in some}


@pytest.mark.parametrize("seed", range(3))
def test_a_study_is_known_by_its_first_film(tmp_path: Path, seed: int) -> None:
    everyone = films(seed)
    ids, firsts = named_films.firsts_of_studies(catalog_of(tmp_path / "catalog.sqlite", everyone))
    first: dict[str, int] = {}
    for film in sorted(everyone, key=lambda film: (film.path, film.frame)):
        if film.tags.study_uid:
            first.setdefault(film.tags.study_uid, film.id)
    assert ids.tolist() == sorted(film.id for film in everyone)
    assert dict(zip(ids.tolist(), firsts.tolist(), strict=True)) == {
        film.id: first.get(film.tags.study_uid or "", film.id) for film in everyone
    }
