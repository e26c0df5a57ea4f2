"""Phantoms: the same seed draws the same film, findings show where they are, and the words say what is there."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import numpy as np
import pytest
from filmroom.indexer.phantom import (  # fmt: skip
    Body,
    Finding,
    Kind,
    Phantom,
    Place,
    Severity,
    Sex,
    Side,
    Technique,
    View,
    describe,
    render,
    report,
    sample,
    sample_body,
    sample_finding,
)
from filmroom.indexer.phantom.body.anatomy import build
from filmroom.indexer.phantom.body.lungs import lungs
from filmroom.indexer.phantom.film import enlarge, lowpass
from filmroom.indexer.phantom.rendering.camera import camera
from filmroom.indexer.phantom.rendering.splat import Cloud, smooth_path, splat, tube
from PIL import Image

SIZE = 192
SQUARE = Technique(field_width=380, field_height=380, shift_y=15)
SMALL, MODERATE, LARGE = Severity
LEFT, RIGHT, BOTH, MIDLINE = Side.LEFT, Side.RIGHT, Side.BILATERAL, Side.MIDLINE


@cache
def film(*findings: Finding, view: View = View.PA, seed: int = 5, technique: Technique = SQUARE) -> np.ndarray:
    body = sample_body(seed, sex=Sex.MALE, age=50)
    return render(Phantom(seed, body, view, technique, findings), SIZE)


def left_of(image: np.ndarray) -> np.ndarray:
    return image[:, : SIZE // 2]


def change(finding: Finding, **how: object) -> np.ndarray:
    """Brighter is positive."""
    return film(finding, **how) - film(**how)


@pytest.mark.parametrize("view", list(View))
def test_the_same_seed_draws_the_same_film(view: View) -> None:
    one, two = (render(sample(11, view=view), SIZE) for _ in range(2))
    assert np.array_equal(one, two)
    assert one.dtype == np.float32
    assert max(one.shape) == SIZE
    assert one.min() >= 0
    assert one.max() <= 1
    assert one.std() > 0.15
    other = render(sample(12, view=view), SIZE)
    assert other.shape != one.shape or not np.allclose(other, one, atol=0.05)


def test_a_film_in_two_sizes_shows_the_same() -> None:
    phantom = replace(sample(3, view=View.PA), technique=SQUARE)
    large, small = render(phantom, 2 * SIZE), render(phantom, SIZE)
    halved = large.reshape(SIZE, 2, SIZE, 2).mean(axis=(1, 3))
    assert np.corrcoef(halved.ravel(), small.ravel())[0, 1] > 0.995


def test_hundreds_of_bodies_differ() -> None:
    bodies = {sample(seed).body for seed in range(300)}
    assert len(bodies) == 300
    assert {body.sex for body in bodies} == set(Sex)
    assert {sample(seed).view for seed in range(60)} == set(View)


# The patient's right is on the image's left; +1 is brighter.
@pytest.mark.parametrize(
    ("kind", "severity", "place", "sign"),
    [
        (Kind.EFFUSION, LARGE, Place.BASAL, +1),
        (Kind.CONSOLIDATION, LARGE, Place.LOWER, +1),
        (Kind.CONSOLIDATION, LARGE, Place.UPPER, +1),
        (Kind.MASS, LARGE, Place.UPPER, +1),
        (Kind.PNEUMOTHORAX, MODERATE, Place.APICAL, -1),
        (Kind.PLEURAL_THICKENING, LARGE, Place.PERIPHERAL, +1),
        (Kind.ATELECTASIS, MODERATE, Place.BASAL, +1),
        (Kind.PACEMAKER, None, Place.CHEST_WALL, +1),
        (Kind.CHEST_TUBE, None, Place.APICAL, +1),
    ],
)
def test_a_finding_is_on_its_side(kind: Kind, severity: Severity | None, place: Place, sign: int) -> None:
    for side, here in ((RIGHT, slice(0, SIZE // 2)), (LEFT, slice(SIZE // 2, SIZE))):
        delta = sign * change(Finding(kind, side, severity, place))
        assert delta.max() > 0.1
        strong = delta > 0.5 * delta.max()
        assert strong[:, here].sum() > 0.85 * strong.sum(), side


@pytest.mark.parametrize("place", [Place.UPPER, Place.LOWER])
def test_upper_is_above_lower(place: Place) -> None:
    delta = np.abs(change(Finding(Kind.CONSOLIDATION, RIGHT, LARGE, place)))
    height = (delta.sum(axis=1) * np.arange(SIZE)).sum() / delta.sum() / SIZE
    assert height < 0.42 if place is Place.UPPER else height > 0.42


@pytest.mark.parametrize(
    ("kind", "side", "place"),
    [
        (Kind.EFFUSION, RIGHT, Place.BASAL),
        (Kind.EFFUSION, BOTH, Place.BASAL),
        (Kind.PNEUMOTHORAX, LEFT, Place.APICAL),
        (Kind.CARDIOMEGALY, MIDLINE, Place.MEDIASTINUM),
        (Kind.CONSOLIDATION, RIGHT, Place.LOWER),
        (Kind.EDEMA, BOTH, Place.PERIHILAR),
        (Kind.ATELECTASIS, LEFT, Place.BASAL),
        (Kind.NODULE, RIGHT, Place.UPPER),
        (Kind.MASS, LEFT, Place.LOWER),
        (Kind.RIB_FRACTURE, LEFT, Place.CHEST_WALL),
        (Kind.HERNIA, MIDLINE, Place.RETROCARDIAC),
        (Kind.EMPHYSEMA, BOTH, Place.UPPER),
        (Kind.VIRAL, BOTH, Place.PERIPHERAL),
        (Kind.PLEURAL_THICKENING, RIGHT, Place.APICAL),
    ],
)
def test_what_is_worse_changes_more(kind: Kind, side: Side, place: Place) -> None:
    def amount(severity: Severity) -> float:
        return float(np.mean([np.abs(change(Finding(kind, side, severity, place), seed=s)).mean() for s in (5, 8)]))

    small, moderate, large = (amount(severity) for severity in Severity)
    assert 0 < small < moderate < large


@pytest.mark.parametrize("kind", list(Kind))
@pytest.mark.parametrize("view", [View.AP_SUPINE, View.LATERAL])
def test_every_finding_shows_in_every_view(kind: Kind, view: View) -> None:
    finding = sample_finding(kind, np.random.default_rng(4), severity=None if kind.device else LARGE)
    assert np.abs(change(finding, view=view)).max() > 0.04


def test_a_large_heart_is_wide_and_nothing_else_moves() -> None:
    delta = change(Finding(Kind.CARDIOMEGALY, severity=LARGE, place=Place.MEDIASTINUM))
    brighter = delta > 0.1
    columns = np.flatnonzero(brighter.any(axis=0)) / SIZE
    assert columns.min() > 0.15
    assert columns.max() < 0.9
    assert brighter[: SIZE // 4].sum() < 0.05 * brighter.sum()


def test_fluid_lies_flat_when_standing_and_behind_when_lying() -> None:
    finding = Finding(Kind.EFFUSION, RIGHT, MODERATE, Place.BASAL)
    standing, lying = (left_of(change(finding, view=view)).clip(0) for view in (View.AP, View.AP_SUPINE))
    upper = slice(SIZE // 5, SIZE // 3)
    assert lying[upper].sum() / lying.sum() > 1.5 * standing[upper].sum() / standing.sum()


def test_what_is_far_from_the_detector_is_magnified() -> None:
    """The heart lies in front: it looks larger on AP films, whose source is in front."""
    front = np.float32([[-60, 60], [150, 150], [50, 50]])

    def width(view: View) -> float:
        columns, _, _ = camera(Phantom(1, Body(1), view, SQUARE), SIZE).project(front)
        return float(columns[1] - columns[0])

    assert width(View.AP) > 1.05 * width(View.PA) > 0


@pytest.mark.parametrize("view", [View.AP, View.LATERAL])
def test_a_tube_is_projected_as_its_points_are(view: View) -> None:
    eye = camera(Phantom(1, Body(1), view, SQUARE), SIZE)
    path = smooth_path([(-150, 20, -60), (-40, 90, 30), (60, 120, 50), (150, 260, -20)], 20)
    made = tube(path, radius=12.0, step=1.5)
    shadow, exact = made.cast(eye), Cloud(made.points(), made.mass.ravel()).cast(eye)
    assert shadow.column.size == exact.column.size
    assert np.abs(shadow.column.ravel() - exact.column).max() < 0.1
    assert np.abs(shadow.row.ravel() - exact.row).max() < 0.1
    image = splat([shadow], eye)
    assert image.sum() * eye.pixel**2 == pytest.approx(made.mass.sum(), rel=1e-3)


@pytest.mark.parametrize(("few", "many"), [((9, 9), (200, 173)), ((44, 61), (200, 173))])
def test_enlarging_and_blurring_are_pillows(few: tuple[int, int], many: tuple[int, int]) -> None:
    def pillows(image: np.ndarray, shape: tuple[int, int], how: Image.Resampling) -> np.ndarray:
        return np.asarray(Image.fromarray(image).resize(shape[::-1], how))

    image = np.random.default_rng(1).random(few, dtype=np.float32)
    large = enlarge(image, many)
    assert np.allclose(large, pillows(image, many, Image.Resampling.BICUBIC), atol=1e-5)
    small = pillows(large, (round(many[0] / 7), round(many[1] / 7)), Image.Resampling.BOX)
    assert np.allclose(lowpass(large, 7), pillows(small, many, Image.Resampling.BICUBIC), atol=1e-5)


@pytest.mark.parametrize("size", [24, 48, 80])
def test_a_film_with_pixels_larger_than_a_blur_is_whole(size: int) -> None:
    film = render(Phantom(1, Body(1), View.PA, SQUARE), size)
    assert max(film.shape) == size
    assert 0 <= film.min() < 0.2 < 0.7 < film.max() <= 1


def test_any_number_of_sections_is_turned() -> None:
    path = smooth_path([(-150, 20, -60), (150, 260, -20)], 4)
    fine = tube(path, radius=0.1, step=0.04)
    assert fine.frames.shape[2] > 8192
    assert np.isfinite(fine.frames).all()


def test_a_healthy_lung_is_summed_as_one_painted_evenly() -> None:
    phantom = Phantom(1, Body(1), View.PA, SQUARE)
    for lung in lungs(build(phantom), camera(phantom, SIZE), density=0.25).values():
        healthy = lung.removed()
        assert 60 < healthy.max() < 200
        assert healthy.min() > -1e-3
        assert np.allclose(healthy, lung.with_density(lung.density.copy()).removed(), atol=0.05)
        assert np.allclose(lung.with_density(np.ones_like(lung.density)).removed(), 0, atol=1e-3)


def test_describe_and_report_say_what_is_there_and_what_is_not() -> None:
    found = (
        Finding(Kind.EFFUSION, LEFT, SMALL, Place.BASAL),
        Finding(Kind.ENDOTRACHEAL_TUBE, place=Place.RIGHT_MAIN_BRONCHUS),
    )
    phantom = Phantom(1, Body(1), View.AP, SQUARE, found)
    first, tube = describe(phantom)
    assert (first.label, first.side, first.severity, first.phrase) == (
        "effusion",
        "left",
        "small",
        "small left pleural effusion",
    )
    assert tube.place == "right main bronchus"
    text = report(phantom)
    assert text.startswith("SYNTHETIC PHANTOM - not a patient")
    for part in (
        "portable AP",
        "Small left pleural effusion.",
        "right main bronchus",
        "No pneumothorax.",
        "normal size",
    ):
        assert part in text
    assert "No pleural effusion" not in text
    normal = report(Phantom(1, Body(1)))
    assert "No acute cardiopulmonary abnormality." in normal
    assert "No pleural effusion or pneumothorax." in normal


@pytest.mark.parametrize("seed", range(40))
def test_sampled_findings_do_not_contradict_each_other(seed: int) -> None:
    phantom = sample(seed)
    kinds = [finding.kind for finding in phantom.findings]
    assert len(kinds) == len(set(kinds))
    assert not {Kind.EMPHYSEMA, Kind.CARDIOMEGALY} <= set(kinds)
    for finding in phantom.findings:
        assert (finding.severity is None) == finding.kind.device
        assert not (finding.side is LEFT and finding.place is Place.MIDDLE)
