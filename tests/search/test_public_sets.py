"""Public sets go in as they are published: labels and reports reach the films that their rows mean (made-up values)."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import write_film
from tests.terminal import Terminal

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


def labels(terminal: Terminal) -> dict[str, list[str]]:
    found: Any = terminal.json("search", "chest film", "-k", 100)
    return {hit["path"]: sorted(hit["labels"]) for hit in found["hits"]}


def done(terminal: Terminal, *command: object) -> dict[str, Any]:
    found: Any = terminal.json(*command)
    assert terminal.code == 0, terminal.err
    return found


MIMIC = (
    "files/p10/p10000901/s50000901/aa.jpg",
    "files/p10/p10000901/s50000901/bb.jpg",
    "files/p10/p10000901/s50000903/cc.jpg",
    "files/p11/p11000902/s50000902/dd.jpg",
)


def test_mimic_labels_of_a_study_are_of_all_its_films(archive_of: Indexed, tmp_path: Path) -> None:
    table = "subject_id,study_id,Atelectasis,Edema,No Finding\n10000901,50000901,1.0,-1.0,\n11000902,50000902,,,1.0\n"
    table += "11000902,50000909,1.0,,\n"
    terminal = archive_of(*MIMIC)
    said = done(terminal, "label", "--from", "mimic", write(tmp_path / "mimic-cxr-2.0.0-chexpert.csv", table))
    assert (said["rows"], said["films"], said["missing"]) == (3, 3, ["p11000902/s50000909"])
    assert said["labels"] == {"atelectasis": 2, "no finding": 1}
    assert labels(terminal) == dict(zip(MIMIC, (["atelectasis"], ["atelectasis"], [], ["no finding"]), strict=True))


@pytest.mark.parametrize("below", ["", "p10/p10000901"])
def test_a_folder_of_reports_as_mimic_has_it(archive_of: Indexed, tmp_path: Path, below: str) -> None:
    reports = tmp_path / "reports"
    write(reports / "p10/p10000901/s50000901.txt", "FINDINGS: Small left effusion.\n")
    write(reports / "p10/p10000901/s50000999.txt", "Of a study that is not here.\n")
    write(reports / "p11/p11000902/s50000902.txt", "Clear lungs.\n")
    terminal = archive_of(*MIMIC)
    said = done(terminal, "report", "--from", "mimic", reports / below)
    assert (said["films"], len(said["missing"])) == ((3 if not below else 2), 1)
    found: Any = terminal.json("search", '"left effusion"')
    assert {hit["path"] for hit in found["hits"]} == set(MIMIC[:2])


def test_text_files_beside_films(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("ward/one.png", "ward/two.png")
    write(tmp_path / "texts/ward/one.txt", "Cardiomegaly.")
    write(tmp_path / "texts/ward/three.txt", "Mass.")
    said = done(terminal, "report", tmp_path / "texts")
    assert (said["rows"], said["films"], said["missing"]) == (2, 1, ["ward/three"])


def test_mimic_sections(archive_of: Indexed, tmp_path: Path) -> None:
    table = "study,impression,findings,last_paragraph,comparison\ns50000902,No edema.,Heart normal.,,\n"
    terminal = archive_of(*MIMIC)
    assert done(terminal, "report", "--from", "mimic", write(tmp_path / "mimic_cxr_sectioned.csv", table))["films"] == 1
    found: Any = terminal.json("search", '"heart normal"')
    assert [hit["path"] for hit in found["hits"]] == [MIMIC[3]]


def test_chexpert_as_published(archive_of: Indexed, tmp_path: Path) -> None:
    paths = [f"train/patient9000{n}/study1/view1_frontal.jpg" for n in (1, 2)]
    head = "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Lung Opacity,Pleural Effusion\n"
    train = head + "".join(f"CheXpert-v1.0/{path},Male,60,Frontal,AP,,-1.0,1.0\n" for path in paths[:1])
    valid = head + f"CheXpert-v1.0/{paths[1]},Female,61,Frontal,PA,1.0,0.0,0.0\n"
    terminal = archive_of(*paths)
    files = write(tmp_path / "train.csv", train), write(tmp_path / "valid.csv", valid)
    said = done(terminal, "label", "--from", "chexpert", *files)
    assert (said["rows"], said["films"], said["added"], said["missing"]) == (2, 2, 4, [])
    assert labels(terminal) == dict(zip(paths, (["pleural effusion"], ["no finding"]), strict=True))
    out = terminal("label", "--from", "chexpert", *files)
    assert "2 rows: 4 labels for 2 films." in out
    assert "Labels: no finding 1, pleural effusion 1" in out


def test_nih_with_the_readings_of_radiologists(archive_of: Indexed, tmp_path: Path) -> None:
    entries = write(
        tmp_path / "Data_Entry_2017_v2020.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000901_000.png,Pleural_Thickening|Pneumothorax,0,901,58,M,PA,1,1,0.1,0.1,\n"
        "00000902_000.png,No Finding,0,902,61,F,AP,1,1,0.1,0.1,\n",
    )
    readers = write(
        tmp_path / "four_findings_expert_labels_test_labels.csv",
        "Image Index,Patient ID,Fracture,Pneumothorax,Airspace opacity,Nodule or mass\n"
        "00000901_000.png,901,YES,NO,NO,NO\n",
    )
    terminal = archive_of("images/00000901_000.png", "images/00000902_000.png")
    assert done(terminal, "label", "--from", "nih", entries, readers)["rows"] == 2
    assert labels(terminal) == {
        "images/00000901_000.png": ["fracture", "pleural thickening"],
        "images/00000902_000.png": ["no finding"],
    }


def test_vindr_padchest_and_open_i(archive_of: Indexed, tmp_path: Path) -> None:
    boxes = "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
    boxes += "aa90,R8,Aortic enlargement,1,2,3,4\naa90,R9,No finding,,,,\n"
    padchest = (
        "ImageID,StudyID,PatientID,Projection,Report,Labels,LabelsLocalizationsBySentence\n"
        "9001_a.png,9001,p1,PA,derrame pleural,\"['pleural effusion', 'unchanged']\",\n"
    )
    indiana = "uid,MeSH,findings,impression\n901,Pulmonary Atelectasis/base/left,No effusion.,Basal atelectasis.\n"
    projections = "uid,filename,projection\n901,901_IM-1.dcm.png,Frontal\n901,901_IM-2.dcm.png,Lateral\n"
    terminal = archive_of("aa90.png", "9001_a.png", "901_IM-1.dcm.png", "901_IM-2.dcm.png")
    files = write(tmp_path / "reports.csv", indiana), write(tmp_path / "projections.csv", projections)
    assert done(terminal, "label", "--from", "vindr", write(tmp_path / "v.csv", boxes))["films"] == 1
    assert done(terminal, "label", "--from", "padchest", write(tmp_path / "p.csv", padchest))["films"] == 1
    assert done(terminal, "label", "--from", "open-i", *files)["films"] == 2
    assert done(terminal, "report", "--from", "open-i", *files)["films"] == 2
    assert done(terminal, "report", "--from", "padchest", tmp_path / "p.csv")["films"] == 1
    assert labels(terminal) == {
        "aa90.png": ["aortic enlargement"],  # one radiologist found nothing, another did
        "9001_a.png": ["pleural effusion"],
        "901_IM-1.dcm.png": ["atelectasis"],
        "901_IM-2.dcm.png": ["atelectasis"],
    }
    found: Any = terminal.json("search", '"basal atelectasis"')
    assert {hit["path"] for hit in found["hits"]} == {"901_IM-1.dcm.png", "901_IM-2.dcm.png"}


@pytest.mark.parametrize("given", ["chest_xray", "chest_xray/train"])
def test_a_folder_for_each_class(archive_of: Indexed, tmp_path: Path, given: str) -> None:
    paths = [f"chest_xray/train/{name}/x{n}.jpeg" for n, name in enumerate(("NORMAL", "PNEUMONIA", "PNEUMONIA"))]
    terminal = archive_of(*paths, "other/y.png")
    said = done(terminal, "label", "--from", "folders", tmp_path / "set" / given)
    assert (said["rows"], said["labels"]) == (3, {"pneumonia": 2, "normal": 1})
    assert labels(terminal) == dict(zip([*paths, "other/y.png"], (["normal"], *[["pneumonia"]] * 2, []), strict=True))


def test_masks_are_of_no_class_and_a_folder_of_films_is_a_class_itself(archive_of: Indexed, tmp_path: Path) -> None:
    covid = "Infection Segmentation Data/Train/COVID-19"
    terminal = archive_of(f"{covid}/images/a.png", f"{covid}/lung masks/a.png", "Lung_Opacity/b.png")
    said = done(terminal, "label", "--from", "folders", tmp_path / "set/Infection Segmentation Data")
    assert (said["rows"], said["films"], said["empty"]) == (2, 1, 1)
    assert done(terminal, "label", "--from", "folders", tmp_path / "set/Lung_Opacity")["labels"] == {"lung opacity": 1}
    assert labels(terminal)[f"{covid}/lung masks/a.png"] == []


def test_labels_of_a_study_by_its_uid_or_folder(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a/study1/x.png", "b/study1/x.png", "b/study2/x.png", "b/study2/y.png")
    plain = write(tmp_path / "t.csv", "patient,study,label\na,study1,edema\nb,study2,mass\n")
    assert done(terminal, "label", plain)["films"] == 3
    vague = write(tmp_path / "v.csv", "study,label\nstudy1,nodule\nstudy2,nodule\nstudy3,nodule\n")
    said = done(terminal, "label", vague)
    assert (said["films"], said["missing"], said["ambiguous"]) == (2, ["study3"], ["study1"])


@pytest.mark.parametrize(
    ("command", "fault"),
    [
        (["label", "--from", "mnist", "t.csv"], "there is no set of this name"),
        (["report", "--from", "mnist", "t.csv"], "there is no set of this name"),
        (["report", "--from", "chexpert", "t.csv"], "there are no reports in it"),
        (["label", "--from", "folders", "elsewhere"], "no film of the archive lies in this folder"),
        (["label", "--from", "folders", "set"], "no folder is that of a class"),
        (["report", "--from", "mimic", "elsewhere"], "There is no .txt report in the folder"),
        (["label", "--from", "nih", "t.csv"], "There is no column Image Index"),
        (["qrels", "out", "t.csv", "--from", "mimic", "--make-queries", "q"], "its rows are of studies"),
    ],
)
def test_what_a_set_lacks_is_said(
    archive_of: Indexed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: list[str], fault: str
) -> None:
    terminal = archive_of("images/x.png")
    write(tmp_path / "t.csv", "Path,Edema\nx.png,1.0\n")
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    terminal(*command)
    assert terminal.code == 1
    assert fault in terminal.err
    assert terminal.err.count("\n") == 1


def test_the_test_set_of_chexpert_has_a_row_a_study(archive_of: Indexed, tmp_path: Path) -> None:
    paths = ("test/patient901/study1/view1_frontal.jpg", "train/patient902/study1/view1_frontal.jpg")
    terminal = archive_of(*paths)
    table = "Study,Cardiomegaly,Pneumonia\ntest/patient901/study1,1,0\ntest/patient902/study1,1,1\n"
    said = done(terminal, "label", "--from", "chexpert", write(tmp_path / "groundtruth.csv", table))
    assert (said["films"], said["missing"]) == (1, ["test/patient902/study1"])
    assert labels(terminal) == {paths[0]: ["cardiomegaly"], paths[1]: []}


def test_a_table_whose_name_is_no_text(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("one.png")
    table = write(tmp_path / os.fsdecode(b"d\xe9p\xf4t.csv"), "film,label\none.png,mass\n")
    assert done(terminal, "label", table)["films"] == 1
    assert labels(terminal) == {"one.png": ["mass"]}


def test_labels_in_either_kind_of_quotes(archive_of: Indexed, tmp_path: Path) -> None:
    terminal = archive_of("a.png")
    table = 'ImageID,Labels\na.png,"[\'effusion\', ""Kerley\'s lines""]"\n'
    done(terminal, "label", "--from", "padchest", write(tmp_path / "p.csv", table))
    assert labels(terminal) == {"a.png": ["effusion", "kerley's lines"]}
