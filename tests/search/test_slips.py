"""Signs and operators that join, close or exclude nothing are told or refused; none of them passes in silence."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput
from filmroom.search.classification.zero_shot_archive import filter_of
from filmroom.search.query.parser import Concept, Query, parse
from filmroom.search.query.reading import read
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.pages import components, page, said
from tests.rest import client
from tests.terminal import Terminal


@pytest.mark.parametrize(
    ("text", "same", "slip"),
    [
        ("effusion (", "effusion", '"(" is never closed, and is passed over.'),
        ("(effusion", "effusion", '"(" is never closed, and is passed over.'),
        ("effusion (small", "effusion small", '"(" is never closed, and is passed over.'),
        ("effusion )", "effusion", '")" closes nothing, and is passed over.'),
        ("(effusion view:PA", "effusion view:PA", '"(" is never closed, and is passed over.'),
        ("label:edema OR (label:mass", "(label:edema OR label:mass)", '"(" is never closed, and is passed over.'),
        ("effusion AND NOT (edema", "effusion -edema", '"(" is never closed, and is passed over.'),
        ("effusion AND", "effusion", '"AND" joins nothing here, and is passed over.'),
        ("OR effusion", "effusion", '"OR" joins nothing here, and is passed over.'),
        ("effusion or", "effusion", '"or" joins nothing here, and is passed over.'),
        ("AND label:edema", "label:edema", '"AND" joins nothing here, and is passed over.'),
        ("effusion view:PA OR", "effusion view:PA", '"OR" joins nothing here, and is passed over.'),
        ("effusion NOT", "effusion", '"NOT" excludes nothing here, and is passed over.'),
        ("label:edema NOT", "label:edema", '"NOT" excludes nothing here, and is passed over.'),
        ("effusion AND AND edema", "effusion AND edema", '"AND AND" is read as AND.'),
        ("label:edema OR OR view:PA", "label:edema OR view:PA", '"OR OR" is read as OR.'),
        ("label:edema AND AND label:mass", "label:edema AND label:mass", '"AND AND" is read as AND.'),
        ("- effusion", "effusion", '"- effusion": a minus that stands apart excludes nothing; -effusion does.'),
        (
            "- label:edema",
            "label:edema",
            '"- label:edema": a minus that stands apart excludes nothing; -label:edema does.',
        ),
        (
            "effusion \N{EN DASH} view:PA",
            "effusion view:PA",
            '"\N{EN DASH} view:PA": a minus that stands apart excludes nothing; -view:PA does.',
        ),
        ("label:edema -", "label:edema", '"-" excludes nothing here, and is passed over.'),
        ("-", "", '"-" excludes nothing here, and is passed over.'),
        ('effusion "', "effusion", "A quote that quotes nothing is passed over."),
        ('label:edema"', "label:edema", "A quote that quotes nothing is passed over."),
    ],
)
def test_what_does_nothing_is_passed_over_and_told(text: str, same: str, slip: str) -> None:
    assert parse(text) == parse(same)
    assert slip in read(parse(text)).sentences


@pytest.mark.parametrize(
    ("text", "slip"),
    [
        ("effusion - edema", '"- edema": a minus that stands apart excludes nothing; -edema does.'),
        ("effusion without", '"without" excludes nothing here: nothing follows it.'),
        ("no", '"no" excludes nothing here: nothing follows it.'),
        ("effusion OR edema", "OR joins fields; words are ranked by all at once."),
        ("effusion | edema", "OR joins fields; words are ranked by all at once."),
    ],
)
def test_what_only_ranks_is_told(text: str, slip: str) -> None:
    assert parse(text) == Query((Concept(text),))
    assert read(parse(text)).sentences == (slip,)


@pytest.mark.parametrize(
    "text",
    [
        *("effusion (left)", "effusion AND edema", "effusion and edema", "no effusion or edema", "effusion -edema"),
        *("effusion -", "effusion (-)", "effusion - none", "effusion is not", "effusion no", "lungs - clear", ""),
        *("1) effusion 2) edema", "a) effusion", "-5 mm", 'a 5" tube', '"left base"', "edema (no effusion)"),
        *("label:edema AND -view:PA", "(label:edema OR view:AP) effusion", "view:(PA OR AP)", "NOT label:edema"),
        *('label:"a (b"', 'path:"x)"', "effusion AND view:PA", "mass -effusion view:PA"),
    ],
)
def test_what_is_written_as_it_is_meant_has_no_slip(text: str) -> None:
    assert parse(text).slips == ()


@pytest.mark.parametrize(
    ("text", "refusal"),
    [
        ("view:(PA", "view:(PA: The bracket is not closed. Write view:(A OR B)"),
        ("view:(PA OR", "view:(PA: The bracket is not closed."),
        ("view:(PA OR AP", "view:(PA: The bracket is not closed."),
        ('view:(PA OR "AP)', 'view:(PA OR "AP): The quote is not closed.'),
        ("label:edema)", "label:edema): The bracket closes nothing."),
        ("((label:edema OR view:PA) sex:F)", "((label:edema: Brackets beside brackets or words are not read."),
        ("((label:edema))", "((label:edema)): Brackets beside brackets"),
        ("edema)label:mass", "edema)label:mass: Brackets beside brackets or words"),
        ("edema NOT NOT mass", "NOT NOT: Denied twice."),
        ("not not label:edema", "not not: Denied twice."),
        ("NOT (label:edema)", "NOT (label:edema): Brackets are not excluded. Write -label:edema"),
        ("edema without (label:a OR label:b)", "without (label:a OR label:b): Brackets are not excluded."),
        ("-(label:a OR label:b)", "-(label:a: Brackets beside brackets or words are not read."),
        ("NOT (edema AND mass)", "NOT (edema AND mass): Brackets are not excluded. Write -edema"),
        ('"left base" OR "right base"', '"left base" OR "right base": OR joins fields, not words. Write (report:'),
        ('edema or "right base"', 'edema OR "right base": OR joins fields, not words.'),
        ("edema OR -mass", "edema OR -mass: OR joins fields, not words."),
        ("edema or label:mass", "edema OR label:mass: OR joins fields, not words."),
    ],
)
def test_what_could_mean_the_opposite_is_refused(text: str, refusal: str) -> None:
    with pytest.raises(BadInput) as refused:
        parse(text)
    assert str(refused.value).startswith(refusal)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("NOT (effusion)", "-effusion"),
        ("-(pleural effusion) mass", '-"pleural effusion" mass'),
        ("mass NOT (edema OR effusion)", "mass -edema -effusion"),
        ('mass -(edema OR "left base")', 'mass -edema -"left base"'),
        ("no (new) effusion", "no new effusion"),
        ('mass NOT "left base"', 'mass -"left base"'),
        ("label:edema or view:AP", "label:edema OR view:AP"),
        ("label:edema | view:AP", "label:edema OR view:AP"),
        ("label:edema and label:mass", "label:edema AND label:mass"),
    ],
)
def test_operators_in_the_forms_of_other_programs(text: str, same: str) -> None:
    assert parse(text) == parse(same)
    assert not parse(text).slips


_DOES_SOMETHING = st.sampled_from(["effusion", "edema", "left", "view:PA", "label:mass", '"left base"', "-pacemaker"])
_DOES_NOTHING = st.sampled_from(["AND", "OR", "NOT", "(", ")", "-", "and", "or"])


@given(st.lists(_DOES_SOMETHING, min_size=1, max_size=4), _DOES_NOTHING, st.booleans())
def test_no_sign_at_either_end_passes_in_silence(parts: list[str], sign: str, at_the_end: bool) -> None:
    """It is told, refused, or read as a denial, which is said, too; "NOT view:PA" is no slip."""
    assume(at_the_end or sign != "NOT")
    same = parse(" ".join(parts))
    try:
        query = parse(" ".join([*parts, sign] if at_the_end else [sign, *parts]))
    except BadInput:
        return
    assert query.slips or query.negated != same.negated
    assert query.filter == same.filter


def test_every_door_says_it(
    terminal: Terminal, films: Callable[..., Path], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal("index", films(3), "--model", tiny)
    slip = '"AND" joins nothing here, and is passed over.'
    assert slip in terminal("search", "effusion AND")
    assert terminal.json("search", "effusion AND")["reading"]["slips"] == [slip]  # type: ignore[index]
    api = client(terminal.archive)
    assert api.get("/api/v1/search", params={"q": "effusion AND"}).json()["reading"]["slips"] == [slip]
    assert api.get("/api/v1/search", params={"q": "view:(PA"}).status_code == 400
    (chips,) = components(page(terminal.archive, monkeypatch=monkeypatch, q="effusion AND"), "chips")
    assert ("warning", slip.rstrip(".")) in [(chip["kind"], chip["text"]) for chip in chips["items"]]
    assert slip in terminal("search", "tag:none AND"), "an answer without films, too"
    for text in ("AND", "-", '"'):
        terminal("search", "--", text)
        assert terminal.err == f"filmroom: {text}: nothing is asked here. Write what the films show, or a field.\n"
        assert api.get("/api/v1/search", params={"q": text}).status_code == 400
        shown = page(terminal.archive, monkeypatch=monkeypatch, q=text)
        assert "nothing is asked here" in said(shown)
        assert not components(shown, "grid")
    assert components(page(terminal.archive, monkeypatch=monkeypatch, q="-", like="1"), "grid"), "a film is asked for"
    terminal("export", "table", "OR", "--to", terminal.archive / "films.csv")
    assert "nothing is asked here" in terminal.err


@pytest.mark.parametrize(
    "text",
    ["(label:edema OR view:AP sex:F", "view:PA OR (sex:F age:60..", "view:PA (sex:F OR label:edema label:mass"],
)
def test_a_bracket_that_may_hold_one_field_or_several_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="may hold one field or several"):
        parse(text)


@pytest.mark.parametrize("text", ["view:PA ! sex:F", "view:PA \u2013 sex:F", "()", "NOT", "(", "or", "age:1 OR (age:2"])
def test_a_filter_with_signs_that_do_nothing_is_refused(text: str) -> None:
    with pytest.raises(BadInput):
        filter_of(text)


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("view:PA and sex:F", "view:PA sex:F"),
        ("view:PA & sex:F", "view:PA sex:F"),
        ("view:PA and view:AP", "view:PA,AP"),
        ("label:a and label:b", "label:a AND label:b"),
    ],
)
def test_and_joins_values_of_which_a_film_may_have_several(text: str, same: str) -> None:
    assert parse(text).filter == parse(same).filter


@pytest.mark.parametrize("text", ['no "new" effusion', 'no "left" effusion'])
def test_a_quoted_word_before_what_is_denied_does_not_turn_it(text: str) -> None:
    assert parse(text).negated == ("effusion",)
