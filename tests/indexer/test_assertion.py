"""What is asked for, denied or in doubt is read as it is meant, in queries and in reports."""

from __future__ import annotations

import pytest
from filmroom.indexer.radiology.assertion import plain_assertions
from filmroom.indexer.radiology.report_labeler import read_report
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
    "no evidence that a pleural effusion is absent",
    "pleural effusion has not resolved",
    "pleural effusion has nearly resolved",
    "partially resolved pleural effusion",
    "no interval resolution of the pleural effusion",
    "incomplete resolution of the pleural effusion",
    "resolving pleural effusion",
    "unchanged pleural effusion",
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
        ("no suspicion of pneumothorax", (), ("suspicion of pneumothorax",)),
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
        ("The heart is mildly enlarged.", {"cardiomegaly": True}),
        ("Cardiac silhouette remains enlarged.", {"cardiomegaly": True}),
        ("The heart is not enlarged.", {"cardiomegaly": False}),
        ("Mild levoscoliosis, prior granulomatous disease.", {"scoliosis": True, "granuloma": True}),
        ("No change since the last film.", {}),
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


DASHES = "\u2010\u2011\u2012\u2013\u2014\u2015\u2212\ufe63\uff0d"


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
