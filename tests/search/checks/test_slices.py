"""A slice that the search is worse for is found and named first; one that is too small says so."""

from __future__ import annotations

import csv
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.films import everyone
from filmroom.db.records import Label
from filmroom.db.schema import judgement
from filmroom.db.writes.annotations import Judgement, judge, put_labels
from filmroom.db.writes.facts import put_facts
from filmroom.db.writes.query_sets import put_query_set
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.training.data.archive import training_films
from filmroom.search.checks.result import Result, written_p
from filmroom.search.checks.subgroups.facts import Groups, KnownFilms, band_of, short_names
from filmroom.search.checks.subgroups.figures import SliceFigure, State, finding_slices, worst_first
from filmroom.search.checks.subgroups.model_card import add_slices
from filmroom.search.checks.subgroups.ranking import RankedQuery, group_ndcg
from filmroom.search.checks.subgroups.resampling import Cases, areas, patient_weights
from filmroom.search.evaluation.metrics import measure_run
from sklearn.metrics import roc_auc_score
from sqlalchemy import delete

from tests.terminal import Terminal


def made(rng: np.random.Generator, *, worse: str, films: int = 600) -> tuple[Any, Any, KnownFilms]:
    """Films of three views, two of each patient; the scores tell nothing of the finding on one of them."""
    names = ("AP", "LATERAL", "PA")
    codes = np.repeat(rng.integers(0, 3, films // 2), 2)
    sexes = np.repeat(rng.integers(0, 2, films // 2), 2)
    codes[:8] = 1  # no other film is lateral
    codes[8:][codes[8:] == 1] = 0
    truth = (rng.random(films) < 0.4).astype(float)
    scores = rng.normal(size=films) + 2 * truth * (codes != names.index(worse))
    known = KnownFilms(
        np.arange(films),
        np.arange(films) // 2,
        (Groups("view", names, codes), Groups("sex", ("F", "M"), sexes)),
        0,
    )
    return scores, truth, known


def test_the_worse_slice_comes_first_and_a_small_one_says_so() -> None:
    scores, truth, films = made(np.random.default_rng(5), worse="PA")
    found = worst_first(list(finding_slices("edema", scores, truth, films, patient_weights(300), threshold=1.0)))
    assert [(one.fact, one.name, one.state) for one in found[:2]] == [("view", "PA", State.WORSE)] * 2
    assert {one.measure for one in found[:2]} == {"AUC", "sensitivity"}
    assert found[0].low < found[0].value < found[0].high < found[0].rest
    small = [one for one in found if one.name == "LATERAL"]
    assert all(one.state is State.SMALL and np.isnan(one.value) and one.films == 8 for one in small)
    assert all(one.state is State.ALIKE for one in found if one.fact == "sex")
    assert [one.state for one in found] == sorted((one.state for one in found), key=list(State).index)


def test_a_slice_of_which_every_film_is_found_is_no_certain_difference() -> None:
    """No draw of patients differs from 15 of 15, which does not make 15 films certain: Fisher's exact p is .04."""
    truth = np.ones(135)
    truth[115:] = 0.0
    codes = np.array([0] * 15 + [1] * 100 + [0, 1] * 10)
    scores = np.array([1.0] * 15 + [1.0] * 75 + [-1.0] * 25 + [-2.0] * 20)
    films = KnownFilms(np.arange(135), np.arange(135), (Groups("view", ("AP", "PA"), codes),), 0)
    slices = list(finding_slices("edema", scores, truth, films, patient_weights(135), threshold=0.0))
    sensitivity = next(figure for figure in slices if figure.measure == "sensitivity" and figure.name == "AP")
    assert (sensitivity.value, sensitivity.rest) == (1.0, 0.75)
    assert 0.01 < sensitivity.p < 0.1


def test_areas_are_exact_and_their_intervals_are_those_of_patients() -> None:
    rng = np.random.default_rng(6)
    truth = np.repeat(rng.random(150) < 0.5, 4)
    scores = np.repeat(rng.normal(size=150), 4) + truth  # four equal films a patient
    groups = np.repeat(rng.integers(0, 2, 150), 4)
    patients = np.arange(600) // 4
    inside, outside = areas(scores, truth, Cases(groups, 2, patients), patient_weights(150))
    for at in (0, 1):
        here = groups == at
        assert inside.values[at] == pytest.approx(roc_auc_score(truth[here], scores[here]))
        assert outside.values[at] == pytest.approx(roc_auc_score(truth[~here], scores[~here]))
    single = areas(scores, truth, Cases(groups, 2, np.arange(600)), patient_weights(600))[0]
    widths = [np.subtract(*one.intervals()) for one in (inside, single)]
    assert (widths[0] / widths[1] > 1.6).all(), "twice as wide as if the films were of many patients"


def test_two_groups_of_one_fact_are_one_test() -> None:
    mirrored = [
        SliceFigure("AUC", "edema", "sex", name, 50, 50, 25, value, 0, 1, other, 0.03)
        for name, value, other in (("F", 0.7, 0.9), ("M", 0.9, 0.7))
    ]
    assert [(one.p, one.state) for one in worst_first(mirrored)] == [(0.03, State.WORSE), (0.03, State.BETTER)]
    more = [SliceFigure("AUC", "edema", "view", "AP", 50, 50, 25, 0.8, 0, 1, 0.82, 0.9)]
    assert {one.p for one in worst_first([*mirrored, *more]) if one.fact == "sex"} == {0.06}


def test_ndcg_of_a_slice_is_that_of_its_films_alone() -> None:
    rng = np.random.default_rng(7)
    groups = rng.integers(0, 2, 200)
    queries = []
    for _ in range(6):
        grades = rng.integers(0, 3, 200) * (rng.random(200) < 0.3)
        queries.append(RankedQuery(np.argsort(-(rng.normal(size=200) + grades)), grades.astype(float)))
    found = group_ndcg(queries, groups, np.arange(200))
    for group in (0, 1):
        run = {
            f"q{at}": {str(film): -float(rank) for rank, film in enumerate(one.order) if groups[film] == group}
            for at, one in enumerate(queries)
        }
        qrels = {
            f"q{at}": {str(film): int(one.grades[film]) for film in np.flatnonzero(groups == group)}
            for at, one in enumerate(queries)
        }
        values = measure_run(run, qrels, measures=["nDCG@10"])
        assert found[group].value == pytest.approx(np.mean([one["nDCG@10"] for one in values.values()]))
        assert found[group].low <= found[group].value <= found[group].high
        assert found[group].p > 0.001


def test_ages_and_sources_have_plain_names() -> None:
    assert [band_of("age", age) for age in (0, 17, 18, 89)] == ["0 to 17", "0 to 17", "18 to 39", "80 and over"]
    assert short_names(["/a/one", "/b/two", "/c/two/", "s3://x/three"]) == {
        "/a/one": "one",
        "/b/two": "/b/two",
        "/c/two/": "/c/two/",
        "s3://x/three": "three",
    }


@pytest.fixture
def labelled(terminal: Terminal, films: Any, tiny: Path) -> Terminal:
    """Sixty films of women and men, labelled, judged for six queries."""
    folder = films(60)
    terminal("index", folder, "--model", tiny, "--workers", 1)
    table = folder.parent / "facts.csv"
    table.write_text("film,sex,patient\n" + "".join(f"film-{at:03}.png,{'FM'[at % 2]},p{at}\n" for at in range(60)))
    terminal("facts", table)
    assert terminal.code == 0, terminal.err
    catalog = Archive.open(terminal.archive).catalog
    ids = [film.id for film in everyone(catalog)]
    put_labels(catalog, [(film, Label("edema", float(at % 4 < 2))) for at, film in enumerate(ids)])
    for query in ("edema", "mass", "effusion", "nodule", "pneumonia", "hernia"):
        for at, film in enumerate(ids):
            judge(catalog, Judgement(query, film, "me", at % 3))
    put_query_set(catalog, "mine", ["edema", "mass", "effusion", "nodule", "hernia"])
    return terminal


def test_the_command_measures_and_hands_on(labelled: Terminal, tmp_path: Path) -> None:
    found: Any = labelled.json("check", "slices", "--csv", tmp_path / "slices.csv", "--collect", "missed")
    measured = {(row["measure"], row["of"], row["fact"], row["slice"]) for row in found["rows"]}
    assert measured >= {
        ("AUC", "edema", "sex", "F"),
        ("sensitivity", "edema", "sex", "M"),
        ("nDCG@10", "6 queries", "sex", "F"),
    }
    assert found["figures"]["slices measured"] == len(found["rows"]) == 6
    with (tmp_path / "slices.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert [line["state"] for line in lines] == [row["state"] for row in found["rows"]]
    of_set: Any = labelled.json("check", "slices", "edema", "--query-set", "mine")
    assert {row["of"] for row in of_set["rows"]} == {"edema", "5 queries"}
    out = labelled("check", "slices", "--threshold", 1.5)
    assert "sensitivity edema" in out
    assert "at the threshold given" in out


def test_slices_that_are_too_small_do_not_fill_the_screen_and_are_no_success(labelled: Terminal) -> None:
    catalog = Archive.open(labelled.archive).catalog
    ids = [film.id for film in everyone(catalog)]
    put_facts(catalog, {film: {"view": ("PA", "LL")[at < 4]} for at, film in enumerate(ids)}, source="test")
    out = labelled("check", "slices", "edema", "--threshold", 2)
    assert "LL" not in out
    assert "And 5 lines of too few films: --csv FILE writes all." in out
    assert "No slice is shown to be worse; 7 of 12 slices could be measured." in out
    assert "Nothing to look at" not in out
    found: Any = labelled.json("check", "slices", "edema")
    assert len(found["rows"]) == 12
    with catalog.write() as connection:
        connection.execute(delete(judgement))
    put_labels(catalog, [(film, Label("mass", float(film == ids[0]))) for film in ids])
    nothing: Any = labelled.json("check", "slices", "mass")
    assert not nothing["ok"]
    assert nothing["conclusion"] == "Nothing is known: all 8 slices are too small to measure."


def test_a_p_is_never_nought() -> None:
    assert [written_p(p) for p in (1e-12, 0.00099, 0.001, 0.0456, 1.0)] == [
        "<0.001",
        "<0.001",
        "0.001",
        "0.046",
        "1.000",
    ]
    result = Result("slices", 9, ok=False, rows=({"p": 1.23456789e-12, "value": 0.123456789},))
    assert result.to_json()["rows"] == [{"p": 1.23457e-12, "value": 0.123457}]


def test_what_cannot_be_measured_is_one_line(labelled: Terminal, tmp_path: Path) -> None:
    for arguments, said in (
        (("unicorn",), "filmroom: unicorn: there is no label of this name. Labels: edema"),
        (
            ("--threshold", 7),
            "filmroom: threshold 7: no film can have this score. It is from -2 to 2: filmroom zeroshot FINDING "
            "--scores FILE writes all of them.",
        ),
        (("--query-set", "yours"), "filmroom: yours: there is no query set of this name. Query sets: mine"),
        (
            ("--queries", tmp_path / "q.tsv"),
            "filmroom: queries and judgements go together. Name --queries and --qrels, or --query-set.",
        ),
    ):
        labelled("check", "slices", *arguments)
        assert (labelled.code, labelled.err.strip()) == (1, said)


def test_the_card_of_an_adapted_model_shows_the_slices_of_the_films_held_out(
    labelled: Terminal, tiny: Path, tmp_path: Path
) -> None:
    card = tmp_path / "MODEL_CARD.md"
    card.write_text("# mine\n\n- Base: tiny.\n")
    archive = Archive.open(labelled.archive)
    films = training_films(archive, tmp_path / "work")
    for _ in range(2):  # a run that goes on writes the card again
        found = add_slices(card, archive, load_towers(str(tiny)), films, share=0.9, seed=0)
    assert {(one.measure, one.name) for one in found} == {
        (measure, sex) for measure in ("AUC", "sensitivity") for sex in "FM"
    }
    assert sum(one.films for one in found if one.measure == "AUC") == round(0.9 * 60)
    said = card.read_text()
    assert said.startswith("# mine\n\n- Base: tiny.\n\n## Held-out films by slice\n")
    assert said.count("| AUC edema | sex F | ") == 1
    add_slices(card, archive, load_towers(str(tiny)), films, share=0.0, seed=0)
    assert "No slice has 10 films with and 10 without" in card.read_text()


def test_an_archive_without_labels_says_what_it_needs(terminal: Terminal, films: Any, tiny: Path) -> None:
    terminal("index", films(3), "--model", tiny, "--workers", 1)
    terminal("check", "slices")
    assert (terminal.code, len(terminal.err.strip().splitlines())) == (1, 1)
    assert "there is nothing to measure slices by" in terminal.err
    for arguments in (("slices", "edema"), ("labels",), ("labels", "edema")):
        terminal("check", *arguments)
        assert terminal.err.strip() == (
            "filmroom: no film is labelled. Label films: filmroom label FILE, with the columns film and label."
        )
