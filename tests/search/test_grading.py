"""Judgements from what texts and tables say, and the tables of public sets in their own formats (made-up values)."""

from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.report_labeler import Statement, read_report, spoken
from filmroom.search.evaluation.grading import Document, build_qrels, grade, make_questions, read_wanted
from filmroom.search.evaluation.trec import Topic
from filmroom.search.public_sets.label_tables import read_chexpert, read_padchest, read_vindr
from filmroom.search.public_sets.nih import read_nih
from filmroom.search.public_sets.open_i import read_open_i
from filmroom.search.public_sets.own_tables import read_labels, read_reports
from filmroom.search.public_sets.readers import READERS


def said(text: str) -> set[str]:
    """Statements in short: "+left small effusion", "-pneumothorax", "?mass"."""
    return {short(one) for one in read_report(text)}


def short(one: Statement) -> str:
    sign = "-" if not one.present else "+" if one.certain else "?"
    return sign + " ".join(part for part in (one.side, one.severity, *sorted(one.places), one.idea) if part)


def shorts(document: Document) -> set[str]:
    return {short(one) for one in document.statements}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("There is a small left pleural effusion.", {"+left small effusion"}),
        ("No pleural effusion or pneumothorax.", {"-effusion", "-pneumothorax"}),
        ("No effusion, pneumothorax. Mild cardiomegaly.", {"-effusion", "-pneumothorax", "+small cardiomegaly"}),
        ("No effusion, and the heart is enlarged.", {"-effusion", "+cardiomegaly"}),
        ("Possible right lower lobe pneumonia.", {"?right lower pneumonia"}),
        ("Bibasilar atelectasis without effusion.", {"+bilateral lower atelectasis", "-effusion"}),
        ("Left effusion and right upper lobe nodule.", {"+left effusion", "+right upper nodule"}),
        ("Normal chest x-ray.", {"+no finding"}),
        ("Cardiomegaly. The lungs are clear.", {"+cardiomegaly", "-opacity"}),
        ("Pneumothorax is not seen", {"-pneumothorax"}),
        ("The patient was seen.", set()),
    ],
)
def test_reports_are_read_with_their_negations(text: str, expected: set[str]) -> None:
    assert said(text) == expected


FILM = Document(
    "f",
    (
        Statement("effusion", side="left", severity="small"),
        Statement("edema", present=False),
        Statement("mass", certain=False),
        Statement("covid-19"),
        Statement("nodule", side="left"),
        Statement("nodule", side="right"),
    ),
    closed=False,
)


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("pleural effusion", 2),
        ("small left pleural effusion", 2),
        ("large left pleural effusion", 1),
        ("right pleural effusion", 1),
        ("pulmonary edema", 0),
        ("no pulmonary edema", 2),
        ("pleural effusion without edema", 2),
        ("pleural effusion without pneumothorax", None),
        ("edema without effusion", 0),
        ("no effusion", 0),
        ("lung mass", 1),
        ("pneumothorax", None),
        ("viral pneumonia", 2),
        ("bilateral nodules", 2),
        ("effusion with nodule", 2),
        ("effusion with atelectasis", 1),
    ],
)
def test_grades(query: str, expected: int | None) -> None:
    assert grade(read_wanted(query), FILM) == expected


def test_a_closed_set_knows_what_is_absent() -> None:
    film = Document("f", (Statement("effusion"),), closed=True)
    assert grade(read_wanted("pneumothorax"), film) == 0
    assert grade(read_wanted("no pneumothorax"), film) == 1
    assert grade(read_wanted("effusion without pneumothorax"), film) == 2


def test_building_leaves_out_the_unknown_and_names_the_unreadable() -> None:
    questions = [Topic("a", "effusion"), Topic("b", "pneumothorax"), Topic("c", "a quiet afternoon")]
    judged = build_qrels(questions, [FILM, Document("g", (), closed=True)])
    assert judged.qrels == {"a": {"f": 2, "g": 0}, "b": {"g": 0}}
    assert judged.unread == ("c",)


def test_questions_for_what_can_be_judged() -> None:
    stated = (Statement("effusion", side="left"), Statement("view PA"), Statement("line"), Statement("edema", False))
    films = [Document(str(number), stated) for number in range(6)]
    films += [Document(f"not {number}", (Statement("effusion", present=False),)) for number in range(5)]
    found = make_questions([*films, Document("x", (Statement("mass"),))])
    assert {(one.group, one.text) for one in found} == {
        ("finding", spoken("effusion")),
        ("side", f"left {spoken('effusion')}"),
        ("view", spoken("view PA")),
        ("device", spoken("line")),
        ("negation", f"no {spoken('effusion')}"),
    }
    judged = build_qrels(found, films)
    assert not judged.unread
    best = {one.group: [film for film, value in judged.qrels[one.qid].items() if value == 2] for one in found}
    assert best["side"] == best["view"] == best["device"] == [str(number) for number in range(6)]
    assert best["negation"] == [f"not {number}" for number in range(5)]


def write(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def test_nih_with_boxes_and_adjudicated_labels(tmp_path: Path) -> None:
    entries = write(
        tmp_path / "Data_Entry_2017.csv",
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position,"
        "OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000901_000.png,Effusion|Pneumonia,0,901,058Y,M,PA,2682,2749,0.143,0.143,\n"
        "00000902_000.png,No Finding,0,902,057Y,F,AP,2894,2729,0.143,0.143,\n",
    )
    boxes = write(
        tmp_path / "BBox_List_2017.csv",
        "Image Index,Finding Label,Bbox [x,y,w,h],,,\n"
        "00000901_000.png,Effusion,225.084745762712,747.019216763771,86.7796610169491,79.1864406779661,,,\n",
    )
    readers = write(
        tmp_path / "four_findings_expert_labels_test_labels.csv",
        "Image Index,Patient ID,Fracture,Pneumothorax,Airspace opacity,Nodule or mass\n"
        "00000901_000.png,901,NO,NO,NO,YES\n"
        "00000902_000.png,902,NO,NO,YES,NO\n",
    )
    first, second = read_nih(entries, boxes=boxes, adjudicated=readers)
    assert first.id == "00000901_000.png"
    assert {"+right lower effusion", "?pneumonia", "+view PA", "-opacity", "-pneumothorax"} <= shorts(first)
    assert "+opacity" in shorts(second)
    assert "+no finding" not in shorts(second)
    assert shorts(read_nih(entries)[1]) == {"+no finding", "+view AP"}
    with pytest.raises(BadInput, match=":2: Unknown value MAYBE"):
        read_nih(entries, adjudicated=write(readers, readers.read_text().replace("YES", "MAYBE")))


def test_chexpert(tmp_path: Path) -> None:
    path = write(
        tmp_path / "train.csv",
        "Path,Sex,Age,Frontal/Lateral,AP/PA,No Finding,Cardiomegaly,Lung Opacity,Edema,Pleural Effusion\n"
        "CheXpert-v1.0-small/train/patient90001/study1/view1_frontal.jpg,Female,68,Frontal,AP,,1.0,-1.0,0.0,\n"
        "CheXpert-v1.0-small/train/patient90002/study1/view2_lateral.jpg,Male,68,Lateral,,1.0,,,,\n",
    )
    first, second = read_chexpert(path)
    assert shorts(first) == {"+cardiomegaly", "?opacity", "-edema", "+view AP"}
    assert shorts(second) == {"+no finding", "+view LATERAL"}
    assert not first.closed
    with pytest.raises(BadInput, match=":3: Unknown value 2"):
        read_chexpert(write(path, path.read_text().replace("Lateral,,1.0", "Lateral,,2")))


def test_vindr_boxes_and_columns(tmp_path: Path) -> None:
    boxes = write(
        tmp_path / "annotations_train.csv",
        "image_id,rad_id,class_name,x_min,y_min,x_max,y_max\n"
        "aa90,R8,Pleural effusion,900.1,1200.2,1100.3,1400.4\n"
        "aa90,R9,Pleural effusion,901.1,1201.2,1101.3,1401.4\n"
        "aa90,R9,Pleural effusion,301.1,1201.2,401.3,1401.4\n"
        "aa90,R9,Aortic enlargement,600,500,700,600\n"
        "bb91,R8,No finding,,,,\n",
    )
    documents = read_vindr(boxes)
    judged = build_qrels(
        [Topic("e", "pleural effusion"), Topic("a", "aortic enlargement"), Topic("n", "no finding")], documents
    )
    assert judged.qrels["e"] == {"aa90": 2, "bb91": 0}
    assert judged.qrels["n"] == {"aa90": 0, "bb91": 1}
    assert set(judged.qrels) == {"e", "a", "n"}
    wide = write(
        tmp_path / "image_labels_train.csv",
        "image_id,rad_id,Aortic enlargement,Pleural effusion,No finding\n"
        "aa90,R8,0,1,0\naa90,R9,1,1,0\naa90,R10,0,1,0\nbb91,R8,0,0,1\n",
    )
    assert build_qrels([Topic("e", "pleural effusion")], read_vindr(wide)).qrels["e"] == {"aa90": 3, "bb91": 0}


def test_padchest(tmp_path: Path) -> None:
    path = write(
        tmp_path / "PADCHEST_chest_x_ray_images_labels_160K.csv",
        ",ImageID,ImageDir,StudyDate_DICOM,StudyID,PatientID,Projection,Report,MethodLabel,Labels,Localizations,"
        "LabelsLocalizationsBySentence\n"
        "0,9001_a.png,0,20140101,9001,p1,PA,texto,Physician,\"['pleural effusion', 'cardiomegaly']\",\"['loc left']\","
        "\"['pleural effusion', 'loc left', 'loc basal'], ['cardiomegaly']\"\n"
        "1,9002_a.png,0,20140101,9002,p2,L,texto,RNN_model,\"['normal']\",[],\n",
    )
    first, second = read_padchest(path)
    assert shorts(first) == {"+left lower effusion", "+cardiomegaly", "+view PA"}
    assert shorts(second) == {"+no finding", "+view LATERAL"}


def test_open_i_as_table_and_as_xml(tmp_path: Path) -> None:
    reports = write(
        tmp_path / "indiana_reports.csv",
        "uid,MeSH,Problems,image,indication,comparison,findings,impression\n"
        "901,Pulmonary Atelectasis/base/left/mild;Cardiomegaly/borderline;Aorta/tortuous,Atelectasis,Xray,pain,,"
        '"No effusion, pneumothorax.",Basal atelectasis.\n'
        "902,normal,normal,Xray,,,Clear lungs.,Normal.\n",
    )
    projections = write(
        tmp_path / "indiana_projections.csv",
        "uid,filename,projection\n901,901_IM-1-1001.dcm.png,Frontal\n901,901_IM-1-2001.dcm.png,Lateral\n",
    )
    front, side, bare = read_open_i(reports, projections=projections)
    coded = {"+left small lower atelectasis", "+small cardiomegaly", "+aorta", "-effusion", "-pneumothorax"}
    assert shorts(front) == coded | {"+frontal"}
    assert (side.id, shorts(side)) == ("901_IM-1-2001.dcm.png", coded | {"+view LATERAL"})
    assert (bare.id, shorts(bare)) == ("902", {"+no finding", "-opacity"})
    folder = tmp_path / "ecgen-radiology"
    folder.mkdir()
    write(
        folder / "901.xml",
        '<?xml version="1.0" encoding="utf-8"?><eCitation><uId id="CXR901"/><MedlineCitation><Article><Abstract>'
        '<AbstractText Label="INDICATION">rule out effusion</AbstractText>'
        '<AbstractText Label="FINDINGS">No pneumothorax.</AbstractText></Abstract></Article></MedlineCitation>'
        "<MeSH><major>Pleural Effusion/right/small</major><automatic>effusion</automatic></MeSH>"
        '<parentImage id="CXR901_IM-1-1001"/><parentImage id="CXR901_IM-1-2001"/></eCitation>',
    )
    documents = read_open_i(folder)
    assert [one.id for one in documents] == ["CXR901_IM-1-1001", "CXR901_IM-1-2001"]
    assert shorts(documents[0]) == {"+right small effusion", "-pneumothorax"}
    write(folder / "902.xml", '<!DOCTYPE a [<!ENTITY b "c">]><eCitation>&b;</eCitation>')
    with pytest.raises(BadInput, match="declares entities"):
        read_open_i(folder)


def test_plain_labels_and_reports(tmp_path: Path) -> None:
    joined = read_labels(write(tmp_path / "a.csv", "image_id;labels\nf1;Effusion|Edema\nf2;\n"))
    assert [(one.id, shorts(one), one.closed) for one in joined] == [
        ("f1", {"+effusion", "+edema"}, True),
        ("f2", set(), True),
    ]
    rows = read_labels(write(tmp_path / "b.csv", "film,label,value\nf1,edema,1\nf1,mass,0\n"))
    assert (shorts(rows[0]), rows[0].closed) == ({"+edema", "-mass"}, False)
    (unsaid,) = read_labels(write(tmp_path / "e.csv", "film,label,value\nf1,edema,nan\n"))
    assert unsaid.statements == (), "a value that is missing says nothing"
    with pytest.raises(BadInput, match=":2: The value 2 is not between 0 and 1"):
        read_labels(write(tmp_path / "c.csv", "film,label,value\nf1,edema,2\n"))
    reports = read_reports(
        write(tmp_path / "d.jsonl", '{"id": "f1", "findings": "No edema.", "impression": "Mass."}\n')
    )
    assert shorts(reports[0]) == {"-edema", "+mass"}
    assert set(READERS) == {"nih", "chexpert", "mimic", "vindr", "padchest", "open-i", "reports", "labels"}
