"""The query language: what is typed becomes concepts and a filter, and back."""

from __future__ import annotations

import contextlib
import time

import pytest
from filmroom.db.errors import BadInput
from filmroom.db.records import Filter, Range, ScoreFilter
from filmroom.search.query.fields import FIELDS
from filmroom.search.query.parser import Concept, Query, parse, to_text, with_filter, without_filter
from hypothesis import example, given, settings
from hypothesis import strategies as st


def meant(text: str) -> tuple[str, ...]:
    """Concepts as signed words, for short tables."""
    return tuple(("-" if concept.negated else "+") + concept.text for concept in parse(text).concepts)


def test_every_part_of_the_language_at_once() -> None:
    query = parse(
        "pleural effusion view:AP,pa -view:lateral sex:female age:60..80 year:2019.. label:edema "
        '-label:"pleural thickening" modality:dx body:chest tag:seen collection:"my cohort" study:1.2 '
        "patient:3fa -patient:9 path:2019/ward has:report probe:edema>0.8 -pacemaker "
        '"exact report words" -report:"old film"'
    )
    assert query.concepts == (Concept("pleural effusion"), Concept("pacemaker", negated=True))
    assert query.filter == Filter(
        views=("AP", "PA"),
        not_views=("LATERAL",),
        modalities=("DX",),
        body_parts=("CHEST",),
        sexes=("F",),
        age=Range(60, 80),
        year=Range(2019, None),
        labels=("edema",),
        not_labels=("pleural thickening",),
        tags=("seen",),
        collections=("my cohort",),
        studies=("1.2",),
        patients=("3fa",),
        not_patients=("9",),
        paths=("2019/ward",),
        phrases=("exact report words",),
        not_phrases=("old film",),
        has_report=True,
        scores=(ScoreFilter("edema", 0.8, 1.0),),
    )
    assert parse(to_text(query)) == query


@pytest.mark.parametrize(
    ("text", "concepts"),
    [
        ("no pleural effusion", ("-pleural effusion",)),
        ("without cardiomegaly", ("-cardiomegaly",)),
        ("no evidence of pneumothorax", ("-pneumothorax",)),
        ("No radiographic evidence of the pneumothorax", ("-pneumothorax",)),
        ("lungs free of consolidation", ("+lungs", "-consolidation")),
        ("absence of edema", ("-edema",)),
        ("negative for pneumothorax", ("-pneumothorax",)),
        ("edema without effusion", ("+edema", "-effusion")),
        ("edema w/o effusion", ("+edema", "-effusion")),
        ("no effusion or pneumothorax", ("-effusion", "-pneumothorax")),
        ("no effusion, pneumothorax or mass", ("-effusion", "-pneumothorax", "-mass")),
        ("neither effusion nor pneumothorax", ("-effusion", "-pneumothorax")),
        ("no effusion, no pneumothorax", ("-effusion", "-pneumothorax")),
        ("no effusion, cardiomegaly", ("+cardiomegaly", "-effusion")),
        ("no effusion and cardiomegaly", ("+cardiomegaly", "-effusion")),
        ("mass without effusion and edema", ("+mass", "-effusion", "-edema")),
        ("no left or right effusion", ("-left or right effusion",)),
        ("no opacity in the left lung", ("-opacity in the left lung",)),
        ("cardiomegaly without effusion but edema", ("+cardiomegaly, edema", "-effusion")),
        ("chest film with no effusion", ("+chest film", "-effusion")),
        ("No effusion. Cardiomegaly", ("+Cardiomegaly", "-effusion")),
        ("pneumothorax is absent", ("-pneumothorax",)),
        ("pacemaker no longer present", ("-pacemaker",)),
        ("edema, effusion not seen", ("+edema", "-effusion")),
        ("no interstitial lung disease", ("-interstitial lung disease",)),
        ("opacity but not pneumonia", ("+opacity", "-pneumonia")),
        ("edema -pacemaker", ("+edema", "-pacemaker")),
        ('edema -"pleural effusion" -mass', ("+edema", "-pleural effusion", "-mass")),
        ("-mass -mass no mass", ("-mass",)),
        ("edema −pacemaker", ("+edema", "-pacemaker")),  # noqa: RUF001
    ],
)
def test_negations_are_found(text: str, concepts: tuple[str, ...]) -> None:
    assert meant(text) == concepts


@pytest.mark.parametrize(
    "text",
    [
        "normal",
        "no finding",
        "no acute findings",
        "nothing abnormal",
        "normal chest x-ray, no acute findings",
        "normal study, no acute cardiopulmonary abnormality",
        "no evidence of acute cardiopulmonary disease",
        "without significant abnormality",
        "non-displaced rib fracture",
        "not only effusion",
        "ill-defined opacity, x-ray",
        "http://example.org/a?b=c seen at 12:30",
        "FINDINGS: edema",
        'a 5" tube',
        "-5 mm - or -- so",
        "no",
        "Thoraxröntgen Erguß 胸水",
    ],
)
def test_other_words_stay_words(text: str) -> None:
    assert parse(text) == Query((Concept(text),))


@pytest.mark.parametrize("text", ["pneumonia cannot be excluded", "pneumonia not excluded", "rule out pneumonia"])
def test_what_is_in_doubt_ranks_and_is_said(text: str) -> None:
    query = parse(text)
    assert query == Query((Concept("pneumonia"),))
    assert query.doubted == ("pneumonia",)


def test_a_normal_statement_beside_a_negation_is_kept() -> None:
    assert meant("no acute findings or pneumothorax") == ("+no acute findings", "-pneumothorax")


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("age:70", Filter(age=Range(70, 70))),
        ("age:60-80", Filter(age=Range(60, 80))),
        ("age:..80", Filter(age=Range(None, 80))),
        ("age:>60", Filter(age=Range(61, None))),
        ("age:<=60", Filter(age=Range(None, 60))),
        ("age:95..", Filter(age=Range(89, None))),
        ("age:60.. age:..80", Filter(age=Range(60, 80))),
        ("YEAR:2019", Filter(year=Range(2019, 2019))),
        ("-has:report", Filter(has_report=False)),
        ("has:burned-in", Filter(burned_in=True)),
        ("-has:burned-in -has:report", Filter(burned_in=False, has_report=False)),
        ("probe:edema", Filter(scores=(ScoreFilter("edema", 0.5, 1.0),))),
        ("probe:edema>=.2 probe:edema<0.7", Filter(scores=(ScoreFilter("edema", 0.2, 0.7),))),
        ('probe:"lung edema"<0.3', Filter(scores=(ScoreFilter("lung edema", 0.0, 0.3),))),
        ('label:a,"b, c",d label:a', Filter(labels=("a", "b, c", "d"))),
        ('label:"a ""b"" c"', Filter(labels=('a "b" c',))),
        ("“two words”", Filter(phrases=("two words",))),
        ('report:"two words"', Filter(phrases=("two words",))),
    ],
)
def test_filters(text: str, wanted: Filter) -> None:
    assert parse(text) == Query((), wanted)


@pytest.mark.parametrize("text", ["", "   ", '""', '-""', '"', "\x00\x07"])
def test_nothing_asked_is_an_empty_query(text: str) -> None:
    assert not parse(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ('tube 5" \N{EN DASH}mass 3"', 'tube 5" 3" -mass'),
        ('tube 5" \N{EN DASH}label:edema 3"', 'tube 5" 3" -label:edema'),
        ('5" OR 3" (label:edema OR label:mass)', '(label:edema OR label:mass) 5" OR 3"'),
        ('view:(PA" OR AP)', "view:PA,AP"),
        ('"left base"(label:edema OR label:mass)', '"left base" (label:edema OR label:mass)'),
        ("(label:edema", "label:edema"),
        ('tube 5" (-) mass 3"', 'tube 5" -"mass 3"""'),
        ('5" !"left base"', '5" -"left base"'),
        ('"AND edema', "edema"),
        ("effusion -ve, pneumothorax -ve.", "-effusion -pneumothorax"),
    ],
)
def test_a_quote_within_a_word_hides_nothing(text: str, same: str) -> None:
    assert parse(text) == parse(same)
    assert parse(to_text(parse(text))) == parse(text)


def test_an_unclosed_quote_filters_nothing() -> None:
    assert parse('"pleural effusion') == Query((Concept("pleural effusion"),))
    assert meant('"viewed ""from') == ("+from",)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("edema viw:AP", "viw:AP: There is no field viw:. Did you mean view:AP?"),
        ("lable:edema", "lable:edema: There is no field lable:. Did you mean label:edema?"),
        ("view: AP", "view: has no value. Write it without a space, as in view:AP"),
        ("age:80..60", "age:80..60: The range is empty. Put the lower end first"),
        ("age:old", "age:old: Not a range of ages."),
        ("sex:x", "sex:x: Not a sex. Write sex:F, sex:M or sex:O"),
        ("-age:60..", "-age:60..: age: cannot be excluded. Write age:..N or age:N.."),
        ("-probe:edema>0.5", "-probe:edema>0.5: probe: cannot be excluded. Write probe:NAME<0.5"),
        ("label:edema OR effusion", "label:edema OR effusion: OR joins fields, not words. Write (label:edema OR"),
        ("edema OR label:effusion", "edema OR label:effusion: OR joins fields, not words."),
        ("(edema OR label:effusion)", "(edema OR label:effusion): OR joins fields, not words."),
        ("view:(PA AP)", "view:(PA AP): The values in brackets are not joined by OR."),
        ("says:zebra", "zebra: Reports are not read for this."),
        ('says:"no effusion"', "no effusion: One finding is asked for here."),
        ('denies:"effusion and edema"', "effusion and edema: One finding is asked for here."),
        ("has:picture", "has:picture: Only has:report and has:burned-in are known."),
        ("probe:edema>8", "probe:edema>8: Not a probe score."),
        ("probe:edema>nan", "probe:edema>nan: Not a probe score."),
        ('label:"open', 'label:"open: The quote is not closed.'),
        ('(label:"open', 'label:"open: The quote is not closed.'),
        ('zzq:"open', 'zzq:"open: There is no field zzq:.'),
        ('view:(PA OR a"b)', 'view:(PA OR a"b): The values in brackets are not joined by OR.'),
        ('(a" view:PA b")', '(a" view:PA b"): OR joins fields, not words.'),
        ("label:,", "label: has no value."),
        ("x" * 10_001, "The query has 10,001 characters. At most 10,000 are read"),
        (" ".join(f"-a{i}" for i in range(40)), "The query excludes 40 things. At most 32 can be weighed"),
    ],
)
def test_what_cannot_be_read_is_said_in_one_line(text: str, said: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


def test_an_unknown_field_far_from_all_lists_them() -> None:
    with pytest.raises(BadInput) as refused:
        parse("xyzzy:1")
    assert all(name in str(refused.value) for name in FIELDS)


def test_every_example_in_the_field_list_parses() -> None:
    assert all(parse(example).filter for example in FIELDS.values())


def test_controls_write_into_the_query() -> None:
    assert with_filter('edema -mass view:AP "a b"', views=("PA",), age=Range(60, None)) == (
        'edema -mass view:PA "a b" age:60..'
    )
    assert with_filter("edema view:AP", views=()) == "edema"
    assert without_filter("edema -mass view:AP has:report") == "edema -mass"


_WORDS = st.sampled_from(
    [
        *("edema", "effusion", "no", "not", "without", "or", "and", "but", "with", "nor", "neither", "seen"),
        *(
            "absent",
            "is",
            "left",
            "acute",
            "finding",
            "free",
            "of",
            "evidence",
            ",",
            ";",
            ".",
            "-",
            "-mass",
            '"',
        ),
        *(
            "view:AP",
            "-view:x",
            "age:3..9",
            "probe:a>.2",
            '"a b"',
            '-"a b"',
            'label:a,"b c"',
            '""x',
            'label:""',
            '5"',
            '(5"',
            '")',
            '("',
            "(view:PA OR",
            "view:(PA",
            "AND",
            "NOT",
            '!"q',
            'foo:"x',
            "-ve",
            "(-)",
            "w/",
        ),
        *("http://x", "has:report", "probe:a<0.4", "probe:b<1e-5", "tag:q", "FINDINGS:", "12:30", "(", ")"),
    ]
)


@settings(max_examples=300)
@given(
    st.one_of(
        st.text(max_size=60),
        st.text('ab (")-:,5|!ORvie', max_size=25),
        st.lists(_WORDS, max_size=12).map(" ".join),
        st.lists(st.one_of(_WORDS, st.just(" ")), max_size=12).map("".join),
    )
)
@example('LABEL:""0 ( ") 0"0"')
@example('"0"A:"')
@example('"AND')
@example("-VE.")
@example('-A"-VE 0"')
@example('VIEW::"(-)')
@example('VIEW:(0 )"')
@example("view:PA edema w/")
@example('view:) -"0 0 OR 0"')
@example('"x (view:PA OR view:AP)" edema')
@example('( 0" view:0 ")')
def test_round_trip(text: str) -> None:
    try:
        query = parse(text)
    except BadInput:
        return
    assert parse(to_text(query)) == query
    assert to_text(parse(to_text(query))) == to_text(query)


_VALUE = st.text(st.characters(codec="utf-8", exclude_categories=("C", "Z")), min_size=1, max_size=8)
_VALUES = st.lists(_VALUE, max_size=3, unique=True).map(tuple)


@given(_VALUES, _VALUES, _VALUES, st.sampled_from([None, True, False]))
@example(("0\N{RIGHT DOUBLE QUOTATION MARK}",), ("\N{MINUS SIGN}x",), ("\N{RIGHT DOUBLE QUOTATION MARK}",), None)
@example(("HER+", "//"), ("in:-",), ("+", "//server/ward"), None)
@example(("a\N{LEFT DOUBLE QUOTATION MARK}b",), (), ("\N{MINUS SIGN}1/\N{DOUBLE LOW-9 QUOTATION MARK}",), True)
def test_any_label_tag_and_path_survives(
    labels: tuple[str, ...], tags: tuple[str, ...], paths: tuple[str, ...], has_report: bool | None
) -> None:
    query = Query((), Filter(labels=labels, tags=tags, paths=paths, has_report=has_report))
    read = parse(to_text(query))
    typographic = str.maketrans("“”„‟−", '""""-')  # noqa: RUF001
    assert read.filter.labels == tuple(dict.fromkeys(value.translate(typographic) for value in labels))
    assert read.filter.paths == tuple(dict.fromkeys(value.translate(typographic) for value in paths))
    assert read.filter.has_report is has_report


@pytest.mark.parametrize(
    "text",
    [
        *("no " * 3300, '"' * 9999, "-" * 9999, "a:" * 5000, "no a, " * 1600, '" ""' * 2400),
        *(
            "(" * 9999,
            ")" * 9999,
            "view:(" * 1600,
            "( " * 5000,
            "AND " * 2500,
            "- " * 5000,
            "a OR " * 2000,
            "(a) " * 2500,
        ),
        *("not (a " * 1400, "a( " * 3300, "- view:PA " * 1000),
    ],
)
def test_a_long_text_is_read_at_once(text: str) -> None:
    began = time.thread_time()
    with contextlib.suppress(BadInput):
        parse(text)
    assert time.thread_time() - began < 1.0
