"""What is asked for, denied or in doubt is read as it is meant, in queries and in reports."""

from __future__ import annotations

import time

import pytest
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.indexer.radiology.vocabulary import NORMAL
from filmroom.search.query.parser import parse, to_text
from hypothesis import given, settings
from hypothesis import strategies as some

PRESENT = (
    "no change in pleural effusion",
    "no interval change in the pleural effusion",
    "no significant interval change in the size of the pleural effusion",
    "no increase in pleural effusion",
    "no decrease in the pleural effusion",
    "no improvement of pleural effusion",
    "no resolution of the pleural effusion",
    "without significant change in the pleural effusion",
    "no evidence of improvement in pleural effusion",
    "no doubt about pleural effusion",
    "no change pleural effusion",
    "pleural effusion has not resolved",
    "pleural effusion has nearly resolved",
    "partially resolved pleural effusion",
    "no interval resolution of the pleural effusion",
    "incomplete resolution of the pleural effusion",
    "resolving pleural effusion",
    "unchanged pleural effusion",
    "pleural effusion without interval change",
    "no convincing change in the pleural effusion",
    "no short-interval change in pleural effusion",
    "no change from the prior study in the pleural effusion",
    "not significantly changed pleural effusion",
    "the pleural effusion hasn't cleared",
    "it is not true that the pleural effusion is absent",
    "pleural effusion is not absent",
    "not without pleural effusion",
    "no absence of pleural effusion",
    "not free of pleural effusion",
    "without doubt a pleural effusion",
    "not merely a pleural effusion",
    "no explanation for the pleural effusion",
    "no other finding than pleural effusion",
    "no abnormality beyond pleural effusion",
    "no acute finding with the exception of pleural effusion",
    "normal except for a pleural effusion",
    "pleural effusion: yes",
)
DENIED = (
    "pleural effusion: none",
    "Pleural effusion: no",
    "pleural effusion - none",
    "pleural effusion \N{EN DASH} no",
    "pleural effusion = absent",
    "pleural effusion none",
    "pleural effusion absent",
    "pleural effusion has resolved",
    "pleural effusion has completely cleared",
    "pleural effusion resolved",
    "the pleural effusion is no longer seen",
    "no pleural effusion",
    "resolved pleural effusion",
    "interval resolution of the pleural effusion",
    "no longer any pleural effusion",
    "neg for pleural effusion",
    "neg. for pleural effusion",
    "-ve for pleural effusion",
    "pleural effusion -ve",
    "(-) pleural effusion",
    "pleural effusion (-)",
    "pleural effusion (none)",
    "pleural effusion, absent",
    "pleural effusion no",
    "pleural effusion: 0",
    "pleural effusion negative",
    "neg pleural effusion",
    "absent pleural effusion",
    "pleural effusion not demonstrated",
    "pleural effusion isn't seen",
    "pleural effusion is not well appreciated",
    "pleural effusion is unlikely",
    "pleural effusion is felt to be unlikely",
    "unlikely to represent a pleural effusion",
    "pleural effusion has cleared",
    "the film doesn't show a pleural effusion".removeprefix("the film "),
    "fails to demonstrate a pleural effusion",
    "there isn\N{RIGHT SINGLE QUOTATION MARK}t a pleural effusion",
    "rules out pleural effusion",
    "ruled out pleural effusion",
    "nothing to suggest pleural effusion",
    "no findings suggestive of pleural effusion",
    "not consistent with pleural effusion",
    "no longer pleural effusion",
    "s/p resolution of the pleural effusion",
    "never had a pleural effusion",
)
DOUBTED = (
    "pleural effusion cannot be ruled out",
    "pleural effusion cannot be completely excluded",
    "pleural effusion not excluded",
    "rule out pleural effusion",
    "r/o pleural effusion",
    "question of pleural effusion",
    "cannot exclude pleural effusion",
    "possible pleural effusion",
    "? pleural effusion",
    "pleural effusion can't be excluded",
    "pleural effusion can\N{RIGHT SINGLE QUOTATION MARK}t be ruled out",
    "pleural effusion could not be entirely excluded",
    "could not exclude pleural effusion",
    "unable to exclude pleural effusion",
    "does not exclude a pleural effusion",
    "pleural effusion is difficult to exclude",
    "pleural effusion would be difficult to exclude",
    "pleural effusion may be present",
    "pleural effusion possible",
    "pleural effusion should be considered",
    "pleural effusion is in the differential",
    "suspicious for pleural effusion",
    "equivocal pleural effusion",
    "likely pleural effusion",
    "eval for pleural effusion",
    "not certain if pleural effusion",
    "cannot say that there is no pleural effusion",
    "no evidence that a pleural effusion is absent",
    "no worsening pleural effusion",
)


@pytest.mark.parametrize("text", PRESENT)
def test_what_has_not_changed_is_there(text: str) -> None:
    query = parse(text)
    assert query.negated == ()
    assert "pleural effusion" in " ".join(query.positive)
    (statement,) = read_report(text)
    assert (statement.idea, statement.present) == ("effusion", True)


@pytest.mark.parametrize("text", DENIED)
def test_what_is_denied_from_behind_is_denied(text: str) -> None:
    query = parse(text)
    assert not query.positive
    assert len(query.negated) == 1
    assert query.negated[0].lower().endswith("pleural effusion")
    (statement,) = read_report(text)
    assert (statement.idea, statement.present) == ("effusion", False)


@pytest.mark.parametrize("text", DOUBTED)
def test_what_is_in_doubt_ranks_and_is_said(text: str) -> None:
    query = parse(text)
    assert query.positive == ("pleural effusion",)
    assert query.doubted == ("pleural effusion",)
    assert query.negated == ()
    (statement,) = read_report(text)
    assert (statement.idea, statement.present, statement.certain) == ("effusion", True, False)


def test_with_or_without_says_nothing() -> None:
    assert parse("effusion with or without atelectasis").positive == ("effusion",)
    assert not parse("effusion with or without atelectasis").negated
    assert {one.idea for one in read_report("Effusion with or without atelectasis.")} == {"effusion"}


@pytest.mark.parametrize(
    ("text", "positive", "negated"),
    [
        ("effusion: none, edema", ("edema",), ("effusion",)),
        ("edema, effusion and pneumothorax: none", ("edema",), ("effusion", "pneumothorax")),
        ("no effusion, pneumothorax or consolidation", (), ("effusion", "pneumothorax", "consolidation")),
        ("no effusion but pneumothorax", ("pneumothorax",), ("effusion",)),
        ("no effusion other than pneumothorax", ("pneumothorax",), ("effusion",)),
        ("cardiomegaly but effusion has resolved", ("cardiomegaly",), ("effusion",)),
        ("3.5 cm nodule has resolved", (), ("3.5 cm nodule",)),
        ("FINDINGS: effusion: none. Edema", ("FINDINGS, Edema",), ("effusion",)),
        ("no abnormality detected", ("no abnormality detected",), ()),
        ("No significant abnormality is seen.", ("No significant abnormality is seen.",), ()),
        ("no abnormality detected in the lungs", ("no abnormality detected in the lungs",), ()),
        ("NAD", ("NAD",), ()),
        ("no effusion detected", (), ("effusion",)),
        ("no effusion or edema has been demonstrated", (), ("effusion", "edema")),
        ("no longer visible pneumothorax", (), ("pneumothorax",)),
        ("w/o pl. eff.", (), ("pl eff",)),
        ("no lt. effusion. Cardiomegaly", ("Cardiomegaly",), ("lt effusion",)),
        ("heart not enlarged", (), ("enlarged heart",)),
        ("the heart is no longer enlarged", (), ("enlarged heart",)),
        ("effusion, mediastinum is not widened, edema", ("effusion, edema",), ("widened mediastinum",)),
        ("no suspicion of pneumothorax", (), ("suspicion of pneumothorax",)),
        ("no effusion, pneumothorax not excluded", ("pneumothorax",), ("effusion",)),
        ("no effusion despite edema", ("edema",), ("effusion",)),
        ("no effusion while pneumothorax", ("pneumothorax",), ("effusion",)),
        ("no effusion in a patient with cardiomegaly", ("in a patient with cardiomegaly",), ("effusion",)),
        ("no pneumothorax or significant change in the effusion", ("effusion",), ("pneumothorax",)),
        ("effusion no, pneumothorax yes", ("pneumothorax",), ("effusion",)),
        ("pneumonia rather than edema", ("pneumonia",), ("edema",)),
        ("no devices except pacemaker", ("pacemaker",), ("devices",)),
        ("effusion with and without edema", ("effusion",), ()),
        ("pneumonia except effusion", ("pneumonia",), ("effusion",)),
        ("everything except effusion", (), ("effusion",)),
        ("gram negative pneumonia", ("gram negative pneumonia",), ()),
        ("interval removal of the chest tube, pneumothorax", ("pneumothorax",), ("chest tube",)),
        ("pacemaker has been removed", (), ("pacemaker",)),
        ("cardiomegaly, no change in effusion, no pneumothorax", ("cardiomegaly, effusion",), ("pneumothorax",)),
    ],
)
def test_scopes_end_where_they_should(text: str, positive: tuple[str, ...], negated: tuple[str, ...]) -> None:
    query = parse(text)
    assert (query.positive, query.negated) == (positive, negated)


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("No edema seen, left apical granuloma.", {"edema": False, "granuloma": True}),
        ("No edema seen, no effusion.", {"edema": False, "effusion": False}),
        ("No edema or mass seen, and nodule.", {"edema": False, "mass": False, "nodule": False}),
        ("No abnormality detected.", {NORMAL: True}),
        ("NAD", {NORMAL: True}),
        ("Heart: NAD. Lungs: NAD.", {"cardiomegaly": False, "opacity": False, NORMAL: True}),
        ("Bones: no abnormality.", {"fracture": False}),
        ("Bony thorax: within normal limits.", {"fracture": False}),
        ("Lungs NAD, pacemaker.", {"opacity": False, "pacemaker": True}),
        ("No effusion detected, pacemaker in place.", {"effusion": False, "pacemaker": True}),
        ("No abnormality detected other than a small effusion.", {"effusion": True}),
        ("No effusion, heart mildly enlarged.", {"effusion": False, "cardiomegaly": True}),
        ("No evidence that the heart is enlarged.", {"cardiomegaly": False}),
        ("No lt. effusion.", {"effusion": False}),
        ("Heart size is not enlarged, effusion.", {"cardiomegaly": False, "effusion": True}),
        ("The ribs are not fractured, effusion.", {"fracture": False, "effusion": True}),
        ("The heart is mildly enlarged.", {"cardiomegaly": True}),
        ("Cardiac silhouette remains enlarged.", {"cardiomegaly": True}),
        ("The heart is not enlarged.", {"cardiomegaly": False}),
        ("Mild levoscoliosis, prior granulomatous disease.", {"scoliosis": True, "granuloma": True}),
        ("No change since the last film.", {}),
        ("No relevant change as compared to the previous radiograph.", {}),
        ("No effusion, pneumonia not excluded.", {"effusion": False, "pneumonia": True}),
        ("No effusion, only pneumothorax.", {"effusion": False, "pneumothorax": True}),
        ("No effusion, cardiomegaly present.", {"effusion": False, "cardiomegaly": True}),
        ("Interval removal of the chest tube.", {"chest tube": False}),
        ("The right pneumothorax is not appreciated.", {"pneumothorax": False}),
        ("Except for a small effusion, the lungs are clear.", {"effusion": True}),
    ],
)  # fmt: skip
def test_sentences_of_reports(text: str, read: dict[str, bool]) -> None:
    assert {one.idea: one.present for one in read_report(text)} == read


def test_a_template_is_read_line_by_line() -> None:
    text = "Pneumothorax: None. Pleural effusion: none. Heart: moderate cardiomegaly."
    read = {one.idea: one.present for one in read_report(text)}
    assert read == {"pneumothorax": False, "effusion": False, "cardiomegaly": True}
    read = {one.idea: one.present for one in read_report("PNEUMOTHORAX - NO, cardiomegaly")}
    assert read == {"pneumothorax": False, "cardiomegaly": True}


DASHES = "\u207b\u02d7\u2796\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"


@pytest.mark.parametrize("dash", DASHES)
def test_dashes_of_word_processors_are_a_minus_before_a_term_and_a_field(dash: str) -> None:
    query = parse(f"edema {dash}effusion {dash}view:LATERAL {dash}label:mass")
    assert query.negated == ("effusion",)
    assert query.filter.not_views == ("LATERAL",)
    assert query.filter.not_labels == ("mass",)


@pytest.mark.parametrize("dash", DASHES.replace("\u2212", ""))
def test_a_dash_within_or_between_words_is_no_minus(dash: str) -> None:
    assert not parse(f"air{dash}space opacity {dash} left").negated


@settings(deadline=None)
@given(some.lists(some.sampled_from((*PRESENT, *DENIED, *DOUBTED, "view:PA", "-mass", "and", "but", ",")), max_size=5))
def test_a_query_written_out_is_the_same_query(parts: list[str]) -> None:
    query = parse(" ".join(parts))
    assert parse(to_text(query)) == query


@settings(deadline=None)
@given(some.text(max_size=200))
def test_any_text_is_read(text: str) -> None:
    read = plain_assertions(text)
    assert plain_assertions(text) == read
    assert len(read.text) <= 3 * len(text) + 40


@pytest.mark.parametrize(
    "words", ["? ", "yes ", "absent ", "neg ", "effusion no, ", "no longer ", "not excluded ", "except "]
)
def test_words_over_and_over_are_read_at_once(words: str) -> None:
    start = time.process_time()
    parse((words * 10_000)[:9_999])
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    ("text", "read"),
    [
        ("There is no\npneumothorax or pleural\neffusion. The heart\nis enlarged.",
         {"pneumothorax": False, "effusion": False, "cardiomegaly": True}),
        (" FINDINGS: \n \n There is no focal consolidation, pleural effusion or\n pneumothorax.\n",
         {"consolidation": False, "effusion": False, "pneumothorax": False}),
        ("There is no evidence of\n\npneumothorax.", {"pneumothorax": False}),
        ("The lungs show no sign of any of the usual changes such as\neffusion or edema.",
         {"effusion": False, "edema": False}),
        ("No effusion\nCardiomegaly\nNo edema\nNodule",
         {"effusion": False, "cardiomegaly": True, "edema": False, "nodule": True}),
        ("- No pneumothorax\n- Left effusion\n* no edema", {"pneumothorax": False, "effusion": True, "edema": False}),
        ("1. No\nacute pneumonia. 2. Cardiomegaly", {"pneumonia": False, "cardiomegaly": True}),
        ("No effusion.<br>Cardiomegaly.", {"effusion": False, "cardiomegaly": True}),
        ("No effusion\r\nCardiomegaly", {"effusion": False, "cardiomegaly": True}),
        ("INDICATION: Pneumonia.\n\nFINDINGS: Edema.", {"edema": True}),
        ("INDICATION:\n\nPneumonia, effusion\n\nFINDINGS:\n\nNormal heart. Edema.",
         {"cardiomegaly": False, "edema": True}),
        ("HISTORY: 45-year-old with pneumothorax. FINDINGS: Nodule.", {"nodule": True}),
        ("CLINICAL HISTORY: COPD, pneumonia\nCHEST: No effusion.", {"effusion": False}),
        ("REASON FOR EXAM: rule out effusion. FINDINGS: Cardiomegaly.", {"cardiomegaly": True}),
        ("Reason for examination: pneumonia.\nPortable chest. No edema.", {"edema": False}),
        ("COMPARISON: Effusion on the prior film. FINDINGS: Nodule.", {"nodule": True}),
        ("COMPARISON: None. There is a small effusion.", {"effusion": True}),
        ("EXAM: CHEST PA\nCardiomegaly.", {"cardiomegaly": True}),
        ("Pneumothorax: none\nEffusion: small\nHeart: enlarged",
         {"pneumothorax": False, "effusion": True, "cardiomegaly": True}),
        *((text, {"cardiomegaly": False}) for text in (
            "The heart is of normal size.", "Heart is normal in size.", "The cardiomediastinal silhouette is normal.",
            "Normal heart size.", "Heart: normal", "The cardiac and mediastinal silhouettes are normal.")),
        *((text, {NORMAL: True}) for text in (
            "Nothing acute.", "No acute cardiopulmonary abnormality.", "No acute intrathoracic process is identified.",
            "IMPRESSION: No evidence of acute cardiopulmonary disease.", "No acute or active chest disease.")),
        *((text, {}) for text in (
            "No acute osseous abnormality.", "No acute cardiac abnormality.", "Not a normal chest.",
            "This is not a normal chest x-ray.", "No interval change.")),
        ("Nothing acute, pacemaker in place.", {"pacemaker": True}),
        ("No acute cardiopulmonary abnormality or effusion.", {"effusion": False, NORMAL: True}),
        ("Heart is not normal in size.", {"cardiomegaly": True}),
        ("NG tube removed. Chest tube absent.", {"nasogastric": False, "chest tube": False}),
    ],
)  # fmt: skip
def test_lines_and_sections_of_reports(text: str, read: dict[str, bool]) -> None:
    assert {one.idea: one.present for one in read_report(text)} == read
