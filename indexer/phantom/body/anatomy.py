"""Shape the solid anatomy of one phantom: outlines, lungs, diaphragm, heart and great vessels, in millimetres.

Sizes follow an adult of 175 cm in deep inspiration (cardiothoracic ratio about 0.45, 10 posterior ribs above the
right dome); the body's own width, height and depth are applied by the camera.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.solids import Column, Ellipsoid, ellipsoid
from filmroom.indexer.phantom.spec import Kind, Phantom, Place, Severity, Sex, Side, View

LUNGS = (Side.RIGHT, Side.LEFT)


@dataclass(frozen=True)
class Anatomy:
    """Solids in body coordinates. `chest` is the inner surface of the rib cage; a lung is what of `chest` and of its
    `half` lies above its `dome` and outside `inner` (heart, vessels, mediastinum, spine)."""

    skin: Column
    muscle: Column
    arms: tuple[Ellipsoid, ...]
    breasts: tuple[Ellipsoid, ...]
    chest: Column
    half: dict[Side, Column]
    dome: dict[Side, Ellipsoid]
    dome_top: dict[Side, float]
    inner: tuple[Column | Ellipsoid, ...]
    gas: tuple[Ellipsoid, ...]
    heart_centre: tuple[float, float, float]
    shift: float


def column(rows: Sequence[tuple[float, ...]], *, power: float = 0.5) -> Column:
    """Return rows of (y, a, b, cx, cz), joined by a smooth monotone-enough curve sampled every 2 mm."""
    table = np.asarray(rows, float)
    y = np.linspace(table[0, 0], table[-1, 0], int((table[-1, 0] - table[0, 0]) / 2) + 1)
    a, b, cx, cz = f32(_smooth(y, table[:, 0], table[:, 1:]).T)
    return Column(f32(y), a, b, cx, cz, power)


def build(phantom: Phantom) -> Anatomy:
    """Return the anatomy of a phantom, with what its findings do to the shape of organs."""
    body = phantom.body
    rng = np.random.default_rng([body.seed, 11])
    emphysema = _level(phantom, Kind.EMPHYSEMA)
    barrel = 1 + 0.10 * emphysema
    shift = mediastinal_shift(phantom)
    chest = column(
        [
            (-14, 40, 26, 0, -32), (0, 62, 40, 0, -31), (20, 87, 47, 0, -32), (40, 104, 57, 0, -30),
            (70, 120, 68 * barrel, 0, -25), (110, 132, 79 * barrel, 0, -18), (150, 139, 87 * barrel, 0, -11),
            (200, 143, 90 * barrel, 0, -4), (240, 143, 89 * barrel, 0, 2), (300, 138, 86, 0, 6), (360, 128, 84, 0, 6),
        ],
        power=0.43,
    )  # fmt: skip
    half = {side: _half(side.sign, chest, rng) for side in LUNGS}
    tops = _dome_tops(phantom, emphysema, rng)
    # A flattened dome in emphysema, a round one otherwise.
    rise = 78 - 44 * emphysema
    dome = {
        side: ellipsoid((side.sign * 66.0, tops[side] + rise, 16.0), (79, rise, 104), standing=True) for side in LUNGS
    }
    # The heart rests on the central tendon, between the domes.
    tendon = ellipsoid((10.0, (tops[Side.RIGHT] + tops[Side.LEFT]) / 2 + 64, 24.0), (78, 60, 84), standing=True)
    heart, centre = _heart(phantom, shift, emphysema, (tops[Side.RIGHT] + tops[Side.LEFT]) / 2)
    return Anatomy(
        *_outline(phantom),
        arms=_arms(phantom),
        breasts=_breasts(phantom, rng),
        chest=chest,
        half=half,
        dome=dome,
        dome_top=tops,
        inner=(*_mediastinum(shift), tendon, *heart),
        gas=_gas(phantom, tops[Side.LEFT], rng),
        heart_centre=centre,
        shift=shift,
    )


def mediastinal_shift(phantom: Phantom) -> float:
    """Return millimetres to the patient's left: away from large effusions and pneumothoraces, towards large
    collapses."""
    push = 0.0
    for finding in phantom.findings:
        if len(finding.side.lungs) != 1:
            continue
        if finding.kind in (Kind.EFFUSION, Kind.PNEUMOTHORAX) and finding.severity is Severity.LARGE:
            push -= 14 * finding.side.sign
        if finding.kind is Kind.ATELECTASIS and finding.severity is Severity.LARGE:
            push += 13 * finding.side.sign
    return push


def _level(phantom: Phantom, kind: Kind) -> float:
    """Return 0 when absent, else 0.45, 0.75 or 1 by severity."""
    return max((0.45 + 0.55 * f.severity.level if f.severity else 1.0 for f in phantom.of(kind)), default=0.0)


def _smooth(x: F32, xs: F32, ys: F32) -> F32:
    """Return (N, C) values at x (N,) of the curves through ys (K, C) at xs (K,): cubic Hermite with central slopes, so
    that there are no corners in an outline."""
    slopes = np.gradient(ys, xs, axis=0)
    i = np.clip(np.searchsorted(xs, x, side="right") - 1, 0, len(xs) - 2)
    h = (xs[i + 1] - xs[i])[:, None]
    t = (x - xs[i])[:, None] / h
    return np.asarray(
        (2 * t**3 - 3 * t**2 + 1) * ys[i] + (t**3 - 2 * t**2 + t) * h * slopes[i]
        + (3 * t**2 - 2 * t**3) * ys[i + 1] + (t**3 - t**2) * h * slopes[i + 1]
    )  # fmt: skip


def _half(sign: int, chest: Column, rng: np.random.Generator) -> Column:
    """Return one pleural cavity: a rounded apex, and no nearer to the middle than the spine and the sternum let it."""
    y = np.arange(0, 361, 2, dtype=np.float32)
    apex = 34 + rng.uniform(-3, 3)
    dome = np.sqrt(np.clip(1 - (1 - y / apex) ** 2, 0, 1)) ** 1.15
    dome = np.where(y < apex, dome, 1)
    a_chest, b_chest, _, cz = chest.at(y)
    lower = np.clip((y - 8) / 55, 0, 1)
    lower = lower * lower * (3 - 2 * lower)
    centre = (1 - lower) * 51 + lower * (0.52 + 0.06 * np.clip((y - 175) / 60, 0, 1)) * a_chest
    # Low down the spine and the crura keep the lungs apart.
    base = np.clip((y - 175) / 60, 0, 1)
    wide = (1 - lower) * 37 + lower * (0.56 - 0.09 * base) * a_chest
    deep = (1 - lower) * 42 + lower * 1.16 * b_chest
    back = (1 - lower) * -42 + lower * cz
    return Column(y, f32(wide * dome), f32(deep * dome), f32(sign * centre), f32(back))


def _dome_tops(phantom: Phantom, emphysema: float, rng: np.random.Generator) -> dict[Side, float]:
    base = 176 + 44 * phantom.technique.inspiration + 26 * emphysema
    tops = {Side.RIGHT: base + rng.uniform(-3, 3), Side.LEFT: base + 9 + rng.uniform(-4, 4)}
    if phantom.view is View.AP_SUPINE:
        tops = {side: top - 6 for side, top in tops.items()}
    for finding in phantom.of(Kind.ATELECTASIS):
        for side in finding.side.lungs:
            if finding.severity and finding.place in (Place.LOWER, Place.BASAL):
                tops[side] -= 10 + 18 * finding.severity.level
    return tops


def _outline(phantom: Phantom) -> tuple[Column, Column]:
    """Draw skin, and the muscle under the fat."""
    body = phantom.body
    male = body.sex is Sex.MALE
    fat = 5 + 26 * body.fat
    shoulder = 1.0 if male else 0.93
    waist = 1.0 if male else 0.95
    lateral = phantom.view is View.LATERAL
    if lateral:
        # Raised arms take the shoulders with them.
        shoulder *= 0.74
    power = 0.44 if lateral else 0.38
    raised = 18 if phantom.view in (View.AP, View.AP_SUPINE) else 0
    rows = [
        (-190, 62, 62, 0, -36), (-110 - raised, 57, 58, 0, -36), (-76 - raised, 62, 58, 0, -38),
        (-54 - raised, 84, 62, 0, -40), (-36 - raised, 118 * shoulder, 70, 0, -42),
        (-16 - raised, 156 * shoulder, 77, 0, -42), (8, 176 * (shoulder + lateral * 0.1), 84, 0, -40),
        (40, 177 * (shoulder + lateral * 0.1), 92, 0, -35), (80, 168 - 14 * lateral, 100, 0, -28),
        (130, 165, 108, 0, -18), (200, 164 * waist, 112, 0, -9), (270, 160 * waist, 110, 0, -3), (340, 160, 110, 0, 0),
        (420, 164, 112, 0, 0),
    ]  # fmt: skip
    muscle = column([tuple(r) for r in rows], power=power)
    skin = column(
        [
            (y, a + fat * (0.35 + 0.65 * (y > -20)), b + fat * (0.3 + 0.5 * (y > 40)), cx, cz)
            for y, a, b, cx, cz in rows
        ],
        power=power,
    )
    return skin, muscle


def _arms(phantom: Phantom) -> tuple[Ellipsoid, ...]:
    body = phantom.body
    thick = (44 if body.sex is Sex.MALE else 38) + 16 * body.fat
    thick *= 0.8 if phantom.view is View.LATERAL else 1.0
    out = []
    for sign in (-1, 1):
        (x0, y0, z0), (x1, y1, z1) = arm_axis(phantom, sign)
        middle = ((x0 + x1) / 2, (y0 + y1) / 2, (z0 + z1) / 2)
        way = (x1 - x0, y1 - y0, z1 - z0)
        length = float(np.linalg.norm(way))
        out.append(ellipsoid(middle, (length * 0.66, thick, thick), along=way))
        out.append(ellipsoid((x0 - sign * 6, y0 + 4, z0), (thick * 1.05, thick * 1.1, thick * 1.1)))
    return tuple(out)


def arm_axis(phantom: Phantom, sign: int) -> tuple[tuple[float, float, float], tuple[float, float, float]]:
    """Return shoulder joint and elbow: elbows out for PA, by the side for AP, raised forward for a lateral film."""
    if phantom.view is View.LATERAL:
        return (sign * 128.0, -62.0, -14.0), (sign * 100.0, -250.0, 120.0)
    if phantom.view is View.PA:
        return (sign * 174.0, 16.0, -24.0), (sign * 262.0, 250.0, 20.0)
    return (sign * 176.0, 10.0, -34.0), (sign * 222.0, 290.0, -40.0)


def _breasts(phantom: Phantom, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    body = phantom.body
    supine = phantom.view is View.AP_SUPINE
    if body.sex is Sex.MALE:
        if phantom.view is View.LATERAL:
            return ()
        # Pectoral folds: thin and high.
        return tuple(
            ellipsoid((s * 84.0, 84.0, 66.0), (58, 46, 14 + 9 * body.fat), along=(1, -0.5 * s, 0)) for s in (-1, 1)
        )
    big = 0.75 + 0.5 * body.fat + rng.uniform(-0.1, 0.25)
    droop = 0 if supine else 12 * big
    sideways = 16 if supine else 0
    return tuple(
        ellipsoid(
            (s * (80.0 + 8 * body.fat + sideways), 158 + 26 * body.fat + droop + rng.uniform(-3, 3), 84.0),
            (58 * big, 52 * big, 42 * big * (0.7 if supine else 1)),
        )
        for s in (-1, 1)
    )


def _mediastinum(shift: float) -> tuple[Column | Ellipsoid, ...]:
    """Return what lies between the lungs besides the heart: inlet vessels, gullet, fat; and the spine in its
    muscles."""
    between = [
        (-60, 30, 34, 0, -40), (-10, 36, 38, 0, -36), (14, 32, 44, 0.1 * shift, -32), (45, 27, 50, 0.4 * shift, -24),
        (75, 25, 54, 0.8 * shift, -18), (110, 23, 54, shift, -16), (160, 22, 58, shift, -8),
        (240, 23, 60, 0.6 * shift, -4), (300, 24, 60, 0, 0),
    ]  # fmt: skip
    spine = [
        (-60, 26, 30, 0, -62), (0, 28, 30, 0, -68), (40, 27, 30, 0, -78), (110, 27, 34, 0, -86), (200, 29, 34, 0, -82),
        (300, 30, 34, 0, -76),
    ]  # fmt: skip
    # Soft at their sides: tissue thins out there, and no sharp line runs down a real film.
    return column(between, power=0.9), column(spine, power=1.0)


def _heart(
    phantom: Phantom, shift: float, emphysema: float, floor: float
) -> tuple[tuple[Ellipsoid, ...], tuple[float, float, float]]:
    """Return chambers and great vessels as ellipsoids whose union is the silhouette."""
    body = phantom.body
    big = max((1.18 + 0.34 * f.severity.level for f in phantom.of(Kind.CARDIOMEGALY) if f.severity), default=1.0)
    size = body.heart * (1 - 0.16 * emphysema)
    flat = body.heart_axis + 1.6 * (0.7 - phantom.technique.inspiration) + 0.4 * (big - 1)
    # Between the fixed root of the great vessels (y 92) and the diaphragm: longer in deep inspiration, squat without.
    long = (floor + 8 - 92) / (204 - 92)
    centre = (10.0 + 16 * (big - 1) + shift, 92 + long * 64, 22.0)
    wide = size * big * (1 + 0.12 * flat) * (1.06 - 0.06 * long)
    tall, deep = long * (1 + 0.12 * (big - 1)), size * (1 + 0.5 * (big - 1))

    def part(
        x: float, y: float, z: float, a: float, b: float, c: float, along: tuple[float, float, float] | None = None
    ) -> Ellipsoid:
        part_at_origin = ellipsoid((0, 0, 0), (a, b, c), along=along)
        at = (centre[0] + (x - 10) * wide, centre[1] + (y - 156) * tall, centre[2] + (z - 22) * deep)
        return Ellipsoid(at, part_at_origin.axes * f32([wide, tall, deep]))

    old = body.aorta
    axis = (0.70, 0.58 - 0.25 * flat, 0.38)
    chambers = (
        part(20, 156, 20, 66, 44, 46, axis),
        part(31, 158, 30, 57, 39, 38, axis),
        part(8, 168, 46, 54, 33, 29, (0.95, 0.12 - 0.1 * flat, 0.2)),
        part(-13, 152, 12, 31, 45, 38),
        part(6, 126, -14, 38, 28, 28),
        part(34, 112, 4, 22, 14, 22, (0.35, 1, 0.2)),
        part(30, 186, 58, 48, 22, 22, (1, 0.25, 0.1)),
        part(21, 94, 16, 25, 18, 21, (0.3, 1, -0.2)),
    )
    vessels = (
        ellipsoid((-19 + shift, 78, 2), (11, 70, 12)),
        ellipsoid((-5 - 7 * old + shift, 95, 20), (17 + 5 * old, 42, 17 + 3 * old)),
        ellipsoid((21 + 5 * old + shift, 58 - 3 * old, -18), (15 + 4 * old, 17 + 4 * old, 30)),
        ellipsoid((22 + 5 * old + 0.7 * shift, 150, -58), (12 + 3 * old, 116, 13)),
        ellipsoid((-20 + shift, 208, 0), (12, 26, 12)),
    )
    return chambers + vessels, centre


def _gas(phantom: Phantom, dome: float, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    """Draw gas under the left dome (stomach) and in the splenic flexure, none in some."""
    if rng.random() < 0.25:
        return ()
    high = rng.uniform(6, 14)
    bubbles = [
        ellipsoid(
            (58 + rng.uniform(-14, 10), dome + 9 + high, -6 + rng.uniform(-8, 8)),
            (rng.uniform(18, 36), high, rng.uniform(18, 34)),
        )
    ]
    for _ in range(int(rng.integers(0, 4))):
        r = rng.uniform(8, 16)
        bubbles.append(
            ellipsoid(
                (rng.uniform(30, 105), dome + rng.uniform(45, 95), rng.uniform(0, 50)), (r * rng.uniform(1, 1.8), r, r)
            )
        )
    return tuple(bubbles)
