"""Operators of the query language: alternatives, exclusions, and what other programs write for them."""

from __future__ import annotations

import pytest
from filmroom.db.errors import BadInput
from filmroom.db.records import Filter, Range, ReportedFinding
from filmroom.search.query.parser import Concept, Query, parse, to_text


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("view:(PA OR AP)", Filter(views=("PA", "AP"))),
        ('-label:(edema OR "pleural thickening")', Filter(not_labels=("edema", "pleural thickening"))),
        ("-sex:F -modality:DX", Filter(not_sexes=("F",), not_modalities=("DX",))),
        ('-tag:seen -collection:"my cohort"', Filter(not_tags=("seen",), not_collections=("my cohort",))),
        ("-path:ward -body:CHEST", Filter(not_paths=("ward",), not_body_parts=("CHEST",))),
        (
            "(label:edema OR view:AP age:60..)",
            Filter(any_of=((Filter(labels=("edema",)), Filter(views=("AP",), age=Range(60, None))),)),
        ),
        ("label:a OR -tag:b", Filter(any_of=((Filter(labels=("a",)), Filter(not_tags=("b",))),))),
        (
            '(-label:"pleural thickening" OR age:60..)',
            Filter(any_of=((Filter(not_labels=("pleural thickening",)), Filter(age=Range(60, None))),)),
        ),
        (
            'says:"small left effusion"',
            Filter(says=(ReportedFinding("small left effusion", "effusion", "left", "small"),)),
        ),
        ("-denies:PTX", Filter(not_denies=(ReportedFinding("PTX", "pneumothorax"),))),
    ],
)
def test_alternatives_exclusions_and_what_reports_say(text: str, wanted: Filter) -> None:
    assert parse(text) == Query((), wanted)
    assert parse(to_text(parse(text))).filter == wanted


@pytest.mark.parametrize("text", ["edema OR effusion", "(edema OR effusion)", "edema (left OR right)"])
def test_or_between_words_stays_words(text: str) -> None:
    assert parse(text) == Query((Concept(text),))


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("NOT label:edema", "-label:edema"),
        ("effusion not label:edema", "effusion -label:edema"),
        ("effusion (-) view:LATERAL", "effusion -view:LATERAL"),
        ("effusion without view:LATERAL", "effusion -view:LATERAL"),
        ("effusion except view:LATERAL", "effusion -view:LATERAL"),
        ("effusion: no view:PA", "-effusion view:PA"),
        ('label:edema OR report:"left base"', '(label:edema OR report:"left base")'),
        ('"x (-) y -ve z"', 'report:"x (-) y -ve z"'),
        ('view:PA AND "left base"', 'view:PA "left base"'),
        ("!label:edema !effusion", "-label:edema -effusion"),
        ("label:edema AND label:effusion", "(label:edema) (label:effusion)"),
        ("label:edema AND -label:effusion", "(label:edema) -label:effusion"),
        ("age:60.. AND age:..80", "age:60..80"),
        ("effusion AND view:PA", "effusion view:PA"),
        ("view:PA AND sex:F", "(view:PA) (sex:F)"),
        ("(label:edema) OR (label:effusion)", "(label:edema OR label:effusion)"),
        ("(label:edema view:AP) OR label:effusion", "(label:edema view:AP OR label:effusion)"),
        ("view:(PA or AP)", "view:PA,AP"),
        ("view:(PA | AP)", "view:PA,AP"),
        ("view:PA|AP", "view:PA,AP"),
        ("age:60+", "age:60.."),
        ("age:60\N{EN DASH}70", "age:60..70"),
        ('report:"NOT label" "a AND b"', 'report:"NOT label" report:"a AND b"'),
    ],
)
def test_operators_of_other_programs(text: str, same: str) -> None:
    assert parse(text) == parse(same)
    assert parse(to_text(parse(text))) == parse(text)


@pytest.mark.parametrize("text", ["label:-edema", "view:!PA", "(label:edema AND label:effusion)"])
def test_operators_that_cannot_be_read_are_refused(text: str) -> None:
    with pytest.raises(BadInput):
        parse(text)
