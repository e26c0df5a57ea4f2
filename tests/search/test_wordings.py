"""A table of wordings: what a query ranks by and against, and what a report with the same words says."""

from __future__ import annotations

import pytest
from filmroom.indexer.radiology.report_labeler import mentions, read_report
from filmroom.search.query.parser import parse, to_text

# "+" the effusion is there, "-" it is not, "?" it is left open; "both" queries and reports, "query" queries alone.
ONE = (
    *(("+", text) for text in (
        "pleural effusion +", "pleural effusion: +", "positive for pleural effusion",
        "normal except pleural effusion", "everything normal except pleural effusion",
        "no doubt about pleural effusion", "there has been no change in pleural effusion",
        "pleural effusion appears to have nearly resolved",
        "symptom-free, pleural effusion",
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
        "pleural effusion has increased", "pleural effusion has decreased", "pleural effusion has improved",
        "pleural effusion has worsened", "pleural effusion is slightly smaller than on the prior film",
        "pleural effusion increased", "pleural effusion is improving",
        "pleural effusion has markedly decreased in size since the prior study",
        "no cardiomegaly, pleural effusion has increased", "no cardiomegaly, pleural effusion has slightly increased",
        "no mass, pleural effusion has also worsened since yesterday", "no improvement, pleural effusion has worsened",
        "no cardiomegaly. Pleural effusion has not resolved", "no cardiomegaly, pleural effusion has not resolved",
    )),
    *(("-", text) for text in (
        "effusion-free", "pleural effusion-free lungs", "pleural effusion seems to have gone",
        "pleural effusion has gone", "pleural effusion appears to have resolved",
        "effusion:none", "effusion:no", "Effusion:absent",
        "pleural effusion: NAD", "pleural effusion NAD", "PLEURAL EFFUSION: NAD", "pleural effusion -",
        "pleural effusion: -", "pleural effusion 0", "pleural effusion: 0", "NO LT. PLEURAL EFFUSION",
        "NO RT. PLEURAL EFFUSION SEEN", "no lt. pleural effusion", "w/out pleural effusion", "lacks pleural effusion",
        "never pleural effusion", "pleural effusion gone", "pleural effusion is not likely",
        "not with pleural effusion",
        "pleural effusion: no evidence", "nothing suggests pleural effusion", "is there pleural effusion? no",
        "any pleural effusion? No.", "pleural effusion? none", "heart size normal, no pleural effusion",
        "lungs clear, no pleural effusion", "normal film without pleural effusion", "NO PLEURAL EFFUSION SEEN",
        "pleural effusion has decreased and is no longer seen", "the patient has no pleural effusion",
        "patient has no known history of pleural effusion", "no history of pleural effusion",
        "patients without pleural effusion",
        "no pleural effusion or other abnormality", "no pleural effusion [none]", "no pleural effusion after all",
    )),
    *(("?", text) for text in (
        "doubtful pleural effusion", "pleural effusion is doubtful", "doubt about pleural effusion",
        "exclude pleural effusion", "to exclude pleural effusion", "not possible to exclude pleural effusion",
        "not excluding pleural effusion", "no definite evidence to exclude pleural effusion",
        "pleural effusion more likely than not", "pleural effusion is less likely than edema",
        "edema more likely than pleural effusion", "less likely pleural effusion than edema",
        "favor edema over pleural effusion", "pleural effusion is favored over edema",
        "impossible to exclude pleural effusion", "pleural effusion to be excluded",
    )),
)  # fmt: skip
QUERIES = ("everything but pleural effusion", "anything but pleural effusion", "all but pleural effusion")
# The first sign is of the effusion, the second of the pneumothorax.
TWO = (
    *(("--", text) for text in (
        "effusion and PTX absent", "effusion and PTX are absent", "effusion or PTX is not seen", "effusion 0, PTX 0",
        "effusion -, PTX -", "effusion and PTX excluded", "no effusion (or PTX)", "no effusion or PTX is seen",
        "effusion and PTX not seen", "effusion and PTX have resolved", "effusion on the left and PTX are absent",
        "effusion on the left and pneumothoraces on the right are absent",
    )),
    *(("+-", text) for text in (
        "effusion and PTX is absent", "effusion +, PTX -", "PTX -, effusion +", "effusion 1, PTX 0",
        "effusion [no PTX]",
        "effusion \N{EN DASH} no PTX", "No PTX. effusion.", "no PTX after effusion", "no PTX, stable effusion",
        "no PTX, small effusion", "no PTX, new effusion", "no PTX, effusion unchanged", "no PTX, effusion in place",
        "no PTX, effusion again seen", "no PTX, positive for effusion", "resolved PTX, persistent effusion",
        "no PTX \N{EN DASH} effusion present", "no PTX, effusion is noted", "effusion, exclude PTX",
        "effusion, no acute PTX", "effusion on the left and pneumothoraces are absent",
        "effusion at the right base and pneumothoraces have resolved", "effusion rather than PTX",
        "effusion has decreased and PTX has resolved", "effusion persists and PTX has resolved",
        "effusion on the left and pneumothoraces are no longer seen", "PTX is absent and effusion has increased",
        "PTX is absent and there is effusion", "PTX not seen and effusion present",
    )),
    *(("?-", text) for text in ("no PTX, ? effusion", "no PTX, possible effusion", "no PTX, cannot exclude effusion")),
    *(("??", text) for text in ("PTX is less likely than effusion", "effusion more probable than PTX")),
    *(("++", text) for text in (
        "no interval change in effusion or PTX", "there is no change in the left effusion or PTX",
        "NAD except effusion and PTX", "no acute findings except effusion and PTX",
    )),
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


@pytest.mark.parametrize(
    "text",
    [
        "no effusion after chest tube removal",
        "no effusion following removal of the chest tube",
        "no effusion status post chest tube removal",
    ],
)
def test_what_was_taken_out_is_not_there(text: str) -> None:
    assert [in_query(text, idea) for idea in ("effusion", "chest tube")] == ["-", "-"]
    assert [in_report(text, idea) for idea in ("effusion", "chest tube")] == ["-", "-"]


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
        ("effusion, nothing acute", ("effusion", "nothing acute")),
        ("nothing acute", ("nothing acute",)),
        ("no acute cardiopulmonary abnormality", ("no acute cardiopulmonary abnormality",)),
        ("no interval change", ("no interval change",)),
        ("not a normal chest", ("abnormal chest",)),
        ("not quite a normal chest", ("abnormal chest",)),
        ("no acute process", ("no acute process",)),
        ("no acute process on this film", ("no acute process on this film",)),
        ("not a normal chest x-ray", ("abnormal chest x-ray",)),
        ("aeration has improved", ("aeration has improved",)),
        ("effusion is larger than edema", ("effusion is larger than edema",)),
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


@pytest.mark.parametrize(
    "text",
    [
        "patient has no known history of pneumonia",
        "the patient without pneumonia",
        "film shows no pneumonia",
        "the study is negative for pneumonia",
    ],
)
def test_whom_or_what_a_denial_is_said_of_ranks_nothing(text: str) -> None:
    assert (parse(text).positive, parse(text).negated) == ((), ("pneumonia",))
    assert parse("patient in wheelchair without effusion").positive == ("patient in wheelchair",)


def test_a_change_is_the_finding_alone() -> None:
    for how in ("increased", "decreased", "improved", "worsened"):
        assert parse(f"effusion has {how}").positive == parse("no change in effusion").positive == ("effusion",)


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        ("-", "cleared effusion"),
        ("-", "effusion, since resolved"),
        ("-", "prior effusion, now gone"),
        ("-", "effusion has resolved in the interim"),
        ("-", "The previously seen right effusion has cleared completely."),
        ("-", "complete clearing of the effusion"),
        ("-", "effusion has dissipated"),
        ("-", "effusion has been completely drained"),
        ("-", "effusion has not recurred"),
        ("-", "effusion did not reaccumulate"),
        ("+", "slow resolution of the effusion"),
        ("+", "effusion partially drained"),
        ("+", "effusion has not been completely drained"),
        ("+", "effusion has not dissipated"),
        ("+", "effusion has not cleared completely"),
        ("+-", "PTX has not recurred, effusion persists"),
        ("+-", "PTX resolved with small effusion"),
    ],
)
def test_what_has_gone_is_not_there(signs: str, text: str) -> None:
    test_two_findings(signs, text) if len(signs) > 1 else test_one_finding(signs, text)


@pytest.mark.parametrize(
    ("sign", "text"),
    [
        ("-", "central line out"),
        ("-", "central line has been pulled"),
        ("-", "central line d/c'd"),
        ("-", "central line no longer in situ"),
        ("+", "central line pulled back 2 cm"),
        ("+", "central line out of position"),
    ],
)
def test_a_device_that_was_pulled_is_not_there(sign: str, text: str) -> None:
    assert (in_query(text, "line"), in_report(text, "line")) == (sign, sign)


@pytest.mark.parametrize(
    ("signs", "text"),
    [
        ("-", "effusion N"),
        ("+", "effusion Y"),
        ("+-", "effusion Y, PTX N"),
        ("-", "effusion: no convincing evidence"),
        ("-", "argues against effusion"),
        ("-", "I cannot see any effusion"),
        ("-", "unable to see effusion"),
        ("?", "cannot exclude effusion"),
        ("+", "unable to see behind the heart, effusion at the base"),
        ("-", "effusion is not a feature"),
        ("--", "Neither consolidation, effusion nor PTX."),
        ("--", "neither effusion nor PTX"),
        ("+-", "Effusion is seen but PTX is not"),
        ("+-", "Left effusion is seen, PTX is not"),
        ("+", "No findings beyond the small effusion"),
        ("+", "non-loculated effusion"),
    ],
)
def test_denials_in_few_words(signs: str, text: str) -> None:
    test_two_findings(signs, text) if len(signs) > 1 else test_one_finding(signs, text)


@pytest.mark.parametrize(
    ("sign", "text", "idea"),
    [
        ("+", "NG tube tip not seen", "nasogastric"),
        ("+", "the tip of the nasogastric tube is not seen", "nasogastric"),
        ("-", "nasogastric tube not seen", "nasogastric"),
        ("+", "non-calcified nodule", "nodule"),
        ("", "non-calcified nodule", "granuloma"),
        ("+", "mild oedema", "edema"),
    ],
)
def test_part_of_a_name_is_not_the_finding(sign: str, text: str, idea: str) -> None:
    assert in_report(text, idea) == sign
    assert sign != "+" or not parse(text).negated
