"""Heads on made-up vectors: what they learn, what is measured, what is kept."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import BadInput, ModelUnavailable
from filmroom.db.records import Space
from filmroom.search.classification.learning_curve import calibration, probe, split_patients
from filmroom.search.classification.linear_probe import Kind, fit_head, load_head, save_head
from numpy.typing import NDArray

SPACE = Space("made-up", "f" * 64, 16)
OTHER = Space("other", "e" * 64, 16)


def films(count: int, *, seed: int = 0, twisted: bool = False) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
    """Unit vectors, and a finding that depends on two of their directions (their product where twisted)."""
    rng = np.random.default_rng(seed)
    vectors = rng.normal(size=(count, 16))
    signal = vectors[:, 0] * vectors[:, 1] * 3 if twisted else vectors[:, 0] * 2 + vectors[:, 1]
    truth = (signal + rng.normal(0, 0.5, count) > 0).astype(float)
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32), truth


def test_report_and_head() -> None:
    vectors, truth = films(400)
    truth[:20] = np.nan
    patients = [f"p{index // 2}" for index in range(400)]
    report, head = probe(vectors[:, None], truth, patients, name="edema", space=SPACE, kinds=(Kind.LINEAR,))
    assert report.train_films + report.test_films == 380
    assert [point.films for point in report.curve] == [10, 20, 50, 100, 200, report.train_films]
    aucs = [point.auc.value for point in report.curve]
    assert aucs[-1] > 0.9
    assert aucs[-1] > aucs[0] + 0.05
    assert report.auc().low < report.auc().value < report.auc().high
    assert report.brier < 0.15
    assert sum(part.films for part in report.calibration) == report.test_films
    fresh, unseen = films(200, seed=5)
    right = (head.probabilities(fresh) > 0.5) == (unseen > 0.5)
    assert right.mean() > 0.8
    assert json.loads(json.dumps(report.to_json()))["curve"][0]["kind"] == "linear"


def test_a_hidden_layer_learns_what_a_line_cannot() -> None:
    vectors, truth = films(600, twisted=True)
    fresh, unseen = films(300, seed=9, twisted=True)
    right = {
        kind: float(
            (
                (fit_head(vectors, truth, name="x", space=SPACE, kind=kind, penalty=1e-3).probabilities(fresh) > 0.5)
                == (unseen > 0.5)
            ).mean()
        )
        for kind in Kind
    }
    assert right[Kind.LINEAR] < 0.6
    assert right[Kind.MLP] > 0.7


def test_patients_are_never_on_both_sides() -> None:
    patients = np.array([f"p{index % 37}" for index in range(200)])
    truth = np.arange(200) % 37 < 5
    train, test = split_patients(patients, truth)
    assert sorted([*train, *test]) == list(range(200))
    assert not set(patients[train]) & set(patients[test])
    assert truth[train].any()
    assert truth[test].any()


def test_calibration_bins() -> None:
    bins = calibration(np.array([0.05, 0.08, 0.95, 1.0]), np.array([0, 1, 1, 1]))
    assert [(part.low, part.films, part.observed) for part in bins] == [(0.0, 2, 0.5), (0.9, 2, 1.0)]


@pytest.mark.parametrize("kind", list(Kind))
def test_a_head_comes_back_from_its_file(tmp_path: Path, kind: Kind) -> None:
    vectors, truth = films(60)
    head = fit_head(vectors, truth, name="edema", space=SPACE, kind=kind)
    path = tmp_path / "edema.json"
    save_head(head, path)
    loaded = load_head(path, space=SPACE)
    assert loaded.probabilities(vectors) == pytest.approx(head.probabilities(vectors), abs=1e-6)
    assert (loaded.name, loaded.kind) == ("edema", kind)
    with pytest.raises(ModelUnavailable, match="was made with made-up, not with other"):
        load_head(path, space=OTHER)


@pytest.mark.parametrize(
    "spoil",
    [
        {"format": "pickle"},
        {"layers": []},
        {"scale": 0},
        {"mean": [1.0]},
        {"layers": [{"weights": [["NaN"]] * 16, "bias": [0]}]},
        {"space": {}},
        {"kind": "forest"},
    ],
)
def test_what_is_no_head_is_refused(tmp_path: Path, spoil: dict[str, object]) -> None:
    vectors, truth = films(60)
    path = tmp_path / "head.json"
    save_head(fit_head(vectors, truth, name="edema", space=SPACE), path)
    path.write_text(json.dumps(json.loads(path.read_text()) | spoil))
    with pytest.raises(BadInput, match="not a saved probe"):
        load_head(path)


def test_too_few_films_are_said() -> None:
    vectors, _ = films(10)
    with pytest.raises(BadInput, match="edema: Too few patients: 1 films with and 9 without"):
        probe(vectors, np.eye(10)[0], [str(index) for index in range(10)], name="edema", space=SPACE)
    with pytest.raises(BadInput, match="same label"):
        fit_head(vectors, np.ones(10), name="edema", space=SPACE)
