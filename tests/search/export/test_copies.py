from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import BadInput
from filmroom.db.records import Film, Label, State, Tags
from filmroom.search.export import page_tables
from filmroom.search.export.copies import copy_films
from filmroom.search.results import Hit
from PIL import Image

from tests.search.export.conftest import House


def film(root: Path, name: str, film_id: int = 1, **tags: object) -> Film:
    return Film(film_id, str(root), name, 0, State.PRESENT, 1, Tags(rows=4, columns=3, **tags), (Label("effusion"),))  # type: ignore[arg-type]


def picture(path: Path) -> None:
    grey = np.linspace(0, 65535, 12).astype(np.uint16).reshape(4, 3)
    Image.fromarray(grey).save(path)


def test_copies_keep_the_files_and_say_what_is_missing(tmp_path: Path) -> None:
    source, target = tmp_path / "films", tmp_path / "out"
    source.mkdir()
    picture(source / "a.png")
    done = copy_films([film(source, "a.png"), film(source, "gone.png", 2)], target)
    assert done.files == 1
    assert done.failed == ((2, "the file is not where it was indexed"),)
    assert (target / "0000001-a.png").read_bytes() == (source / "a.png").read_bytes()
    assert [row["file"] for row in csv.DictReader((target / "films.csv").open())] == ["0000001-a.png"]


def test_no_name_is_run_by_a_spreadsheet(house: House, tmp_path: Path) -> None:
    for number, start in enumerate("=+-@\t", start=1):
        name = f"{start}cmd|' !A0.png"
        picture(tmp_path / name)
        one = film(tmp_path, name, number)
        one = replace(one, labels=(Label(f"{start}1+1"),))
        target = tmp_path / f"out {number}"
        copy_films([one], target)
        handed = page_tables.as_csv(house.archive, [one], paths=True).decode()
        for table in (handed, (target / "films.csv").read_text()):
            (row,) = csv.DictReader(io.StringIO(table))
            assert not row["path"].startswith(start)
            assert not row["labels"].startswith(start)
            assert name.strip() in row["path"]
        assert ",-0.25," in page_tables.as_csv(house.archive, [Hit(1, one, -0.25, 99.5)]).decode(), "a number is none"


@pytest.mark.parametrize(
    "name", ["a" * 251 + ".png", "\N{HEART WITH TIP ON THE LEFT}" * 62 + ".png"], ids=["ASCII", "emoji"]
)
def test_the_longest_names_are_copied(tmp_path: Path, name: str) -> None:
    picture(tmp_path / "source.png")
    (tmp_path / "films").mkdir()
    (tmp_path / "source.png").rename(tmp_path / "films" / name)
    done = copy_films([film(tmp_path / "films", name, 4711)], tmp_path / "out")
    assert (done.files, done.failed) == (1, ())
    (row,) = csv.DictReader((tmp_path / "out" / "films.csv").open(encoding="utf-8"))
    assert row["file"].startswith("0004711-")
    assert row["file"].endswith(".png")
    assert (tmp_path / "out" / row["file"]).is_file()


def test_a_folder_that_holds_something_is_not_touched(tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("x")
    with pytest.raises(BadInput, match="not empty"):
        copy_films([], tmp_path)


def test_deidentified_copies_name_nobody(tmp_path: Path) -> None:
    from pydicom import dcmread
    from pydicom.data import get_testdata_file

    source, target = tmp_path / "ward" / "DOE^JANE", tmp_path / "out"
    source.mkdir(parents=True)
    original = dcmread(str(get_testdata_file("CT_small.dcm")))
    original.PatientName, original.InstitutionName = "DOE^JANE", "St. Elsewhere"
    original.save_as(source / "DOE.dcm")
    picture(source / "DOE.png")
    films = [film(source, "DOE.dcm", study_uid="1.2"), film(source, "DOE.png", 2, patient_key="k")]
    films[0] = replace(films[0], tags=replace(films[0].tags, rows=128, columns=128))
    done = copy_films(films, target, deidentify=True)
    assert (done.files, done.failed) == (2, ())
    written = {path.name: path.read_bytes() for path in target.iterdir()}
    assert set(written) == {"0000001.dcm", "0000002.png", "films.csv"}
    for data in written.values():
        assert b"DOE" not in data
        assert b"Elsewhere" not in data
    found = dcmread(target / "0000001.dcm")
    assert found.PatientIdentityRemoved == "YES"
    assert "allow-list" in found.DeidentificationMethod
    header = written["films.csv"].decode().splitlines()[0]
    assert "path" not in header
    assert "uid" not in header
    pixels = np.asarray(Image.open(target / "0000002.png"))
    assert pixels.dtype == np.uint16 or pixels.max() > 255
