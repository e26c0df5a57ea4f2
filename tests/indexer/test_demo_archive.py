"""The demo archive, its queries and its judgements."""

from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput
from filmroom.indexer.phantom import Body, Finding, Kind, Phantom, Place, Severity, Side, View
from filmroom.indexer.phantom.demo_archive import PICTURES, plan_demo, write_demo
from filmroom.indexer.phantom.dicom import Syntax
from filmroom.indexer.phantom.judge import grade, parse_want, qrels, read_queries
from filmroom.search.evaluation.trec import read_qrels
from filmroom.search.evaluation.trec import read_queries as read_trec_queries
from pydicom import dcmread

SMALL_LEFT = Finding(Kind.EFFUSION, Side.LEFT, Severity.SMALL, Place.BASAL)
LARGE_RIGHT = Finding(Kind.EFFUSION, Side.RIGHT, Severity.LARGE, Place.BASAL)
BOTH_SIDES = Finding(Kind.EFFUSION, Side.BILATERAL, Severity.MODERATE, Place.BASAL)
HEART = Finding(Kind.CARDIOMEGALY, severity=Severity.LARGE, place=Place.MEDIASTINUM)
TUBE = Finding(Kind.ENDOTRACHEAL_TUBE, place=Place.RIGHT_MAIN_BRONCHUS)


@pytest.mark.parametrize(
    ("want", "findings", "expected"),
    [
        ("effusion", (), 0),
        ("effusion", (SMALL_LEFT,), 2),
        ("effusion; side=left", (SMALL_LEFT,), 2),
        ("effusion; side=left", (LARGE_RIGHT,), 1),
        ("effusion; side=left", (BOTH_SIDES,), 2),
        ("effusion; side=bilateral", (SMALL_LEFT,), 1),
        ("effusion; side=bilateral", (BOTH_SIDES,), 2),
        ("effusion; side=left; severity=small", (SMALL_LEFT, HEART), 2),
        ("effusion; side=right; severity=small", (SMALL_LEFT,), 1),
        # The qualifiers must be those of one finding.
        ("effusion; side=right; severity=small", (SMALL_LEFT, LARGE_RIGHT), 1),
        ("effusion; severity=small|large", (LARGE_RIGHT,), 2),
        ("effusion; side=left", (HEART,), 0),
        ("endotracheal tube; place=right main bronchus", (TUBE,), 2),
        ("endotracheal tube; place=trachea", (TUBE,), 1),
        ("effusion|cardiomegaly", (HEART,), 2),
        ("not effusion", (), 2),
        ("not effusion", (HEART,), 2),
        ("not effusion", (SMALL_LEFT,), 0),
        ("cardiomegaly; not effusion", (HEART,), 2),
        ("cardiomegaly; not effusion", (HEART, SMALL_LEFT), 1),
        ("cardiomegaly; not effusion", (SMALL_LEFT,), 0),
        ("view=LATERAL", (), 0),
        ("view=PA|AP", (HEART,), 2),
        ("normal", (), 2),
        ("normal", (TUBE,), 1),
        ("normal", (HEART,), 0),
    ],
)
def test_grades(want: str, findings: tuple[Finding, ...], expected: int) -> None:
    assert grade(Phantom(1, Body(1), View.PA, findings=findings), parse_want(want)) == expected


@pytest.mark.parametrize(
    "want", ["effusoin", "effusion; side=up", "effusion; colour=red", "view=OBLIQUE", "not nothing"]
)
def test_unknown_conditions_are_named(want: str) -> None:
    with pytest.raises(BadInput):
        parse_want(want, where="here")


def test_the_shipped_queries() -> None:
    queries = read_queries()
    assert len(queries) >= 40
    assert len({query.qid for query in queries}) == len({query.text for query in queries}) == len(queries)
    groups = Counter(query.group for query in queries)
    assert set(groups) == {"finding", "side", "severity", "place", "device", "view", "negation"}
    assert min(groups.values()) >= 3


@pytest.mark.parametrize("films", [120, 160])
def test_every_query_has_good_answers_and_none_is_trivial(films: int) -> None:
    plan = plan_demo(films, seed=7)
    assert sum(film.suffix == ".dcm" for film in plan) == films
    assert len({film.stem for film in plan}) == len(plan) == films + PICTURES
    good = Counter(qid for qid, _, g in qrels({film.stem: film.phantom for film in plan}, read_queries()) if g == 2)
    for query in read_queries():
        assert 2 <= good[query.qid] < len(plan), query.qid


def test_the_plan_is_varied_and_always_the_same() -> None:
    plan = plan_demo(160, seed=7)
    assert plan == plan_demo(160, seed=7)
    assert plan != plan_demo(160, seed=8)
    dicom = [film for film in plan if film.suffix == ".dcm"]
    assert {film.syntax for film in dicom} == set(Syntax)
    assert {film.monochrome1 for film in dicom} == {True, False}
    assert {film.bits for film in dicom} == {12, 14, 16}
    assert {film.phantom.view for film in dicom} == set(View)
    assert {film.suffix for film in plan} == {".dcm", ".png", ".jpg"}
    studies = Counter((film.identity.patient, film.identity.study) for film in dicom)
    assert max(studies.values()) == 2
    patients = Counter(patient for patient, _ in studies)
    assert max(patients.values()) >= 3
    for film in dicom:
        same = [other for other in dicom if other.identity.patient == film.identity.patient]
        assert len({(other.phantom.body.seed, other.phantom.body.sex) for other in same}) == 1


@pytest.mark.slow
def test_the_written_archive(tmp_path: Path) -> None:
    seen: list[int] = []
    folder = tmp_path / "demo"
    done = write_demo(folder, films=6, seed=3, progress=seen.append)
    assert (done.films, done.pictures) == (6, PICTURES)
    assert seen == list(range(1, 6 + PICTURES + 1))
    paths = {path.stem: path for path in (folder / "films").rglob("*") if path.is_file()}
    assert len(paths) == 6 + PICTURES
    for path in paths.values():
        if path.suffix == ".dcm":
            data = dcmread(path)
            assert str(data.PatientName).startswith("SYNTHETIC^PHANTOM")
            assert 600 < max(data.pixel_array.shape) <= 1024
    assert "no patient" in (folder / "README.txt").read_text()

    with (folder / "labels.csv").open(newline="") as file:
        labels = list(csv.DictReader(file))
    assert {row["film"] for row in labels} == set(paths)
    assert {row["value"] for row in labels} == {"0", "1"}
    with (folder / "reports.csv").open(newline="") as file:
        reports = {row["film"]: row["report"] for row in csv.DictReader(file)}
    assert set(reports) == set(paths)
    assert all("SYNTHETIC PHANTOM" in text and "IMPRESSION" in text for text in reports.values())

    questions = read_trec_queries(folder / "queries.tsv")
    assert len(questions) == done.queries == len(read_queries())
    assert {question.group for question in questions} >= {"side", "severity", "negation"}
    grades = read_qrels(folder / "qrels.txt")
    assert {document for judged in grades.values() for document in judged} == set(paths)
    for row in labels:
        if row["label"] == "effusion":
            assert grades["finding.effusion"][row["film"]] == 2 * int(row["value"])


def test_a_folder_with_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("keep")
    with pytest.raises(BadInput, match="folder of its own"):
        write_demo(tmp_path, films=4)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
