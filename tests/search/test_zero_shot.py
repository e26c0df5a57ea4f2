"""Zero-shot scores and their table."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter, Label
from filmroom.db.writes.annotations import label_values, put_labels
from filmroom.search.classification.zero_shot import (
    Prompts,
    check_no_denial,
    even_threshold,
    known_truth,
    labels_of,
    prompt_sets,
    prompts_for,
    truth_of,
    zero_shot,
    zero_shot_table,
)
from filmroom.search.classification.zero_shot_archive import truths_in
from numpy.typing import NDArray

from tests.terminal import Terminal

MASS = Prompts("mass", ("mass", "big"), ("none",), ("mass",))


def embed(texts: Sequence[str]) -> NDArray[np.float32]:
    axes = {"mass": 0, "big": 1, "none": 2}
    return np.eye(4, dtype=np.float32)[[axes[text.removeprefix("film: ")] for text in texts]]


def test_score_is_positive_minus_negative() -> None:
    films = np.array([[1, 0, 0, 0], [0, 0, 1, 0], [0.6, 0.8, 0, 0]], dtype=np.float16)
    assert zero_shot(films, MASS, embed, prompt="film: {}") == pytest.approx([0.5, -1.0, 0.7], abs=1e-3)


def test_of_several_vectors_the_nearest_counts() -> None:
    films = np.eye(4, dtype=np.float32)[[[0, 1], [2, 3]]]
    assert zero_shot(films, MASS, embed) == pytest.approx([1.0, -1.0])


@pytest.mark.parametrize("name", prompt_sets())
def test_every_set_is_complete(name: str) -> None:
    prompts = prompts_for([name])
    assert len(prompts) == {"chexpert13": 13, "nih14": 14}[name]
    assert all(len(one.positive) >= 1 and len(one.negative) >= 2 for one in prompts)
    assert not any(set(one.positive) & set(one.negative) for one in prompts)
    assert all(label == label.lower() for one in prompts for label in one.labels)


def test_any_finding_can_be_asked() -> None:
    found = prompts_for(["Edema", "pericardial calcification", "edema"])
    assert [one.finding for one in found] == ["edema", "pericardial calcification"]
    assert found[1].negative[0] == "no pericardial calcification"
    with pytest.raises(BadInput, match="chexpert13"):
        prompts_for([" "])


@pytest.mark.parametrize(
    ("name", "finding"),
    [
        ("no effusion", "effusion"),
        ("Effusion: none", "Effusion"),
        ("without large effusion", "large effusion"),
        ("neither edema nor effusion", "edema"),
        ("effusion has resolved", "effusion"),
        ("No_Support_Devices", "Support Devices"),
        ("-effusion", "effusion"),
    ],
)
def test_a_denial_is_no_finding(name: str, finding: str) -> None:
    with pytest.raises(BadInput, match=f'Ask for "{finding}"') as fault:
        check_no_denial(name)
    assert "\n" not in str(fault.value)
    with pytest.raises(BadInput, match="denies a finding"):
        prompts_for(["edema", name])


@pytest.mark.parametrize(
    "name",
    [
        "no finding",
        "No_Finding",
        "no acute disease",
        "NAD",
        "no abnormality detected",
        "No significant abnormality is seen.",
        "normal chest x-ray",
        "no change in effusion",
        "pleural effusion",
        "nodule/mass",
        "possible edema",
        "clear lungs",
        "e. coli pneumonia",
    ],
)
def test_what_is_a_finding(name: str) -> None:
    check_no_denial(name)


@pytest.mark.parametrize(
    "name", ["no finding", "NAD", "Normal", "clear lungs", "no abnormality seen", "No acute disease"]
)
def test_a_normal_film_is_asked_against_findings(name: str) -> None:
    (asked,) = prompts_for([name])
    assert "pleural effusion" in asked.negative
    assert not any("normal" in text or text.startswith("no ") for text in asked.negative)
    assert truth_of(asked, {"No Finding": {1: 1.0}, "edema": {2: 1.0}}, [1, 2]) == pytest.approx([1, 0])
    assert truth_of(asked, {"normal": {1: 1.0}, "edema": {2: 1.0}}, [1, 2]) == pytest.approx([1, 0])


@pytest.mark.parametrize(("short", "long"), [("PTX", "pneumothorax"), ("TB", "tuberculosis"), ("cmg", "cardiomegaly")])
def test_abbreviations_are_spelled_out(short: str, long: str) -> None:
    (asked,) = prompts_for([short])
    (whole,) = prompts_for([long])
    assert asked.finding == short.lower()
    assert (asked.positive, asked.negative) == (whole.positive, whole.negative)
    assert long in labels_of(short)


def test_truth_open_and_closed() -> None:
    films = [1, 2, 3, 4]
    nih = {"mass": {1: 1.0}, "edema": {2: 1.0}, "no finding": {3: 1.0}}
    assert truth_of(MASS, nih, films) == pytest.approx([1, 0, 0, np.nan], nan_ok=True)
    stated = {"Mass": {1: 1.0, 2: 0.0}, "edema": {3: 1.0}}
    assert truth_of(MASS, stated, films) == pytest.approx([1, 0, np.nan, np.nan], nan_ok=True)
    assert np.isnan(truth_of(MASS, {"edema": {1: 1.0}}, films)).all()


def test_table_over_findings() -> None:
    scores = {"a": np.array([0.9, 0.8, 0.2, 0.1], np.float32), "b": np.zeros(4, np.float32)}
    truth = {"a": np.array([1, 1, 0, np.nan]), "b": np.array([1, 1, np.nan, np.nan])}
    table = zero_shot_table(scores, truth, groups=["p1", "p1", "p2", "p3"])
    first, second = table.rows
    assert (first.positives, first.negatives) == (2, 1)
    assert first.auc is not None
    assert first.auc.value == 1.0
    assert second.auc is None
    assert table.mean is None, "too few films for a mean"
    assert json.loads(json.dumps(table.to_json()))["rows"][1]["auc"] is None


def test_the_even_threshold_is_where_sensitivity_is_specificity() -> None:
    draw = np.random.default_rng(1)
    truth = np.repeat([1.0, 0.0, np.nan], [30, 170, 50])
    scores = (draw.normal(size=250) + 0.5 * (truth == 1) + 3).astype(np.float32)
    cut = even_threshold(scores, truth)
    assert (scores >= 0).all(), "at 0 every film is selected"
    sensitivity, specificity = (scores[truth == 1] >= cut).mean(), (scores[truth == 0] < cut).mean()
    assert sensitivity == pytest.approx(specificity, abs=1 / 30)
    assert even_threshold(np.array([0.1, 0.3, 0.2], np.float32), np.array([0.0, 1.0, np.nan])) == pytest.approx(0.2)
    assert even_threshold(np.ones(2, np.float32), np.array([0.0, 1.0])) == 1


def test_truth_in_a_catalog_is_that_of_its_labels(terminal: Terminal, films: Callable[..., Path]) -> None:
    terminal("index", films(8))
    catalog = Archive.open(terminal.archive).catalog
    ids = select_ids(catalog, Filter())
    asked = np.append(ids, 99)
    draw = np.random.default_rng(0)
    for round_ in range(3):  # unlabelled; labelled with findings; then with stated absences too
        found = truths_in(catalog, [MASS], asked)[MASS.finding]
        np.testing.assert_array_equal(found, known_truth(MASS.labels, label_values(catalog), asked.tolist()))
        named = draw.choice(["mass", "Masses", "edema"], 6)
        sources = [f"reader {n}" for n in range(6)]
        values = draw.choice([1.0, 0.0], 6) if round_ else np.ones(6)
        put_labels(
            catalog,
            [
                (int(film), Label(str(name), float(value), source))
                for film, name, value, source in zip(draw.choice(ids, 6), named, values, sources, strict=True)
            ],
        )
        put_labels(catalog, [(int(ids[0]), Label("mass", 0.9, "probe"))])
    found = truths_in(catalog, [MASS], asked)[MASS.finding]
    np.testing.assert_array_equal(found, known_truth(MASS.labels, label_values(catalog), asked.tolist()))
    assert set(found[~np.isnan(found)]) == {0.0, 1.0}
