"""A name goes to the film that it certainly means, and to no other."""

from __future__ import annotations

import unicodedata

import pytest
from filmroom.db.records import Film, State, Tags
from filmroom.search.evaluation.trec import document_name, resolve
from filmroom.search.film_names import FilmNames


def film(number: int, path: str, *, uid: str | None = None, root: str = "/films") -> Film:
    return Film(number, root, path, 0, State.PRESENT, 1, Tags(instance_uid=uid))


@pytest.mark.parametrize(
    ("path", "root", "name", "same"),
    [
        ("set/ward1/visit1/chest.jpg", "/films", "set/ward2/visit1/chest.jpg", False),
        ("set/ward1/visit1/chest.jpg", "/films", "ward1/visit1/chest.jpg", True),
        ("set/ward1/visit1/chest.jpg", "/films", "ward1/visit1/chest", True),
        ("set/ward1/visit1/chest.jpg", "/films", "./ward1\\visit1\\chest.png", True),
        ("ward1/visit1/chest.jpg", "/copy", "set-small/train/ward1/visit1/chest.jpg", True),
        ("visit1/chest.jpg", "/set/ward1", "set/ward2/visit1/chest.jpg", False),
        ("chest.jpg", "/set/ward1", "set/ward2/chest.jpg", False),
        ("chest.jpg", "/set/ward1", "set/ward1/chest.jpg", True),
        ("deep/ward1/chest.jpg", "/films", "chest.jpg", True),
    ],
)
def test_a_path_agrees_in_every_part_that_both_have(path: str, root: str, name: str, same: bool) -> None:
    assert FilmNames([film(1, path, root=root)]).find(name) == (frozenset({1}) if same else frozenset())


@pytest.mark.parametrize(
    ("path", "name", "same"),
    [
        ("CheXpert-v1.0-small/train/patient00007/study1/view1_frontal.jpg", "CheXpert-v1.0/train/{}", True),
        ("CheXpert-v1.0 batch 2 (train 1)/patient00007/study1/view1_frontal.jpg", "CheXpert-v1.0/train/{}", True),
        ("CheXpert/val/patient00007/study1/view1_frontal.jpg", "CheXpert-v1.0-small/valid/{}", True),
        ("CheXpert-v1.0/train/patient00008/study1/view1_frontal.jpg", "CheXpert-v1.0-small/train/{}", False),
        ("CheXpert-v1.0/train/patient00007/study2/view1_frontal.jpg", "CheXpert-v1.0-small/train/{}", False),
        ("ward/patient00007/study1/view1_frontal.jpg", "CheXpert-v1.0/train/{}", False),
        ("CheXpert-v1.0/train/patient00007/study1/view1_frontal.jpg", "ward/train/{}", False),
    ],
)
def test_releases_of_chexpert_share_their_patients(path: str, name: str, same: bool) -> None:
    asked = name.format("patient00007/study1/view1_frontal.jpg")
    assert FilmNames([film(1, path)]).place([asked]).films == ({asked: 1} if same else {})


def test_the_copy_that_a_table_names_goes_before_another_release() -> None:
    tail = "train/patient00007/study1/view1_frontal.jpg"
    names = FilmNames([film(1, f"CheXpert-v1.0/{tail}"), film(2, f"CheXpert-v1.0-small/{tail}")])
    assert names.find(f"CheXpert-v1.0-small/{tail}") == frozenset({2})
    assert names.find(f"CheXpert-v2.0/{tail}") == frozenset({1, 2})


def test_names_are_unique_on_both_sides() -> None:
    names = FilmNames([film(1, "a/one.png"), film(2, "b/one.png"), film(3, "visit1/two.png")])
    placed = names.place(["one.png", "x/visit1/two.png", "y/visit1/two.png", "absent.png"])
    assert placed.films == {}
    assert placed.ambiguous == ("one.png", "x/visit1/two.png", "y/visit1/two.png")
    assert placed.missing == ("absent.png",)
    assert names.place(["visit1/two.png", "x/visit1/two.png", "two"]).films.keys() >= {"visit1/two.png"}


def test_a_picture_of_another_kind_gives_way_to_the_film_itself() -> None:
    placed = FilmNames([film(1, "a/one.png")]).place(["one.jpg", "one.png"])
    assert placed.films == {"one.jpg": 1, "one.png": 1}
    assert FilmNames([film(1, "a/one.png")]).place(["b/one.jpg", "one.png"]).films == {"one.png": 1}


def test_judgements_of_another_patient_judge_nothing() -> None:
    placed = resolve({"q": {"set/p2/chest.jpg": 2}}, [film(1, "set/p1/chest.jpg")])
    assert (placed.grades, placed.missing) == ({"q": {}}, ("set/p2/chest.jpg",))


def test_a_uid_and_a_file_name_may_mean_one_film() -> None:
    placed = FilmNames([film(1, "a/one.png", uid="1.2.3")]).place(["1.2.3", "one.png", "b/one.png"])
    assert placed.films == {"1.2.3": 1, "one.png": 1}
    assert placed.missing == ("b/one.png",)


def test_the_last_part_of_a_uid_is_no_suffix() -> None:
    films = [film(1, "1.2.40/1.2.40.7.11"), film(2, "1.2.40/1.2.40.7.22")]
    names = FilmNames(films)
    assert names.find("1.2.40.7") == frozenset()
    assert names.find("1.2.40.7.11") == names.find("1.2.40.7.11.dcm") == names.find("1.2.40/1.2.40.7.11") == {1}
    assert [document_name(one) for one in films] == ["1.2.40/1.2.40.7.11", "1.2.40/1.2.40.7.22"]
    assert document_name(film(3, "ward.a/chest.v2.PNG")) == "ward.a/chest.v2"


@pytest.mark.parametrize("form", ["NFC", "NFD"])
@pytest.mark.parametrize("asked", ["NFC", "NFD"])
def test_names_equal_in_unicode_are_one(form: str, asked: str) -> None:
    path = unicodedata.normalize(form, "Größe/Ångström.png")
    name = unicodedata.normalize(asked, "Größe/Ångström.png")
    assert FilmNames([film(1, path)]).place([name]).films == {name: 1}


def test_one_name_in_two_forms_is_no_rival_of_itself() -> None:
    both = [unicodedata.normalize(form, "sub/Ångström.png") for form in ("NFC", "NFD")]
    assert FilmNames([film(1, "a/sub/Ångström.png")]).place(both).films == dict.fromkeys(both, 1)
