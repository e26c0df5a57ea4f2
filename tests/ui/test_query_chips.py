"""The parts of a search above its films: each can be taken away, and an answer that means little says so."""

from __future__ import annotations

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.stretches import kept_answers
from filmroom.db.writes import annotations
from filmroom.search.query import chance
from filmroom.search.query.chance import COUNT, random_texts
from filmroom.search.query.fields import FIELDS
from filmroom.search.query.parser import parse, to_text
from filmroom.search.query.reading import read
from filmroom.search.ranking.leaders import Leaders
from filmroom.search.request import Order, SearchRequest, UploadedFilm, from_parameters
from filmroom.search.searcher import Searcher
from filmroom.search.ui.components.chips.chips import Kind
from filmroom.search.ui.query.query_chips import MOST_CHIPS, chips_of, offers, without

from tests.pages import components, page, said, shown

UPLOAD = UploadedFilm("space", b"1234")
WHOLE = SearchRequest(
    "CHF -pacemaker without edema view:PA,AP -view:LATERAL label:mass -label:cyst age:20..60 "
    '-has:burned-in "left base"',
    like=(3, 5),
    unlike=(8,),
    uploads=(UPLOAD,),
    least_percentile=60.0,
    least_score=0.1,
    liked_first=True,
)


FILTERS = ("", " label:effusion", " -label:effusion", " path:1", " -path:1")


def texts(request: SearchRequest) -> list[tuple[str, str]]:
    parsed = parse(request.query)
    return [(chip.kind.value, chip.text) for chip in chips_of(request, parsed, read(parsed))]


def test_every_part_of_a_search_is_a_chip() -> None:
    assert texts(WHOLE) == [
        ("for", "CHF"),
        ("against", "pacemaker"),
        ("against", "edema"),
        ("for", "an uploaded film"),
        ("for", "film 3"),
        ("for", "film 5"),
        ("against", "film 8"),
        ("only", "view:PA,AP"),
        ("only", "-view:LATERAL"),
        ("only", "age:20..60"),
        ("only", "label:mass"),
        ("only", "-label:cyst"),
        ("only", '"left base"'),
        ("only", "-has:burned-in"),
        ("only", "at least 60 %"),
        ("only", "score at least 0.1"),
    ]
    (first, *_) = chips_of(WHOLE, parse(WHOLE.query), read(parse(WHOLE.query)))
    assert first.says == "CHF is read as congestive heart failure"


def test_each_chip_takes_away_itself_and_nothing_else() -> None:
    whole = texts(WHOLE)
    for at, chip in enumerate(chips_of(WHOLE, parse(WHOLE.query), read(parse(WHOLE.query)))):
        assert texts(without(WHOLE, chip.part)) == whole[:at] + whole[at + 1 :], chip
    request = WHOLE
    while chips := chips_of(request, parse(request.query), read(parse(request.query))):
        request = without(request, chips[-1].part)
    assert request.empty


def test_many_films_share_a_chip_that_takes_them_away() -> None:
    request = SearchRequest(like=tuple(range(1, 101)))
    assert texts(request)[MOST_CHIPS:] == [("for", "94 more films")]
    assert without(request, "like others").like == tuple(range(1, MOST_CHIPS + 1))


@pytest.mark.parametrize("example", FIELDS.values())
def test_every_field_of_the_language_is_a_chip_that_can_go(example: str) -> None:
    (chip,) = chips_of(SearchRequest(example), parse(example), read(parse(example)))
    assert chip.kind is Kind.FILTER
    assert parse(chip.text) == parse(example)
    assert without(SearchRequest(example), chip.part).empty


@pytest.mark.parametrize("part", ["", "word", "word 9", "filter x 0", "filter __class__ 0", "like x", "odd"])
def test_a_part_that_is_not_there_changes_nothing(part: str) -> None:
    request = without(WHOLE, part)
    assert parse(request.query) == parse(WHOLE.query)
    assert (request.like, request.uploads, request.least_score) == (WHOLE.like, WHOLE.uploads, WHOLE.least_score)


def test_words_against_are_offered_as_the_label_that_excludes() -> None:
    parsed = parse("edema -effusion without pleural thickening -nothing view:PA")
    labels = ["pleural effusion", "thickening", "edema"]
    found = offers(parsed, read(parsed), labels)
    assert [one.text for one in found] == [
        "Leave out films labelled pleural effusion",
        "Leave out films labelled thickening",
    ]
    assert to_text(parse(found[0].query)) == to_text(
        parse('edema view:PA -label:"pleural effusion" -nothing -"pleural thickening"')
    )
    assert offers(parse(found[0].query), read(parsed), labels)[0].text == "Leave out films labelled thickening"


def test_a_cut_off_leaves_the_films_above_it_in_any_order(archive_folder: Path) -> None:
    searcher = Searcher.open(archive_folder)
    everything = searcher.answer(SearchRequest("effusion", k=100)).hits
    scores = [hit.score for hit in everything]
    assert np.allclose(searcher.scores(SearchRequest("effusion", least_score=0.9)), scores, atol=1e-6)
    by_studies = SearchRequest("effusion", per_study=True)
    assert searcher.scores(by_studies).size == len(everything)  # a cut-off is of films, before one of a study is kept
    assert searcher.scores(dataclasses.replace(by_studies, k=99)) is searcher.scores(by_studies)
    assert searcher.scores(SearchRequest("view:PA")).size == 0
    least = float(np.mean([scores[9], scores[10]]))
    for request in (SearchRequest("effusion", least_score=least), SearchRequest("effusion", least_percentile=73.0)):
        found = searcher.answer(request)
        assert [hit.id for hit in found.hits] == [hit.id for hit in everything[:10]]
        assert found.total == 10
        assert from_parameters(request.parameters()) == request
    newest = searcher.answer(SearchRequest("effusion", least_score=least, order=Order.NEWEST))
    assert {hit.id for hit in newest.hits} == {hit.id for hit in everything[:10]}
    assert searcher.answer(SearchRequest("effusion", least_score=1.0)).total == 0


@pytest.mark.parametrize("text", ["x", "101%", "-1%", "2", "nan", "inf%", "%", ",", "1e400"])
def test_a_cut_off_that_is_none_is_left_out(text: str) -> None:
    assert not from_parameters({"least": text}).has_cut


def test_random_words_are_always_the_same_and_mean_nothing_here() -> None:
    assert random_texts() == random_texts()
    assert len(random_texts()) == COUNT


def test_an_answer_no_better_than_chance_says_so_and_shows_no_percentile(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    searcher = Searcher.open(archive_folder, stays=True)
    film = searcher.index.vectors(np.array([searcher.answer(SearchRequest(k=1)).hits[0].id]))[0, 0]
    monkeypatch.setattr(searcher._chance, "_vectors", np.stack([film] * COUNT))
    found = searcher.answer(SearchRequest("effusion"))
    assert found.doubtful, "random words reach as far as these"
    assert found.doubt.startswith("Nothing matches well")
    staying, single = (Searcher.open(archive_folder, stays=stays) for stays in (True, False))
    assert staying.answer(SearchRequest("effusion")).chance == single.answer(SearchRequest("effusion")).chance
    assert searcher.answer(SearchRequest(like=(1,))).chance is None


@pytest.mark.parametrize("text", ["normal except effusion", "pneumonia without effusion without cardiomegaly"])
def test_several_concepts_are_held_against_chance_one_by_one(archive_folder: Path, text: str) -> None:
    """Together they draw apart: films that show what is asked score less than random words reach."""
    searcher = Searcher.open(archive_folder, stays=True)
    alone = [searcher.answer(SearchRequest(words)) for words in parse(text).positive if words != "normal"]
    found = searcher.answer(SearchRequest(text))
    assert found.best == pytest.approx(max(answer.best or 0.0 for answer in alone), abs=1e-5)
    assert found.doubtful == all(answer.doubtful for answer in alone)
    assert searcher.answer(SearchRequest("xqzzk without blorp")).doubtful


@pytest.mark.parametrize(
    ("text", "asked"),
    [
        ("effusion with pacemaker", ("effusion with pacemaker", "effusion", "pacemaker")),
        ("effusion, PTX and a mass", ("effusion, PTX and a mass", "effusion", "PTX", "a mass")),
        ("effusion in the left and right lung", ("effusion in the left and right lung",)),
    ],
)
def test_findings_that_are_named_together_are_held_against_chance_alone(
    archive_folder: Path, text: str, asked: tuple[str, ...]
) -> None:
    searcher = Searcher.open(archive_folder, stays=True)
    found = searcher.answer(SearchRequest(text))
    best = [hit.score for words in asked for hit in searcher.answer(SearchRequest(words, k=1)).hits]
    assert found.best == pytest.approx(max(best), abs=1e-5)


@pytest.mark.parametrize("text", ["nothing acute", "NAD", "normal chest x-ray", "no acute process"])
def test_a_normal_film_is_not_held_against_chance(archive_folder: Path, text: str) -> None:
    assert Searcher.open(archive_folder, stays=True).answer(SearchRequest(text)).chance is None


def test_gibberish_is_told_and_reads_as_no_percentile(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch, q="xqzzk blorp")
    assert "Nothing matches well" in said(test)
    items = components(test, "grid")[0]["items"]
    assert items
    assert not any("%" in item["score"] for item in items)
    assert {item["bar"] for item in items} == {0}


def test_a_query_shows_its_parts_once(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    test = page(archive_folder, "search", monkeypatch, q="mass -effusion label:effusion", least="10%")
    chips = components(test, "chips")
    assert len(chips) == 1
    assert [one["text"] for one in chips[0]["items"]] == ["mass", "effusion", "label:effusion", "at least 10 %"]
    assert chips[0]["offers"] == ["Leave out films labelled effusion"]
    assert "Ranked" not in said(test)
    assert len(shown(test)) < 18


def test_a_word_that_nobody_knows_is_a_warning() -> None:
    parsed = parse("xqzt")
    reading = dataclasses.replace(read(parsed), unfamiliar=("xqzt",))
    found = chips_of(SearchRequest("xqzt"), parsed, reading)
    assert ("warning", "xqzt: neither the model nor a report knows it") in [(one.kind.value, one.text) for one in found]


def test_a_slip_of_the_pen_is_offered_spelled_right() -> None:
    parsed = parse('left efusion -"efusion mass" view:PA')
    reading = dataclasses.replace(read(parsed), suggested=(("efusion", "effusion"),))
    (offer,) = offers(parsed, reading, [])
    assert offer.text == "Did you mean effusion?"
    assert parse(offer.query) == parse('left effusion -"effusion mass" view:PA')


def reached(folder: Path) -> list[float | None]:
    searcher = Searcher.open(folder, stays=True)
    return [searcher.answer(SearchRequest(f"effusion{where}")).chance for where in FILTERS]


@pytest.mark.parametrize("depth", [1, 5, 2048])
def test_many_films_are_judged_as_few_are(archive_folder: Path, monkeypatch: pytest.MonkeyPatch, depth: int) -> None:
    few = reached(archive_folder)
    monkeypatch.setattr(chance, "FEW", 0)
    monkeypatch.setattr(chance, "DEPTH", depth)
    assert reached(archive_folder) == pytest.approx(few, abs=1e-6)


def test_few_films_are_scored_one_by_one(archive_folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Leaders, "catch_up", None)
    assert all(reached(archive_folder))


def test_leading_films_are_kept_until_a_fact_is_written(
    archive_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = Path(shutil.copytree(archive_folder, tmp_path / "archive"))
    monkeypatch.setattr(chance, "FEW", 0)
    monkeypatch.setattr(kept_answers, "LARGE", 1)
    taken: list[int] = []
    take = Leaders._take
    monkeypatch.setattr(Leaders, "_take", lambda self, ids, scores: taken.append(ids.size) or take(self, ids, scores))
    first = reached(folder)
    assert sum(taken) == len(Searcher.open(folder).index)
    annotations.add_tags(Archive.open(folder).catalog, [1], ["seen"])
    assert reached(folder) == first
    assert sum(taken) == len(Searcher.open(folder).index), "nothing was scored again"
