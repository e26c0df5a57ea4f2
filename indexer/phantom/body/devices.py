"""Draw tubes, lines, wires and pacemakers as clouds of plastic and metal."""

from __future__ import annotations

import numpy as np
from filmroom.indexer.phantom.body.anatomy import Anatomy
from filmroom.indexer.phantom.rendering.camera import f32
from filmroom.indexer.phantom.rendering.splat import Copies, smooth_path, tube
from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, Side

Point = tuple[float, float, float]
Knots = list[Point]


def devices(phantom: Phantom, anatomy: Anatomy, *, step: float) -> list[Copies]:
    out: list[Copies] = []
    for order, finding in enumerate(phantom.findings):
        build = _BUILDERS.get(finding.kind)
        if build is not None:
            rng = np.random.default_rng([phantom.seed, 101, order])
            out += build(finding, anatomy, rng, step)
    if phantom.technique.leads:
        out += _monitor(anatomy, np.random.default_rng([phantom.seed, 103]), step)
    return out


def _line(knots: object, *, radius: float, density: float, step: float, hollow: bool = False) -> Copies:
    path = smooth_path(knots, 12 * len(f32(knots)))
    return tube(path, radius=radius, step=min(step, 0.6), core=0.0 if hollow else density, wall=density, wall_from=0.7)


def _endotracheal(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    d = anatomy.shift
    start: Knots = [(4, -190, 25), (2, -130, 0), (1, -70, -15)]
    if finding.place is Place.RIGHT_MAIN_BRONCHUS:
        deep = rng.uniform(0.5, 1.0)
        end: Knots = [(0.4 * d, 20, -26), (-1 + d, 62, -34), (-12 - 12 * deep + d, 84 + 14 * deep, -36)]
    else:
        tip = rng.uniform(14, 40)
        end = [(0.2 * d, tip - 40, -20), (0.4 * d + rng.uniform(-2, 2), tip, -27)]
    knots = start + end
    stripe: Knots = [(x + 3.6, y, z + 2) for x, y, z in knots]
    cuff = next(k for k in knots if k[1] > -60)
    return [
        _line(knots, radius=5.0, density=2.6, step=step, hollow=True),
        _line(stripe, radius=0.95, density=16.0, step=step),
        _line([(x, y - 10, z) for x, y, z in (cuff, knots[-2])], radius=1.0, density=0.4, step=step),
    ]


def _nasogastric(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    floor = anatomy.dome_top[Side.LEFT]
    d = anatomy.shift
    knots: Knots = [(6, -190, 20), (5, -100, -22), (6, -20, -38), (3 + 0.5 * d, 60, -46), (7 + d, 130, -44)]
    if finding.place is Place.STOMACH:
        knots += [
            (14, floor, -38),
            (34, floor + 30, -22),
            (62, floor + 52 + rng.uniform(-8, 8), -4),
            (48, floor + 92, 12),
        ]
    else:
        knots += [(11 + d, 165 + rng.uniform(-14, 10), -42)]
    tip: Knots = [*knots[-1:], tuple(np.add(knots[-1], np.subtract(knots[-1], knots[-2]) * 0.12))]
    return [
        _line(knots, radius=2.6, density=3.2, step=step, hollow=True),
        _line([(x + 1.2, y, z) for x, y, z in knots], radius=0.85, density=16.0, step=step),
        _line(tip, radius=2.2, density=14.0, step=step),
    ]


def _central_line(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    d = anatomy.shift
    tip = 146 + rng.uniform(-6, 10) if finding.place is Place.RIGHT_ATRIUM else 92 + rng.uniform(-14, 10)
    cava: Knots = [(-19 + 0.7 * d, 62, 2), (-20 + d, 84, 2), (-21 + d, tip, 6)]
    if finding.side is Side.LEFT:
        knots: Knots = [(150, 42, 45), (112, 24, 34), (70, 26, 24), (34, 40, 18), (2, 54, 12), *cava]
    elif rng.random() < 0.5:
        knots = [(-150, 46, 45), (-112, 26, 34), (-70, 26, 24), (-36, 38, 16), *cava]
    else:
        knots = [(-74, -92, 34), (-52, -56, 24), (-38, -12, 14), (-26, 30, 8), *cava]
    return [_line(knots, radius=1.45, density=13.0, step=step)]


def _chest_tube(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    out = []
    for side in finding.side.lungs:
        s = side.sign
        entry = rng.uniform(140, 175)
        if finding.place is Place.BASAL:
            ends: Knots = [(s * 100, 208, -56), (s * 62, 206, -74)]
        else:
            ends = [(s * 112, 92, 10), (s * 88, 48, -14), (s * 62, 24 + rng.uniform(-4, 8), -28)]
        knots: Knots = [(s * 196, entry + 44, 30), (s * 160, entry + 16, 26), (s * 138, entry - 8, 14), *ends]
        edge: Knots = [(x, y + 3.0, z + 2) for x, y, z in knots]
        out += [
            _line(knots, radius=4.8, density=2.4, step=step, hollow=True),
            _line(edge, radius=1.0, density=16.0, step=step),
        ]
    return out


def _pacemaker(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    s = finding.side.sign or 1
    x0, y0, z0 = s * (96 + rng.uniform(-6, 6)), 46 + rng.uniform(-6, 8), 66.0
    angle = np.linspace(0, 2 * np.pi, 60)
    # A rounded can: |cos|^0.6 turns the circle into a soft square.
    ring = np.stack(
        [
            x0 + 22 * np.sign(np.cos(angle)) * np.abs(np.cos(angle)) ** 0.6,
            y0 + 19 * np.sign(np.sin(angle)) * np.abs(np.sin(angle)) ** 0.7,
            z0 - 0.2 * s * np.cos(angle),
        ],
        axis=1,
    ).astype(np.float32)
    fill = [ring * np.float32(f) + f32([x0, y0, z0]) * np.float32(1 - f) for f in (0.82, 0.6, 0.38, 0.15)]
    inner = 6.5
    clouds = [tube(ring, radius=2.2, flat=3.2, step=step, core=6, wall=9)]
    clouds += [tube(r, radius=2.6, flat=inner, step=step, core=4.2 + 1.6 * i, wall=4.2) for i, r in enumerate(fill)]
    head = (x0 - s * 6, y0 - 22.0, z0)
    clouds.append(_line([(x0 - s * 14, y0 - 22, z0), (x0 + s * 8, y0 - 22, z0)], radius=3.6, density=2.2, step=step))
    cx, cy, cz = anatomy.heart_centre
    vein: Knots = [head, (s * 118, 26, 52), (s * 84, 24, 28), (s * 40, 38, 18)]
    if s > 0:
        vein.append((4, 52, 12))
    cava: Knots = [(-18 + anatomy.shift, 68, 4), (-20 + anatomy.shift, 104, 4)]
    atrium: Knots = [(cx - 38, cy + 4, cz), (cx - 34, cy - 22, cz + 18)]
    apex: Knots = [(cx - 28, cy + 16, cz - 2), (cx + 2, cy + 32, cz + 22), (cx + 34, cy + 32, cz + 34)]
    for tip, wide in ((atrium, 0.0), (apex, 3.0)):
        knots = [*[(x, y + wide, z) for x, y, z in vein], *cava, *tip]
        clouds.append(_line(knots, radius=1.15, density=20, step=step))
        clouds.append(
            _line(
                [tip[-1], tuple(np.add(tip[-1], np.subtract(tip[-1], tip[-2]) * 0.25))],
                radius=1.6,
                density=14,
                step=step,
            )
        )
    return clouds


def _sternotomy(finding: Finding, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    out = []
    for y, z in zip((46, 66, 92, 114, 138, 162), (34, 44, 55, 64, 72, 79), strict=True):
        wide, tall = rng.uniform(8, 11), rng.uniform(3, 6)
        tilt = rng.uniform(-0.2, 0.2)
        angle = np.linspace(0.15, 2 * np.pi - 0.1, 30)
        loop = np.stack(
            [wide * np.cos(angle), tall * np.sin(angle) + tilt * wide * np.cos(angle) + y, z - 6 + 7 * np.sin(angle)],
            axis=1,
        )
        out.append(tube(loop.astype(np.float32), radius=0.75, step=min(step, 0.5), core=36, wall=36))
        knot: Knots = [(wide * 0.9, y, z), (wide * 0.9 + 2, y + 3, z + 1), (wide * 0.9 - 1, y + 6, z + 1)]
        out.append(_line(knots=knot, radius=1.1, density=34, step=step))
    return out


def _monitor(anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Copies]:
    """Return electrodes and cables on the skin: not a finding, but on most bedside films."""
    out = []
    for x, y in ((-120, 18), (118, 24), (-134, 176), (120, 196))[: int(rng.integers(2, 5))]:
        spot = f32([x + rng.uniform(-14, 14), y + rng.uniform(-14, 14), 78])
        angle = np.linspace(0, 2 * np.pi, 24)
        ring = spot + np.stack([5 * np.cos(angle), 5 * np.sin(angle), 0 * angle], axis=1)
        out.append(tube(ring.astype(np.float32), radius=1.1, step=step, core=3, wall=3))
        out.append(_line([tuple(spot), tuple(spot + f32([0.5, 1.5, 2]))], radius=2.6, density=5, step=step))
        away = np.sign(x) * f32([1, 0, 0])
        knots = [
            spot,
            spot + away * 14 + f32([0, 22, 4]),
            spot + away * rng.uniform(20, 60) + f32([0, rng.uniform(-70, 60), 6]),
            f32([np.sign(x) * 230, y + rng.uniform(-90, 40), 60]),
        ]
        out.append(_line(knots, radius=0.9, density=5.0, step=step))
    return out


_BUILDERS = {
    Kind.ENDOTRACHEAL_TUBE: _endotracheal,
    Kind.NASOGASTRIC_TUBE: _nasogastric,
    Kind.CENTRAL_LINE: _central_line,
    Kind.CHEST_TUBE: _chest_tube,
    Kind.PACEMAKER: _pacemaker,
    Kind.STERNOTOMY: _sternotomy,
}
