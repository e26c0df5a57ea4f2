from __future__ import annotations

import pytest
from filmroom.db.records import Film, State, Tags
from filmroom.db.writes.annotations import Judgement
from filmroom.search.evaluation.pooling import agreements, to_qrels, weighted_kappa
from filmroom.search.evaluation.trec import resolve


def films(count: int) -> list[Film]:
    return [Film(at, "/r", f"f{at}.png", 0, State.PRESENT, 1, Tags()) for at in range(1, count + 1)]


def test_judges_who_agree_and_judges_who_do_not() -> None:
    grades = {"a": (0, 1, 3), "b": (0, 1, 3), "c": (3, 1, 0)}
    given = [Judgement("q", film, judge, grade) for judge, all_ in grades.items() for film, grade in enumerate(all_, 1)]
    found = {(one.a, one.b): one for one in agreements(given)}
    assert found["a", "b"].kappa == 1
    assert found["a", "b"].films == 3
    assert found["a", "c"].equal == pytest.approx(1 / 3)
    assert found["a", "c"].kappa is not None
    assert found["a", "c"].kappa < 0


def test_kappa_by_hand_and_where_it_means_nothing() -> None:
    # distances 0, 0, 1: observed 1/3; over all nine pairs of the two judges' grades 9/9
    assert weighted_kappa([(0, 0), (2, 2), (1, 2)]) == pytest.approx(1 - (1 / 3) / (9 / 9))
    assert weighted_kappa([(1, 1), (1, 1)]) is None


def test_several_judges_make_one_grade_and_films_that_left_are_left_out() -> None:
    given = [Judgement("edema", 1, "a", 3), Judgement("edema", 1, "b", 1), Judgement("edema", 1, "c", 3),
             Judgement("mass", 9, "a", 2), Judgement("mass", 2, "a", 0), Judgement("mass", 2, "b", 1)]  # fmt: skip
    questions, qrels = to_qrels(given, films(3))
    assert [(one.qid, one.text) for one in questions] == [("q1", "edema"), ("q2", "mass")]
    assert [list(grades.values()) for grades in qrels.values()] == [[3], [0]]


def test_films_whose_files_bear_one_name_keep_their_grades_and_are_found_again() -> None:
    """Of two folders with the same names inside, and of a picture beside the DICOM file that it was made from."""
    alike = [
        Film(1, "/a", "DICOM/IM0001", 0, State.PRESENT, 1, Tags(instance_uid="1.2.1")),
        Film(2, "/b", "DICOM/IM0001", 0, State.PRESENT, 1, Tags(instance_uid="1.2.2")),
        Film(3, "/b", "DICOM/IM0001", 1, State.PRESENT, 1, Tags(instance_uid="1.2.2")),
        Film(4, "/a", "one.png", 0, State.PRESENT, 1, Tags()),
        Film(5, "/a", "one.tif", 0, State.PRESENT, 1, Tags()),
        Film(6, "/a", "two.png", 0, State.PRESENT, 1, Tags()),
    ]
    _, qrels = to_qrels([Judgement("edema", film.id, "a", film.id % 4) for film in alike], alike)
    placed = resolve(qrels, alike)
    assert placed.grades == {"q1": {film.id: film.id % 4 for film in alike}}
    assert (placed.missing, placed.ambiguous) == ((), ())
    assert "two" in qrels["q1"]
