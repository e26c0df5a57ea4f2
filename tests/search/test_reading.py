"""How a query was read is said, and words that could filter are offered as fields."""

from __future__ import annotations

import pytest
from filmroom.db.errors import BadInput
from filmroom.search.query.parser import parse
from filmroom.search.query.reading import as_filter, read


@pytest.mark.parametrize(
    ("text", "offered"),
    [
        ("effusion in women over 60", "effusion sex:F age:61.."),
        ("women over 60 with effusion", "effusion sex:F age:61.."),
        ("edema in men aged 50 to 60 view:PA", "edema view:PA sex:M age:50..60"),
        ("pneumonia in patients younger than 5 years", "pneumonia age:..4"),
        ("effusion in patients older than 40 and younger than 50", "effusion age:41..49"),
        ("lateral views with hernia", "hernia view:LATERAL"),
        ("mass in 2019 -effusion", "mass -effusion year:2019"),
        ("AP film", "view:AP"),
        ("effusion in women sex:F", ""),
        ("65-year-old woman with effusion", "effusion sex:F age:65"),
        ("men 40 to 50", "sex:M age:40..50"),
        ("women > 60", "sex:F age:61.."),
        ("60+ women", "sex:F age:60.."),
        ("aged 60 and over", "age:60.."),
        ("at least 60 years old", "age:60.."),
        ("children with pneumonia", "pneumonia age:..17"),
        ("edema since 2019", "edema year:2019.."),
        ("edema before 2015", "edema year:..2014"),
        ("edema from 2018 to 2020", "edema year:2018..2020"),
        ("PA chest film", "view:PA"),
        ("mass over 3 cm", ""),
        ("nodule above 12", ""),
        ("effusion at 70 years", ""),
        ("nodule, over 70 years old, female", "nodule sex:F age:71.."),
        ("edema", ""),
        ("no effusion", ""),
        ("", ""),
    ],
)
def test_what_is_offered_as_a_filter(text: str, offered: str) -> None:
    assert as_filter(parse(text)) == offered


def test_what_is_said() -> None:
    assert read(parse("pleural effusion")).sentences == ()
    assert read(parse("effusion without edema")).sentences == ("Ranked by: effusion; against: edema.",)
    assert read(parse("no edema")).sentences == ("Ranked against: edema.",)
    assert read(parse("rule out PNA")).sentences == (
        "Ranked by: PNA (not sure).",
        "PNA is read as pneumonia.",
    )


def test_a_doubt_is_said_once() -> None:
    assert read(parse("rule out effusion")).sentences == ("Ranked by: effusion (not sure).",)
    assert read(parse("mass, possible effusion")).sentences == (
        "Ranked by: mass, effusion; not sure, but ranked: effusion.",
    )
    assert read(parse("pneumonia less likely than edema")).sentences == ("Ranked by: pneumonia, edema (not sure).",)
    assert read(parse("possible effusion without edema")).sentences == (
        "Ranked by: effusion (not sure); against: edema.",
    )


@pytest.mark.parametrize(
    "text",
    [
        "no interval change",
        "no change",
        "No significant interval change.",
        "unchanged",
        "stable",
        "no change since the last film",
        "interval improvement",
        "there is no relevant change as compared to the previous radiograph",
        "essentially unchanged chest x-ray",
    ],
)
def test_a_change_alone_is_said_to_be_more_than_one_film_shows(text: str) -> None:
    assert not parse(text).negated
    reading = read(parse(text))
    assert len(reading.changes) == 1
    assert reading.sentences[-1].endswith("one film alone cannot show it. Name the finding that changed.")


@pytest.mark.parametrize("text", ["effusion, no interval change", "stable effusion", "new effusion", "sex:F", ""])
def test_a_finding_that_changed_is_no_change_alone(text: str) -> None:
    assert read(parse(text)).changes == ()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("with or without effusion", ("with or without effusion",)),
        ("mass with or without effusion, edema +/- collapse", ("with or without effusion", "+/- collapse")),
        ("mass with or without effusion view:AP", ("with or without effusion",)),
        ("mass with effusion", ()),
        ('"with or without effusion"', ()),
    ],
)
def test_what_is_said_to_be_there_or_not_is_said_to_rank_nothing(text: str, said: tuple[str, ...]) -> None:
    reading = read(parse(text))
    assert reading.either == said
    assert [one for one in reading.sentences if "ranks nothing" in one] == [
        f"{words}: that says nothing of it, and ranks nothing." for words in said
    ]


@pytest.mark.parametrize("text", ['"left base', 'effusion "left base', "\N{LEFT DOUBLE QUOTATION MARK}left base"])
def test_a_quote_that_is_not_closed_is_said(text: str) -> None:
    query = parse(text)
    assert (query.unclosed, query.filter.phrases) == ("left base", ())
    (said,) = read(query).sentences
    assert said == 'The quote before "left base" is not closed: these words rank, and filter nothing.'


@pytest.mark.parametrize("text", ['"left base"', 'a 5" tube', 'effusion "', 'effusion "left base" "', 'mass -"'])
def test_a_quote_that_opens_nothing_is_not_said(text: str) -> None:
    assert parse(text).unclosed == ""


def test_an_excluded_quote_that_is_not_closed_is_refused() -> None:
    """Its words would rank for what they were to exclude."""
    with pytest.raises(BadInput, match="not closed"):
        parse('effusion -"left base')


class _Towers:
    def known_words(self) -> frozenset[str]:
        return frozenset(("the", "with"))


def test_words_that_nobody_knows_are_named_for_models_that_can_tell() -> None:
    asked = parse("kerley xqzt with the effusion -blorb")
    said = read(asked, _Towers())
    assert said.unfamiliar == ("xqzt", "blorb")
    assert "xqzt, blorb: words that neither the model nor any report here knows." in said.sentences
    assert read(asked).unfamiliar == read(asked, object()).unfamiliar == ()
    assert read(parse("XQZ film"), _Towers()).unfamiliar == (), "named as an abbreviation already"
    assert read(parse("view:PA"), _Towers()).unfamiliar == ()


def test_a_word_that_may_be_a_slip_is_asked_back_and_ranks_as_it_stands() -> None:
    asked = parse("left efusion without cardiomegally view:PA")
    reading = read(asked, _Towers())
    assert reading.suggested == (("efusion", "effusion"), ("cardiomegally", "cardiomegaly"))
    assert reading.sentences[-1].endswith("knows. Did you mean effusion and cardiomegaly?")
    assert reading.ranked_by == ("left efusion",)
    assert read(parse("kerley xqzt"), _Towers()).suggested == ()
    assert read(parse("effusion CHF AICD pacemaker pleural view:PA"), _Towers()).suggested == ()
