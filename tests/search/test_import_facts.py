"""Facts of films from tables, and what filters, one per study and splits by patient make of them (made-up values)."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import filmroom
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads import films
from filmroom.db.records import Tags
from filmroom.indexer.decoding.phi_filter import patient_key
from filmroom.search.exchange import import_facts

from tests.conftest import write_film
from tests.indexer.dicom_files import dicom, ramp
from tests.terminal import Terminal
from tests.tiny_model import make_model

pytestmark = pytest.mark.usefixtures("either")

Indexed = Callable[..., Terminal]


@pytest.fixture
def archive_of(terminal: Terminal, tiny: Path, tmp_path: Path) -> Indexed:
    """archive_of(path, ...): an archive of films at these paths below a folder."""

    def make(*paths: str) -> Terminal:
        for number, path in enumerate(paths):
            write_film(tmp_path / "set" / path, number, side=32)
        terminal("index", tmp_path / "set", "--model", tiny)
        assert terminal.code == 0, terminal.err
        return terminal

    return make


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


def done(terminal: Terminal, *command: object) -> dict[str, Any]:
    found: Any = terminal.json(*command)
    assert terminal.code == 0, terminal.err
    return found


def paths(terminal: Terminal, query: str, *more: object) -> set[str]:
    found: Any = terminal.json("search", query, "-k", 100, *more)
    return {hit["path"] for hit in found["hits"]}


def tags(terminal: Terminal) -> dict[str, Tags]:
    return {one.path: one.tags for one in films.everyone(Archive.open(terminal.archive).catalog)}


TABLE = """film,Patient ID,study,View Position,Patient Gender,Patient Age,Study Date,split
a.png,MRN-4711,ACC-0815,AP,F,067Y,2019-03-02,Train
b.png,MRN-4711,ACC-0815,LL,Female,67,20190302,train
c.png,P2,ACC-0815,PA,M,031Y,2.3.2021,test
d.png,,,FRONTAL,Unknown,413Y,soon,NaN
gone.png,P9,s9,PA,M,50,2020,test
"""


def test_facts_filter_and_group_as_a_header_would(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a.png", "b.png", "c.png", "d.png")
    said = done(terminal, "facts", write(tmp_path / "facts.csv", TABLE))
    assert said["given"] == {"patient": 3, "study": 3, "view": 3, "sex": 3, "age": 3, "year": 3, "split": 3}
    assert (said["rows"], said["films"], said["missing"], said["own"]) == (5, 3, ["gone.png"], {})
    assert said["unread"] == {"view": 1, "sex": 1, "age": 1, "year": 1}
    assert paths(terminal, "view:AP sex:F age:60..") == {"a.png"}
    assert paths(terminal, "view:lateral") == {"b.png"}
    assert paths(terminal, "year:2021 split:test") == {"c.png"}
    assert paths(terminal, "chest -split:train") == {"c.png", "d.png"}
    assert len(paths(terminal, "chest film", "--per-study")) == 3, "one number of two patients is two studies"
    found = tags(terminal)
    assert found["a.png"].patient_key == patient_key("MRN-4711", key=Archive.open(terminal.archive).patient_key())
    assert found["a.png"].study_uid == found["b.png"].study_uid != found["c.png"].study_uid
    kept = b"".join(one.read_bytes() for one in terminal.archive.rglob("*") if one.is_file())
    assert b"MRN-4711" not in kept, "the patient is kept as a key alone"
    assert b"ACC-0815" not in kept, "a study may be an accession number"


def test_a_films_own_header_wins_unless_it_is_overwritten(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    (tmp_path / "set").mkdir()
    film = dicom(ramp(), PatientID="own", PatientSex="F", ViewPosition="PA", StudyInstanceUID="1.2.840.1.5")
    (tmp_path / "set/x.dcm").write_bytes(film)
    terminal("index", tmp_path / "set", "--model", tiny)
    table = write(tmp_path / "t.csv", "film,patient,sex,view,age\nx.dcm,other,M,PA,44\n")
    said = done(terminal, "facts", table)
    assert (said["given"], said["own"]) == ({"age": 1}, {"patient": 1, "sex": 1})
    assert (tags(terminal)["x.dcm"].sex, tags(terminal)["x.dcm"].age) == ("F", 44)
    out = terminal("facts", table)
    assert "1 row: facts of 1 film." in out
    assert "(--overwrite takes the table's): patient 1, sex 1" in " ".join(out.split())
    assert done(terminal, "facts", table, "--overwrite")["given"] == {"age": 1, "patient": 1, "sex": 1, "view": 1}
    assert tags(terminal)["x.dcm"].sex == "M"


def test_facts_outlive_another_model_and_a_move(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a.png", "b.png")
    done(terminal, "facts", write(tmp_path / "t.csv", "film,view,age\na.png,AP,70\n"))
    name = f"tiny-for-facts-{tmp_path.name[-1]}"
    other = make_model(tmp_path / "other", name=name, seed=5)
    terminal("index", tmp_path / "set", "--model", other)
    assert terminal.code == 0, terminal.err
    assert paths(terminal, "chest view:AP age:70", "--model", name) == {"a.png"}
    (tmp_path / "set/a.png").rename(tmp_path / "set/moved.png")
    terminal("index", tmp_path / "set", "--model", other)
    assert paths(terminal, "view:AP age:70") == {"moved.png"}


def test_later_tables_replace_what_earlier_ones_said(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a.png")
    done(terminal, "facts", write(tmp_path / "t.csv", "film,view,age\na.png,AP,70\n"))
    done(terminal, "facts", write(tmp_path / "u.csv", "film,view\na.png,PA\n"))
    assert (tags(terminal)["a.png"].view, tags(terminal)["a.png"].age) == ("PA", 70)


def test_rows_that_contradict_each_other_say_nothing(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("w/a.png", "b.png")
    rows = "film,view,age\nw/a.png,AP,70\nw/a.png,PA,70\nb.png,PA,\n"
    said = done(terminal, "facts", write(tmp_path / "t.csv", rows))
    assert (said["given"], said["unread"]) == ({"age": 1, "view": 1}, {"view": 1})
    assert tags(terminal)["w/a.png"].view is None


def test_uids_are_hashed_where_the_archive_hashes_them(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    write_film(tmp_path / "set/a.png", 1, side=32)
    terminal("index", tmp_path / "set", "--model", tiny, "--hash-uids")
    done(terminal, "facts", write(tmp_path / "t.csv", "film,study\na.png,1.2.840.99.7\n"))
    uid = tags(terminal)["a.png"].study_uid
    assert uid is not None
    assert uid.startswith("2.25.")
    report = write(tmp_path / "r.csv", "study,report\n1.2.840.99.7,Clear lungs.\n")
    assert done(terminal, "report", report)["films"] == 1


def test_chexpert_says_patient_study_and_split_by_its_paths(archive_of: Indexed, tmp_path: Path) -> None:
    files = [f"train/patient0000{n}/study{m}/view1_frontal.jpg" for n, m in ((1, 1), (1, 2), (2, 1))]
    rows = [f"CheXpert-v1.0-small/{path},Female,6{n},Frontal,AP,1.0\n" for n, path in enumerate(files)]
    terminal = archive_of(*(path.removeprefix("train/") for path in files))
    table = write(tmp_path / "train.csv", "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding\n" + "".join(rows))
    said = done(terminal, "facts", "--from", "chexpert", table)
    assert said["given"] == dict.fromkeys(("patient", "study", "split", "view", "sex", "age"), 3)
    found = list(tags(terminal).values())
    assert len({one.patient_key for one in found}) == 2
    assert len({one.study_uid for one in found}) == 3
    assert len(paths(terminal, "split:train age:61..")) == 2


def test_mimic_by_metadata_and_split_then_reports_by_study(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("flat/aa.jpg", "flat/bb.jpg", "flat/cc.jpg")
    meta = "dicom_id,subject_id,study_id,ViewPosition,StudyDate\n"
    meta += "aa,10000901,50000901,PA,21800506\nbb,10000901,50000901,LL,21800506\ncc,10000902,50000902,AP,21510101\n"
    split = "dicom_id,study_id,subject_id,split\naa,50000901,10000901,validate\nbb,50000901,10000901,validate\n"
    files = write(tmp_path / "metadata.csv", meta), write(tmp_path / "split.csv", split)
    said = done(terminal, "facts", "--from", "mimic", *files)
    assert said["given"] == {"patient": 3, "study": 3, "view": 3, "year": 3, "split": 2}
    write(tmp_path / "reports/p10/p10000901/s50000901.txt", "Left effusion.")
    assert done(terminal, "report", "--from", "mimic", tmp_path / "reports")["films"] == 2
    chexpert = "subject_id,study_id,Edema\n10000902,50000902,1.0\n"
    assert done(terminal, "label", "--from", "mimic", write(tmp_path / "chexpert.csv", chexpert))["films"] == 1
    assert paths(terminal, '"left effusion" split:validate') == {"flat/aa.jpg", "flat/bb.jpg"}


def test_nih_padchest_vindr_open_i_and_folders(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("00000901_000.png", "9001_a.png", "aa90.png", "901_IM-1.png", "kermany/test/NORMAL/k.jpeg")
    nih = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,\n"
    nih += "00000901_000.png,No Finding,0,901,58,M,PA,\n"
    padchest = "ImageID,StudyDate_DICOM,StudyID,PatientID,PatientBirth,PatientSex_DICOM,ViewPosition_DICOM,Projection\n"
    padchest += "9001_a.png,20140915,123,p1,1936.0,F,POSTEROANTERIOR,AP_horizontal\n"
    vindr = "image_id,rad_id,class_name\naa90,R1,No finding\naa90,R2,No finding\n"
    commands = [
        ("nih", write(tmp_path / "Data_Entry_2017.csv", nih), write(tmp_path / "test_list.txt", "00000901_000.png\n")),
        ("padchest", write(tmp_path / "p.csv", padchest)),
        ("vindr", write(tmp_path / "annotations_train.csv", vindr)),
        ("open-i", write(tmp_path / "projections.csv", "uid,filename,projection\n901,901_IM-1.png,Lateral\n")),
        ("folders", tmp_path / "set/kermany"),
    ]
    for name, *files in commands:
        assert done(terminal, "facts", "--from", name, *files)["films"] == 1, name
    found = tags(terminal)
    assert (found["00000901_000.png"].age, found["00000901_000.png"].view) == (58, "PA")
    padded = found["9001_a.png"]
    assert (padded.age, padded.year, padded.sex, padded.view) == (78, 2014, "F", "PA")
    assert found["901_IM-1.png"].view == "LATERAL"
    assert paths(terminal, "split:test") == {"00000901_000.png", "kermany/test/NORMAL/k.jpeg"}
    assert paths(terminal, "split:train") == {"aa90.png"}


@pytest.mark.parametrize(
    ("table", "fault"),
    [
        ("film,label\na.png,edema\n", "there is no column of facts"),
        ("name,age\na.png,4\n", "There is no column film"),
        ("film,age\n", "there are no rows"),
    ],
)
def test_a_table_without_facts_is_refused(archive_of: Indexed, tmp_path: Path, table: str, fault: str) -> None:
    terminal = archive_of("a.png")
    terminal("facts", write(tmp_path / "t.csv", table))
    assert terminal.code == 1
    assert fault in terminal.err
    terminal("facts", "--from", "mnist", tmp_path / "t.csv")
    assert "there is no set of this name" in terminal.err


def test_python_gives_facts_as_the_command_does(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a.png", "b.png")
    table = write(tmp_path / "t.csv", "film,patient,view\na.png,p,AP\nb.png,p,PA\n")
    given = filmroom.open(terminal.archive).facts(table)
    assert (given.given, given.films) == ({"patient": 2, "view": 2}, 2)
    assert paths(terminal, "view:AP") == {"a.png"}


@pytest.mark.parametrize(
    ("said", "kept"),
    [("61 years", 61), ("61y", 61), ("61 yo", 61), ("90+", 89), (">89", 89), ("6 months", 0), ("18 mo", 1),
     ("61,5", 61), ("60-69", None), ("413", None), ("old", None)],
)  # fmt: skip
def test_ages_as_people_write_them(said: str, kept: int | None) -> None:
    assert import_facts._age(said) == kept


@pytest.mark.parametrize(
    ("said", "kept"),
    [("2019", 2019), ("2019.0", 2019), ("20190302", 2019), ("2019-3-2", 2019), ("2019-03", 2019), ("2.3.2019", 2019),
     ("2-Mar-2019", 2019), ("March 2, 2019", None), ("Mar 2019", 2019), ("2019-03-02T10:00:00", 2019), ("43526", None),
     ("3/2/19", None)],
)  # fmt: skip
def test_years_as_people_write_them(said: str, kept: int | None) -> None:
    assert import_facts._year(said) == kept
