"""Words for a normal structure deny what it would show, in queries and in reports alike."""

from __future__ import annotations

import time

import pytest
from filmroom.indexer.radiology.normal_structures import normal_as_denied
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.indexer.radiology.vocabulary import NORMAL
from filmroom.search.query.parser import parse, to_text

_HEART, _LUNGS, _ANGLES = ("cardiomegaly",), ("lung opacity",), ("pleural effusion",)
DENIED = (
    ("heart size normal", _HEART),
    ("The heart is normal in size.", _HEART),
    ("normal heart size", _HEART),
    ("normal-sized heart", _HEART),
    ("HEART SIZE NORMAL", _HEART),
    ("Heart: NAD", _HEART),
    ("heart WNL", _HEART),
    ("Cardiomediastinal silhouette is normal in size and contour", _HEART),
    ("lungs are clear", _LUNGS),
    ("clear lungs", _LUNGS),
    ("Lungs: clear", _LUNGS),
    ("lungs appear grossly clear bilaterally", _LUNGS),
    ("both lung fields are clear", _LUNGS),
    ("the left lung is clear", ("left lung opacity",)),
    ("lung volumes are normal", ("low lung volumes",)),
    ("pleural spaces are clear", ("pleural effusion", "pneumothorax")),
    ("costophrenic angles sharp", _ANGLES),
    ("sharp costophrenic angles", _ANGLES),
    ("CP angles are clear", _ANGLES),
    ("the right costophrenic angle is preserved", ("right pleural effusion",)),
    ("bones are intact", ("fracture",)),
    ("ribs intact", ("fracture",)),
    ("normal mediastinum", ("widened mediastinum",)),
    ("trachea is midline", ("tracheal deviation",)),
    ("hilar contours are unremarkable", ("hilar enlargement",)),
    ("pulmonary vascularity is within normal limits", ("pulmonary vascular congestion",)),
    ("the aorta is normal", ("tortuous aorta",)),
    ("thoracic spine is normal", ("scoliosis",)),
    ("normal heart and lungs", (*_HEART, *_LUNGS)),
    ("heart, mediastinum and hila are normal", (*_HEART, "widened mediastinum", "hilar enlargement")),
    ("The cardiac and mediastinal contours are normal", (*_HEART, "widened mediastinum")),
    ("normal heart and lungs on this film", (*_HEART, *_LUNGS)),
    ("normal heart and lungs compared to the prior study", (*_HEART, *_LUNGS)),
)


@pytest.mark.parametrize(("text", "denied"), DENIED)
def test_a_normal_structure_denies_its_finding(text: str, denied: tuple[str, ...]) -> None:
    query = parse(text)
    assert (query.positive, query.negated) == ((), denied)
    assert parse(to_text(query)) == query


@pytest.mark.parametrize(
    ("text", "positive", "negated"),
    [
        ("effusion with normal heart size", ("effusion",), _HEART),
        ("heart size normal, lungs are clear, pacemaker", ("pacemaker",), (*_HEART, *_LUNGS)),
        ("normal heart, no effusion", (), (*_HEART, "effusion")),
        ("heart size not normal", ("cardiomegaly",), ()),
        ("the costophrenic angles are not sharp", ("pleural effusion",), ()),
        ("lungs are clear except for effusion", ("effusion",), ()),
        # a structure of the list with a word of its own
        ("enlarged heart, lungs are clear", ("enlarged heart",), _LUNGS),
        ("enlarged heart and lungs are clear", ("enlarged heart",), _LUNGS),
        ("tortuous aorta, heart size normal", ("tortuous aorta",), _HEART),
        ("small lung volumes, heart size is normal", ("small lung volumes",), _HEART),
        ("prominent hila and clear lungs", ("prominent hila",), _LUNGS),
        ("normal heart size, lungs hazy", ("lungs hazy",), _HEART),
        ("normal heart and mediastinum widened", ("mediastinum widened",), _HEART),
        ("not a normal heart", ("cardiomegaly",), ()),
        ("not quite normal lungs, pacemaker", ("lung opacity, pacemaker",), ()),
        *((text, (text,), ()) for text in (
            "the aorta is at the upper limits of normal", "abnormal heart",
            "normal central line", "intact sternotomy wires", "normal chest x-ray", "heart",
            "lungs are otherwise clear", "blunted costophrenic angles")),
    ],
)  # fmt: skip
def test_only_what_is_normal_is_denied(text: str, positive: tuple[str, ...], negated: tuple[str, ...]) -> None:
    query = parse(text)
    assert (query.positive, query.negated) == (positive, negated)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("Heart size is normal. Lungs are clear.", {"cardiomegaly": False, "opacity": False, NORMAL: True}),
        ("The heart size, mediastinal contour, and pulmonary vascularity are within normal limits.",
         {"cardiomegaly": False, "edema": False}),
        ("Costophrenic angles are sharp, pacemaker in place.", {"effusion": False, "pacemaker": True}),
        ("Pleural spaces are clear.", {"effusion": False, "pneumothorax": False}),
        ("The lungs are clear apart from a nodule.", {"nodule": True}),
        ("Except for an opacity in the left base, the lungs are clear.", {"opacity": True}),
        ("Osseous structures are intact.", {"fracture": False}),
        ("Heart is mildly enlarged, lungs are clear.", {"cardiomegaly": True, "opacity": False}),
        ("Enlarged heart, lungs are clear.", {"cardiomegaly": True, "opacity": False}),
        ("Large heart, mediastinum and hila are normal.", {"cardiomegaly": True, "hilar": False}),
        ("Calcified aorta and heart size is normal.", {"aorta": True, "cardiomegaly": False}),
        ("Prominent hila and clear lungs.", {"hilar": True, "opacity": False}),
        ("Normal heart size, lungs hazy.", {"cardiomegaly": False}),
        ("The heart, lungs and mediastinum are normal.", {"cardiomegaly": False, "opacity": False, NORMAL: True}),
        ("No acute process.", {NORMAL: True}),
        ("No active processes on this film.", {NORMAL: True}),
        ("No acute cardiopulmonary abnormality on this exam.", {NORMAL: True}),
        ("No acute bony process.", {}),
        ("No acute process, effusion.", {"effusion": True}),
    ],
)  # fmt: skip
def test_reports_of_normal_structures(text: str, read: dict[str, bool]) -> None:
    assert {one.idea: one.present for one in read_report(text)} == read


@pytest.mark.parametrize(
    "text",
    [
        "heart size upper limits of normal",
        "Heart size is at the upper limits of normal.",
        "heart size at upper limit of normal",
        "heart size upper normal",
        "heart is top normal in size",
        "top normal in size heart",
        "top normal heart size",
        "high-normal heart size",
        "the heart is borderline in size",
        "borderline heart size",
        "borderline enlarged heart",
        "heart normal to mildly enlarged",
        "heart normal or enlarged",
        "heart size normal to borderline",
        "no effusion, top normal heart size",
        "top normal heart size, lungs are clear",
    ],
)
def test_a_heart_at_the_edge_of_normal_is_left_open(text: str) -> None:
    query = parse(text)
    assert query.doubted == ("cardiomegaly",)
    assert [one.strip(" .") for one in query.positive] == ["cardiomegaly"]
    assert "cardiomegaly" not in query.negated
    said = [(one.present, one.certain) for one in read_report(text) if one.idea == "cardiomegaly"]
    assert said == [(True, False)]
    assert parse(to_text(query)).positive == query.positive


@pytest.mark.parametrize("words", ["heart and ", "heart, ", "normal ", "lungs are ", "normal heart, lungs and "])
def test_words_over_and_over_are_read_at_once(words: str) -> None:
    start = time.process_time()
    normal_as_denied((words * 10_000)[:9_999])
    assert time.process_time() - start < 2
