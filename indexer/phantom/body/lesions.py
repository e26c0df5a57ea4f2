"""Draw round things: nodules, masses, a hiatal hernia; and the thin lines of plate atelectasis and edema's septa."""

from __future__ import annotations

import numpy as np
from filmroom.indexer.phantom.body.anatomy import Anatomy
from filmroom.indexer.phantom.body.opacities import in_lobe
from filmroom.indexer.phantom.body.vessels import in_lung
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.solids import Ellipsoid, ellipsoid
from filmroom.indexer.phantom.rendering.splat import Copies, smooth_path, tube
from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, Severity, Side

_NODULE_MM = {Severity.SMALL: (5.5, 6.8), Severity.MODERATE: (8.5, 10.5), Severity.LARGE: (12.5, 15.0)}
_MASS_MM = {Severity.SMALL: (17.0, 20.0), Severity.MODERATE: (24.0, 29.0), Severity.LARGE: (34.0, 42.0)}


def round_lesions(phantom: Phantom, anatomy: Anatomy) -> tuple[tuple[Ellipsoid, ...], ...]:
    """Return one group of overlapping ellipsoids for each nodule or mass."""
    out = []
    for order, finding in enumerate(phantom.findings):
        if finding.kind not in (Kind.NODULE, Kind.MASS):
            continue
        for side in finding.side.lungs:
            rng = np.random.default_rng([phantom.seed, 83, order, side.sign + 1])
            out.append(_lesion(finding, side, anatomy, rng))
    return tuple(out)


def _lesion(finding: Finding, side: Side, anatomy: Anatomy, rng: np.random.Generator) -> tuple[Ellipsoid, ...]:
    sizes = _MASS_MM if finding.kind is Kind.MASS else _NODULE_MM
    radius = rng.uniform(*sizes[finding.severity or Severity.MODERATE])
    x, y, z = (float(v) for v in _spot(finding.place, side, anatomy, radius, rng))
    parts = [
        ellipsoid(
            (x, y, z),
            (radius, radius * rng.uniform(0.85, 1), radius * rng.uniform(0.9, 1)),
            along=tuple(rng.normal(0, 1, 3)),
        )
    ]
    for _ in range(5 if finding.kind is Kind.MASS else 2):
        way = rng.normal(0, 1, 3)
        way *= radius * rng.uniform(0.35, 0.6) / np.linalg.norm(way)
        r = radius * rng.uniform(0.5, 0.72)
        parts.append(ellipsoid((x + way[0], y + way[1], z + way[2]), (r, r * rng.uniform(0.8, 1.1), r)))
    return tuple(parts)


def _spot(place: Place, side: Side, anatomy: Anatomy, radius: float, rng: np.random.Generator) -> F32:
    """Return a point of the lobe, clear of the heart and not at the very edge where it would be half hidden."""
    box, low = f32([110, 230, 130]), f32([22, 14, -75])
    points = (rng.random((4000, 3), dtype=np.float32) * box + low) * f32([side.sign, 1, 1])
    points = in_lobe(points[in_lung(points, anatomy, side, margin=0.86)], place, side)
    clear = points[(np.abs(points[:, 0]) > 46 + 0.4 * radius) & (points[:, 1] < anatomy.dome_top[side] - 0.7 * radius)]
    points = clear if len(clear) else points
    if not len(points):
        return f32([side.sign * 75, 110, -10])
    return np.asarray(points[rng.integers(0, len(points))])


def hernia(phantom: Phantom, anatomy: Anatomy) -> list[Ellipsoid]:
    """Return the gas in a stomach that lies behind the heart (to be cut flat by the fluid)."""
    out = []
    for finding in phantom.of(Kind.HERNIA):
        level = finding.severity.level if finding.severity else 0.5
        floor = sum(anatomy.dome_top.values()) / 2
        r = 27 + 25 * level
        out.append(ellipsoid((6.0 + 10 * level, floor + 14 - 0.75 * r, -34.0), (r * 0.92, r * 0.88, r * 0.8)))
    return out


def bands(phantom: Phantom, anatomy: Anatomy, step: float) -> list[Copies]:
    """Return plates of collapse above the base, and septal lines."""
    out = []
    for order, finding in enumerate(phantom.findings):
        for side in finding.side.lungs:
            rng = np.random.default_rng([phantom.seed, 89, order, side.sign + 1])
            top = anatomy.dome_top[side]
            if finding.kind is Kind.ATELECTASIS and finding.severity is not Severity.LARGE:
                upper = finding.place is Place.UPPER
                for _ in range(2 if finding.severity is Severity.SMALL else 3):
                    y = rng.uniform(70, 105) if upper else top - rng.uniform(2, 26)
                    x0 = rng.uniform(34, 66)
                    long, tilt = rng.uniform(34, 62), rng.uniform(-0.35, 0.25)
                    z = rng.uniform(-40, 30)
                    line = [
                        (side.sign * (x0 + f * long), y + f * long * tilt + 3 * np.sin(3 * f), z)
                        for f in (0, 0.35, 0.7, 1)
                    ]
                    across = np.repeat(f32([[0, 1, 0.12]]), 20, 0)
                    thick = (1.1 + rng.uniform(0, 0.8)) * np.sin(np.linspace(0.25, np.pi - 0.25, 20)).astype(np.float32)
                    out.append(
                        tube(
                            smooth_path(line, 20), radius=thick, flat=14, across=across, step=step, core=0.75, wall=0.75
                        )
                    )
            if finding.kind is Kind.EDEMA:
                out += _septa(anatomy, side, 10 + round(14 * (finding.severity or Severity.MODERATE).level), rng, step)
    return out


def _septa(anatomy: Anatomy, side: Side, count: int, rng: np.random.Generator, step: float) -> list[Copies]:
    """Return Kerley's B lines: short, level, touching the pleura low at the sides."""
    out = []
    for y in anatomy.dome_top[side] + 24 - rng.uniform(0, 95, count):
        a, b, _, cz = _at(anatomy, y)
        angle = rng.uniform(-0.5, 0.5)
        x, z = side.sign * a * np.cos(angle), cz + b * np.sin(angle)
        inward = rng.uniform(12, 22)
        line = f32([[x * 0.985, y, z], [x - side.sign * inward, y + rng.uniform(-3, 3), z]])
        out.append(tube(line, radius=0.55, flat=5.0, across=f32([[0, 1, 0]] * 2), step=step, core=0.7, wall=0.7))
    return out


def _at(anatomy: Anatomy, y: float) -> tuple[float, float, float, float]:
    a, b, cx, cz = anatomy.chest.at(f32([y]))
    return float(a[0]), float(b[0]), float(cx[0]), float(cz[0])
