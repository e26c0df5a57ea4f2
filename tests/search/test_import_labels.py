"""Labels and reports reach the film that a row means, or are counted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from filmroom.db.catalog import Catalog
from filmroom.db.records import Film, State, Tags
from filmroom.search.exchange import import_labels
from filmroom.search.exchange.import_labels import import_reports, read_labels

from tests.named_catalog import catalog_of

FILMS = [
    Film(1, "/films", "p1/chest.jpg", 0, State.PRESENT, 1, Tags(study_uid="1.5")),
    Film(2, "/films", "p3/side.jpg", 0, State.PRESENT, 1, Tags()),
]


@pytest.fixture
def kept(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    reports: list[Any] = []

    def put(_: object, found: list[Any], *, source: str) -> int:
        reports.extend(found)
        return len(found)

    monkeypatch.setattr(import_labels, "put_reports", put)
    monkeypatch.setattr(import_labels, "read_reports", lambda _: 0)
    return reports


@pytest.fixture
def catalog(tmp_path: Path) -> Catalog:
    return catalog_of(tmp_path / "catalog.sqlite", FILMS)


def table(folder: Path, text: str) -> Path:
    path = folder / "t.csv"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("text", "given", "missing", "ambiguous"),
    [
        ("film,label\np2/chest.jpg,edema\np1/chest.jpg,mass\n", {(1, "mass")}, ("p2/chest.jpg",), ()),
        ("film,label\nchest.jpg,edema\nchest.jpg,mass\n", {(1, "edema"), (1, "mass")}, (), ()),
        ("film,edema\nchest.jpg,1\nchest.jpg,0\nside.jpg,1\n", {(2, "edema")}, (), ("chest.jpg",)),
        ("film,patient,label\nchest.jpg,a,edema\nchest.jpg,b,mass\n", set(), (), ("chest.jpg",)),
        ("film,label\n,edema\n", set(), ("(empty)",), ()),
        ("film,label\nside.jpg,No Finding|Cardiomegaly\nchest.jpg,mass\n", {(1, "mass")}, (), ()),
        ("film,normal,mass\nside.jpg,1,1\nchest.jpg,1,0\n", {(1, "normal"), (1, "mass")}, (), ()),
        ("film,label\nside.jpg,No Finding|pacemaker\n", {(2, "No Finding"), (2, "pacemaker")}, (), ()),
        ("film,no finding,edema\nside.jpg,0.6,0.7\n", {(2, "no finding"), (2, "edema")}, (), ()),
        ("film,label,value\np1/chest.jpg,mass,1\nchest.jpg,mass,0\nside.jpg,mass,1\n", {(2, "mass")}, (), ()),
        ("film,mass,edema\nside.jpg,U,-1.00\nchest.jpg,?,1\n", {(1, "edema")}, (), ()),
        ("study,label\nfilms/p1,mass\np1,edema\n", {(1, "mass"), (1, "edema")}, (), ()),
        ("study,label\nother/p1,mass\n", set(), ("other/p1",), ()),
        ("film,label\nside.jpg,NaN\nside.jpg,None\n", set(), (), ()),
        ('film,"pleural\neffusion"\nside.jpg,1\n', {(2, "pleural effusion")}, (), ()),
        ("film,label,value\nside.jpg,mass,\nside.jpg,edema,1\n", {(2, "edema")}, (), ()),
        ("Path,Sex,Age,Frontal/Lateral,AP/PA,Edema\nside.jpg,Female,61,Frontal,AP,1.0\n", {(2, "Edema")}, (), ()),
    ],
)
def test_labels(
    tmp_path: Path,
    catalog: Catalog,
    text: str,
    given: set[tuple[int, str]],
    missing: tuple[str, ...],
    ambiguous: tuple[str, ...],
) -> None:
    found, _, done = read_labels(catalog, table(tmp_path, text))
    assert {(number, label.name) for number, label in found} == given
    assert (done.missing, done.ambiguous) == (missing, ambiguous)


def test_reports(tmp_path: Path, catalog: Catalog, kept: list[Any]) -> None:
    text = "film,study,report\np2/chest.jpg,,wrong\nside.jpg,,one\nside.jpg,,two\n,1.5,of the study\n,1.6,none\n"
    done = import_reports(catalog, table(tmp_path, text))
    assert [(report.text, report.study_uid) for report in kept] == [("of the study", "1.5")]
    assert (done.rows, done.films, done.missing, done.ambiguous) == (5, 1, ("p2/chest.jpg", "1.6"), ("side.jpg",))


def test_rows_that_say_nothing_are_counted(tmp_path: Path, catalog: Catalog, kept: list[Any]) -> None:
    _, _, labels = read_labels(catalog, table(tmp_path, "film,label\nside.jpg,NA\nside.jpg,mass\n"))
    assert (labels.rows, labels.added, labels.empty) == (2, 1, 1)
    done = import_reports(catalog, table(tmp_path, "film,report\nside.jpg,nan\np1/chest.jpg,clear\n"))
    assert (done.rows, done.added, done.empty) == (2, 1, 1)


def test_written_line_breaks_part_the_words_of_a_report(tmp_path: Path, catalog: Catalog, kept: list[Any]) -> None:
    import_reports(catalog, table(tmp_path, "film,report\nside.jpg,Clear.\\nNo effusion.\n"))
    assert kept[0].text == "Clear.\nNo effusion."
