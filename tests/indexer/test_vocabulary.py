"""One vocabulary: what a label means is the same for training, evaluation, zero-shot scores and grounding."""

from __future__ import annotations

import csv
import random
from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.radiology.captions import facts, phrase
from filmroom.indexer.radiology.lexicon import TERMS
from filmroom.indexer.radiology.report_labeler import mentions
from filmroom.indexer.radiology.vocabulary import ALIASES, NORMAL, PARENTS, VIEWS, finding_of, view_finding
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.evaluation.grounding import read_boxes
from filmroom.search.public_sets.readers import READERS
from filmroom.search.public_sets.views import view_statements

LABELS = {
    "CheXpert": """No Finding|Enlarged Cardiomediastinum|Cardiomegaly|Lung Opacity|Lung Lesion|Edema|Consolidation|
        Pneumonia|Atelectasis|Pneumothorax|Pleural Effusion|Pleural Other|Fracture|Support Devices""",
    "MIMIC": """No Finding|Enlarged Cardiomediastinum|Cardiomegaly|Airspace Opacity|Lung Lesion|Edema|Consolidation|
        Pneumonia|Atelectasis|Pneumothorax|Pleural Effusion|Pleural Other|Fracture|Support Devices""",
    "NIH": """Atelectasis|Cardiomegaly|Effusion|Infiltration|Infiltrate|Mass|Nodule|Pneumonia|Pneumothorax|
        Consolidation|Edema|Emphysema|Fibrosis|Pleural_Thickening|Hernia|No Finding""",
    "VinDr": """Aortic enlargement|Atelectasis|Calcification|Cardiomegaly|Clavicle fracture|Consolidation|Edema|
        Emphysema|Enlarged PA|ILD|Infiltration|Lung Opacity|Lung cavity|Lung cyst|Mediastinal shift|Nodule/Mass|
        Other lesion|Pleural effusion|Pleural thickening|Pneumothorax|Pulmonary fibrosis|Rib fracture|COPD|Lung tumor|
        Pneumonia|Tuberculosis|Other diseases|No finding""",
    "PadChest": """normal|pleural effusion|pneumonia|atelectasis|cardiomegaly|infiltrates|interstitial pattern|
        ground glass pattern|alveolar pattern|nodule|pulmonary mass|pulmonary fibrosis|emphysema|COPD signs|
        aortic elongation|scoliosis|hiatal hernia|rib fracture|callus rib fracture|hemidiaphragm elevation|
        costophrenic angle blunting|NSG tube|endotracheal tube|tracheostomy tube|central venous catheter|pacemaker|
        dual chamber device|sternotomy|suture material|calcified granuloma|hilar enlargement|laminar atelectasis|
        pleural thickening|apical pleural thickening|pneumothorax|pulmonary edema|cavitation|tuberculosis|
        chronic changes|air trapping|vertebral degenerative changes|bronchiectasis""",
    "Open-i": """normal|Pulmonary Atelectasis|Cardiomegaly|Pleural Effusion|Calcified Granuloma|Airspace Disease|
        Hernia, Hiatal|Fractures, Bone|Pulmonary Emphysema|Pulmonary Fibrosis|Catheters, Indwelling|Opacity|Scoliosis|
        Nodule|Pneumothorax|Pulmonary Congestion|Granuloma|Cicatrix|Spondylosis|Osteophyte|Emphysema""",
}
SPELLINGS = [
    pytest.param(" ".join(label.split()), id=f"{source}-{' '.join(label.split())}")
    for source, labels in LABELS.items()
    for label in labels.split("|")
]


def spelled(label: str) -> set[str]:
    """A label as columns, cells and people write it."""
    return {
        label,
        label.lower(),
        label.upper(),
        label.title(),
        label.replace(" ", "_"),
        f"  {label} ".replace(" ", "  "),
    }


@pytest.mark.parametrize("label", SPELLINGS)
def test_every_spelling_of_a_label_is_one_finding(label: str) -> None:
    assert {finding_of(spelling) for spelling in spelled(label)} == {finding_of(label)}
    assert finding_of(finding_of(label)) == finding_of(label)


@pytest.mark.parametrize("label", SPELLINGS)
def test_training_knows_each_label_that_evaluation_grades_by(label: str, tmp_path: Path) -> None:
    finding = finding_of(label)
    for spelling in spelled(label):
        known = facts([spelling], vocabulary=[spelling, "some other finding"])
        assert {claim.idea for claim in known.present} == {finding, *PARENTS.get(finding, ())}
        assert "some other finding" in known.absent
        assert all(phrase(claim, random.Random(0)) for claim in known.present)
        assert known_truth((finding,), {spelling: {1: 1.0}, "some other": {2: 1.0}}, [1, 2]).tolist() == [1, 0]


def test_the_tables_of_evaluation_and_grounding_use_the_same_names(tmp_path: Path) -> None:
    labels = [" ".join(label.split()) for label in LABELS["NIH"].split("|")]
    table, boxes = tmp_path / "labels.csv", tmp_path / "boxes.csv"
    with table.open("w", newline="") as file:
        csv.writer(file).writerows(
            [["Image Index", "Finding Labels"], *([f"{n}.png", label] for n, label in enumerate(labels))]
        )
    with boxes.open("w", newline="") as file:
        rows = [[f"{n}.png", label, 1, 1, 9, 9] for n, label in enumerate(labels)]
        csv.writer(file).writerows([["film", "label", "x", "y", "w", "h"], *rows])
    graded = {one.idea for film in READERS["nih"](table) for one in film.statements}
    assert graded == set(map(finding_of, labels)) == {finding for _, finding in read_boxes(boxes)}


@pytest.mark.parametrize(
    "name",
    [
        "PA",
        "AP",
        "LL",
        "RL",
        "L",
        "LAT",
        "LLAT",
        "LATERAL",
        "AP SUPINE",
        "AP_HORIZONTAL",
        "AP ERECT",
        "PA ERECT",
        "FRONTAL",
        "pa",
        "LLD",
        "",
        "XX",
    ],
)
def test_a_view_is_the_same_in_training_and_evaluation(name: str) -> None:
    trained = {claim.idea for claim in facts((), view=name).present if claim.idea in VIEWS}
    view = view_finding(name)
    assert trained == (set() if view is None else {view, *PARENTS.get(view, ())})
    assert [one.idea for one in view_statements(name)] == ([view] if view else [])


@pytest.mark.parametrize(
    ("name", "view"),
    [
        ("AP SUPINE", "view AP SUPINE"),
        ("AP_HORIZONTAL", "view AP SUPINE"),
        ("AP upright", "view AP ERECT"),
        ("RLAT", "view LATERAL"),
        ("L", "view LATERAL"),
        ("Postero-anterior", "view PA"),
        ("frontal", "frontal"),
        ("LLD", None),
        ("LORDOTIC", None),
    ],
)
def test_views(name: str, view: str | None) -> None:
    assert view_finding(name) == view


def test_an_alias_repeats_nothing_that_the_lexicon_says() -> None:
    names = {name.lower() for term in TERMS.values() for name in term.names} | {name.lower() for name in TERMS}
    contrary = {alias for alias, finding in ALIASES.items() if alias in names and finding_of(alias) != finding}
    assert contrary == set()
    assert {finding for finding in ALIASES.values() if finding not in TERMS} == {"nodule or mass"}


def test_normal_is_a_label_and_no_phrase_of_a_report() -> None:
    assert finding_of("Normal") == NORMAL
    assert mentions("normal heart size", frozenset()) == []
    assert finding_of(" ") == ""
    assert np.isnan(known_truth(("edema",), {}, [1])).all()
