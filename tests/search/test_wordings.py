"""A table of wordings: what a query ranks by and against, and what a report with the same words says."""

from __future__ import annotations

import pytest
from filmroom.indexer.radiology.report_labeler import mentions, read_report
from filmroom.search.query.parser import parse, to_text

# "+" the effusion is there, "-" it is not, "?" it is left open; "both" queries and reports, "query" queries alone.
ONE = (
    *(("+", text) for text in (
        "pleural effusion +", "pleural effusion: +", "positive for pleural effusion",
        "normal except pleural effusion",
        "NAD except pleural effusion", "NAD apart from pleural effusion", "NAD, pleural effusion",
        "no abnormality detected except pleural effusion", "no acute findings aside from pleural effusion",
        "no acute disease, pleural effusion", "No acute disease. Pleural effusion.",
        "pleural effusion, otherwise normal",
        "pleural effusion but otherwise unremarkable", "within normal limits except pleural effusion",
        "nothing but pleural effusion", "pleural effusion with no other findings",
        "not a normal film, pleural effusion",
        "not normal: pleural effusion", "incompletely resolved pleural effusion", "no smaller pleural effusion",
        "near complete resolution of pleural effusion", "not previously seen pleural effusion",
        "pleural effusion not seen on the prior film", "pleural effusion is no larger",
        "pleural effusion not removed",
        "lungs are clear except for pleural effusion", "heart size normal, pleural effusion",
        "pleural effusion with normal heart size", "pleural effusion, normal mediastinum",
        "unresolved pleural effusion",
    )),
    *(("-", text) for text in (
        "pleural effusion: NAD", "pleural effusion NAD", "PLEURAL EFFUSION: NAD", "pleural effusion -",
        "pleural effusion: -", "pleural effusion 0", "pleural effusion: 0", "NO LT. PLEURAL EFFUSION",
        "NO RT. PLEURAL EFFUSION SEEN", "no lt. pleural effusion", "w/out pleural effusion", "lacks pleural effusion",
        "never pleural effusion", "pleural effusion gone", "pleural effusion is not likely",
        "not with pleural effusion",
        "pleural effusion: no evidence", "nothing suggests pleural effusion", "is there pleural effusion? no",
        "any pleural effusion? No.", "pleural effusion? none", "heart size normal, no pleural effusion",
        "lungs clear, no pleural effusion", "normal film without pleural effusion", "NO PLEURAL EFFUSION SEEN",
        "no pleural effusion or other abnormality", "no pleural effusion [none]", "no pleural effusion after all",
    )),
    *(("?", text) for text in (
        "exclude pleural effusion", "to exclude pleural effusion", "not possible to exclude pleural effusion",
        "not excluding pleural effusion", "no definite evidence to exclude pleural effusion",
        "impossible to exclude pleural effusion", "pleural effusion to be excluded",
    )),
)  # fmt: skip
QUERIES = ("everything but pleural effusion", "anything but pleural effusion", "all but pleural effusion")
# The first sign is of the effusion, the second of the pneumothorax.
TWO = (
    *(("--", text) for text in (
        "effusion and PTX absent", "effusion and PTX are absent", "effusion or PTX is not seen", "effusion 0, PTX 0",
        "effusion -, PTX -", "effusion and PTX excluded", "no effusion (or PTX)", "no effusion or PTX is seen",
        "effusion and PTX not seen",
    )),
    *(("+-", text) for text in (
        "effusion and PTX is absent", "effusion +, PTX -", "PTX -, effusion +", "effusion 1, PTX 0",
        "effusion [no PTX]",
        "effusion \N{EN DASH} no PTX", "No PTX. effusion.", "no PTX after effusion", "no PTX, stable effusion",
        "no PTX, small effusion", "no PTX, new effusion", "no PTX, effusion unchanged", "no PTX, effusion in place",
        "no PTX, effusion again seen", "no PTX, positive for effusion", "resolved PTX, persistent effusion",
        "no PTX \N{EN DASH} effusion present", "no PTX, effusion is noted", "effusion, exclude PTX",
        "effusion, no acute PTX",
    )),
    *(("?-", text) for text in ("no PTX, ? effusion", "no PTX, possible effusion", "no PTX, cannot exclude effusion")),
    *(("++", text) for text in ("NAD except effusion and PTX", "no acute findings except effusion and PTX")),
    *(("--", text) for text in (
        "no acute, visible effusion or PTX is seen", "no effusion, PTX, or mass", "no effusion, new PTX, or mass",
    )),
)  # fmt: skip
IDEAS = ("effusion", "pneumothorax")


def in_query(text: str, idea: str) -> str:
    query = parse(text)
    named = [idea in mentions(" ".join(words).lower().replace("ptx", "pneumothorax"), frozenset())
             for words in (query.negated, query.doubted, query.positive)]  # fmt: skip
    assert not (named[0] and named[2])
    return "-" if named[0] else "?" if named[1] else "+" if named[2] else ""


def in_report(text: str, idea: str) -> str:
    said = {("-" if not one.present else "+" if one.certain else "?") for one in read_report(text) if one.idea == idea}
    return "".join(said)


@pytest.mark.parametrize(("sign", "text"), ONE)
def test_one_finding(sign: str, text: str) -> None:
    assert (in_query(text, "effusion"), in_report(text, "effusion")) == (sign, sign)
    assert parse(to_text(parse(text))) == parse(text)


@pytest.mark.parametrize("text", QUERIES)
def test_all_but_one(text: str) -> None:
    assert in_query(text, "effusion") == "-"


@pytest.mark.parametrize(("signs", "text"), TWO)
def test_two_findings(signs: str, text: str) -> None:
    for sign, idea in zip(signs, IDEAS, strict=True):
        assert (in_query(text, idea), in_report(text, idea)) == (sign, sign)
    assert parse(to_text(parse(text))) == parse(text)


@pytest.mark.parametrize(
    ("text", "positive"),
    [
        ("NAD, effusion", ("effusion", "NAD")),
        ("No acute disease, pacemaker", ("pacemaker", "No acute disease")),
        ("normal chest x-ray with pacemaker", ("pacemaker", "normal chest x-ray")),
        ("effusion, otherwise normal", ("effusion", "otherwise normal")),
        ("normal chest x-ray, PA view", ("normal chest x-ray, PA view",)),
        ("normal chest x-ray, no acute findings", ("normal chest x-ray, no acute findings",)),
        ("chest: NAD", ("chest: NAD",)),
        ("day 0", ("day 0",)),
        ("effusion and edema", ("effusion and edema",)),
    ],
)
def test_a_normal_film_beside_a_finding_is_a_concept_of_its_own(text: str, positive: tuple[str, ...]) -> None:
    assert parse(text).positive == positive
    assert not parse(text).negated


@pytest.mark.parametrize(
    ("text", "present", "denied"),
    [
        ("Cardiomegaly persists and effusions are absent.", {"cardiomegaly"}, {"effusion"}),
        ("There is pneumonia and effusions are not seen.", {"pneumonia"}, {"effusion"}),
        ("Heart size was normal, now enlarged.", set(), set()),
        ("Previously clear lungs now show consolidation.", {"consolidation"}, set()),
        ("Previously normal heart size.", set(), set()),
        ("Heart size was normal.", set(), {"cardiomegaly"}),
        ("Costophrenic angles are clear and sharp, except on the left where blunted.", set(), set()),
        ("Lungs are clear and well aerated except for a nodule.", {"nodule"}, set()),
    ],
)
def test_what_is_there_or_was_normal_once_is_not_denied(text: str, present: set[str], denied: set[str]) -> None:
    statements = read_report(text)
    assert present <= {statement.idea for statement in statements if statement.present}
    assert {statement.idea for statement in statements if not statement.present} == denied
