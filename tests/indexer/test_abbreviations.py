"""Abbreviations of chest radiology are written out, and those that are not known are named."""

from __future__ import annotations

import pytest
from filmroom.indexer.radiology.abbreviations import ABBREVIATIONS, CONFIRMED, spell_out
from filmroom.indexer.radiology.report_labeler import read_report
from filmroom.search.evaluation.grading import read_wanted
from filmroom.search.query.parser import parse
from hypothesis import given, settings
from hypothesis import strategies as some


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("CHF", "congestive heart failure"),
        ("mild chf", "mild congestive heart failure"),
        ("PTXs", "pneumothorax"),
        ("bilateral pl eff", "bilateral pleural effusion"),
        ("RLL PNA, ETT in place", "right lower lobe pneumonia, endotracheal tube in place"),
        ("apical cap", "apical cap"),
        ("NAD", "no abnormality detected"),
        ("DHT", "Dobbhoff tube"),
        ("CAP", "community-acquired pneumonia"),
        ("PE", "PE"),
        ("CHF-like", "CHF-like"),
        ("ECMO", "extracorporeal membrane oxygenation cannula"),
        ("switchf", "switchf"),
    ],
)
def test_what_is_written_out(text: str, written: str) -> None:
    assert spell_out(text).text == written


@pytest.mark.parametrize(
    ("text", "unknown"),
    [
        ("effusion with XQZ", ("XQZ",)),
        ("AP film, PA and LAT", ()),
        ("PLEURAL EFFUSION AND MASS", ()),
        ("small MASS", ()),
        ("CHF", ()),
        ("XQZ", ("XQZ",)),
    ],
)
def test_what_is_not_known(text: str, unknown: tuple[str, ...]) -> None:
    assert spell_out(text).unknown == unknown


def test_what_published_lists_confirm_stands_in_the_table() -> None:
    assert {short for shorts in CONFIRMED.values() for short in shorts} <= set(ABBREVIATIONS)


def test_reports_and_judgements_read_them_too() -> None:
    assert [(one.idea, one.present) for one in read_report("No PTX. RLL PNA.")] == [
        ("pneumothorax", False),
        ("pneumonia", True),
    ]
    wanted = read_wanted("PNA without PTX")
    assert wanted.main is not None
    assert (wanted.main.idea, wanted.denied) == ("pneumonia", ("pneumothorax",))


@settings(deadline=None)
@given(some.lists(some.sampled_from((*ABBREVIATIONS, "effusion", "XQZ", ",")), max_size=6))
def test_writing_out_twice_changes_nothing(words: list[str]) -> None:
    once = spell_out(" ".join(words)).text
    assert spell_out(once).text == once


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("PTX/effusion", "pneumothorax/effusion"),
        ("pna/ptx", "pneumonia/pneumothorax"),
        ("b/l effs", "bilateral effusions"),
        ("small pl. eff.", "small pleural effusion."),
        ("no lt. effusion or rt. eff.", "no left effusion or right effusion."),
        ("no eff. Cardiomegaly.", "no effusion. Cardiomegaly."),
        ("Lt eff, rt fx", "left effusion, right fracture"),
        ("RLZ consol", "right lower zone consolidation"),
        ("s/p CABG", "status post coronary artery bypass graft with sternotomy wires"),
        ("effort and effect", "effort and effect"),
        ("x-rt-y", "x-rt-y"),
    ],
)
def test_short_words_of_notes(text: str, written: str) -> None:
    assert spell_out(text).text == written


@pytest.mark.parametrize("text", ["no e/o PTX", "no evidence of PTX", "cardiomegaly w/o PTX"])
def test_short_words_that_join(text: str) -> None:
    assert parse(text).negated == ("PTX",)


def test_sides_in_reports_may_be_short() -> None:
    (one,) = read_report("Small Lt pl eff c/w prior.")
    assert (one.idea, one.side, one.severity) == ("effusion", "left", "small")
