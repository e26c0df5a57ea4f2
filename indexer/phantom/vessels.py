"""The pulmonary vessels: trees that fill the lungs, tapering from the hilum to the pleura."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from indexer.phantom.anatomy import Anatomy
from indexer.phantom.camera import F32, f32
from indexer.phantom.solids import Column, Ellipsoid
from indexer.phantom.spec import Side
from indexer.phantom.splat import Cloud, join, smooth_path, tube

# How far towards its half's middle a branch runs, by level: many leave close to the hilum and fan out.
_REACH = (0.16, 0.20, 0.30, 0.42, 0.52, 0.58, 0.62, 0.66, 0.7)
HILUM = {Side.RIGHT: (-38.0, 104.0, -22.0), Side.LEFT: (37.0, 96.0, -24.0)}


def in_lung(points: F32, anatomy: Anatomy, side: Side, *, margin: float = 0.97) -> NDArray[np.bool_]:
    """(N,) which body points lie in the air of a lung."""
    kept = np.flatnonzero((anatomy.chest.radius(points) < margin) & (anatomy.half[side].radius(points) < margin))
    for solid in (anatomy.dome[side], *anatomy.inner):
        kept = kept[_value(solid, points[kept]) > 1.04]
    out = np.zeros(len(points), bool)
    out[kept] = True
    return out


def _value(solid: Column | Ellipsoid, points: F32) -> F32:
    """(N,) below 1 inside a solid (squared for ellipsoids)."""
    if isinstance(solid, Column):
        return solid.radius(points)
    offset = points - np.asarray(solid.centre, np.float32)
    if solid.standing:
        offset[:, 1] = np.minimum(offset[:, 1], 0)
    unit = offset @ np.linalg.inv(solid.axes)
    return np.asarray(np.einsum("ij,ij->i", unit, unit), np.float32)


def lung_points(anatomy: Anatomy, side: Side, rng: np.random.Generator, count: int = 2048) -> F32:
    """(count, 3) points strewn evenly through a lung."""
    low, high = np.asarray([2, 2, -105], np.float32), np.asarray([150, 290, 95], np.float32)
    points = (low + rng.random((count * 4, 3), dtype=np.float32) * (high - low)) * np.asarray(
        [side.sign, 1, 1], np.float32
    )
    kept = points[in_lung(points, anatomy, side)]
    # Blood falls: more and wider vessels below.
    kept = kept[rng.random(len(kept)) < np.clip(0.45 + kept[:, 1] / 260, 0, 1)]
    # A lung that disease has made very small is filled by using its points again.
    return np.resize(kept if len(kept) else points[:1], (count, 3))


def trees(
    anatomy: Anatomy, targets: dict[Side, F32], rng: np.random.Generator, *, root: float, step: float
) -> dict[Side, Cloud]:
    """The arterial or venous trees of both lungs, with trunks of `root` mm radius.

    `targets` (2**n, 3) are points in each lung. They are halved across their longest direction again and again, and a
    branch runs towards each half's middle, so that the twigs fill the lung and none crosses the pleura. Radii follow
    a gentle Murray's law.
    """
    sides = tuple(targets)
    groups = np.stack([targets[side] for side in sides])
    levels = groups.shape[1].bit_length() - 1
    nodes = f32([HILUM[side] for side in sides]) + f32([anatomy.shift, 0, 0]) + f32(rng.normal(0, 2.5, (len(sides), 3)))
    ways = f32([(side.sign * 0.75, 0.35, -0.3) for side in sides])
    parts: list[tuple[F32, F32, F32, F32]] = []
    radius = root
    for level in range(levels):
        groups = _halve(groups)
        nodes, ways = np.repeat(nodes, 2, 0), np.repeat(ways, 2, 0)
        reach = _REACH[min(level, len(_REACH) - 1)] + rng.normal(0, 0.03, (len(nodes), 1))
        way = f32(reach * (groups.mean(axis=1) - nodes))
        stop = nodes + way
        length = np.sqrt((way * way).sum(axis=1, keepdims=True))
        bend = nodes + 0.45 * way + length * (0.12 * ways + 0.04 * f32(rng.standard_normal(stop.shape)))
        child = radius * 0.5 ** (1 / 3.6)
        thick = np.stack([np.full(len(nodes), radius * 0.9), child * rng.uniform(0.8, 1.2, len(nodes))], axis=1)
        parts.append((nodes, bend, stop, f32(thick)))
        last = stop - bend
        ways = last / (np.sqrt((last * last).sum(axis=1, keepdims=True)) + np.float32(1e-3))
        nodes, radius = stop, child
    out = {}
    for number, side in enumerate(sides):
        # Branches of one lung stay together: halving keeps the order of the groups.
        mine = [tuple(v.reshape(len(sides), -1, v.shape[1])[number] for v in part) for part in parts]
        a, b, c, r = (np.concatenate([part[i] for part in mine]) for i in range(4))
        out[side] = _curves(a, b, c, r, step)
    return out


def central(anatomy: Anatomy, side: Side, step: float, *, wide: float = 1.0) -> Cloud:
    """The pulmonary artery of one side from the trunk through the hilum to its descending branch."""
    s, d = side.sign, anatomy.shift
    if side is Side.RIGHT:
        main = [
            (2 + d, 100, -4),
            (-24 + d, 104, -12),
            (-42 + d, 112, -20),
            (-47 + d, 134, -26),
            (-50 + 0.5 * d, 160, -34),
        ]
    else:
        main = [(22 + d, 90, 2), (34 + d, 86, -16), (44 + d, 94, -32), (52 + d, 116, -40), (60 + 0.5 * d, 136, -46)]
    upper = [(s * 36 + d, 100, -18), (s * 46 + d, 84, -20), (s * 54 + d, 66, -22)]
    thick = wide * np.interp(np.linspace(0, 1, 24), [0, 0.5, 1], [10.0, 8.0, 4.2]).astype(np.float32)
    return join(
        [
            tube(smooth_path([tuple(map(float, k)) for k in main], 24), radius=thick, step=step, core=0.74, wall=0.74),
            tube(
                smooth_path([tuple(map(float, k)) for k in upper], 12),
                radius=wide * np.linspace(5, 3.2, 12),
                step=step,
                core=0.74,
                wall=0.74,
            ),
        ]
    )


def airways(anatomy: Anatomy, step: float) -> Cloud:
    """Trachea and main bronchi: air where there is soft tissue."""
    d = anatomy.shift
    trachea = smooth_path([(0, -110, -14), (0, -50, -17), (-1 + 0.4 * d, 20, -26), (d, 74, -36)], 30)
    right = smooth_path([(d, 72, -36), (-16 + d, 90, -36), (-34 + d, 108, -36)], 12)
    left = smooth_path([(d, 72, -36), (22 + d, 94, -38), (42 + d, 110, -40)], 14)
    width = np.clip(np.linspace(0.2, 2.2, 30), 0, 1)
    return join(
        [
            tube(trachea, radius=7.0 * width, flat=8.2 * width, step=step, core=-0.75, wall=-0.75),
            tube(right, radius=np.linspace(7.4, 5.6, 12), step=step, core=-0.8, wall=-0.8),
            tube(left, radius=np.linspace(6.6, 5.0, 14), step=step, core=-0.8, wall=-0.8),
        ]
    )


def _halve(groups: F32) -> F32:
    """(G, N, 3) -> (2G, N/2, 3), each group cut across its longest direction."""
    axis = groups.var(axis=1).argmax(axis=1)
    key = np.take_along_axis(groups, axis[:, None, None], axis=2)[:, :, 0]
    order = np.argsort(key, axis=1)
    ordered = np.take_along_axis(groups, order[:, :, None], axis=1)
    half = groups.shape[1] // 2
    return np.concatenate([ordered[:, None, :half], ordered[:, None, half:]], axis=1).reshape(-1, half, 3)


def _curves(a: F32, b: F32, c: F32, radius: F32, step: float) -> Cloud:
    """Mass points along quadratic curves a-b-c, (N, 3) each, with radius (N, 2) at both ends."""
    length = np.linalg.norm(b - a, axis=1) + np.linalg.norm(c - b, axis=1)
    mean = radius.mean(axis=1)
    count = np.maximum(np.pi * mean**2 * length / (1.5 * step) ** 3, length / step).astype(int) + 1
    which = np.repeat(np.arange(len(a)), count)
    serial = np.arange(len(which)) - np.repeat(np.cumsum(count) - count, count)
    t = ((serial + 0.5) / count[which]).astype(np.float32)
    r = radius[which, 0] + t * (radius[which, 1] - radius[which, 0])
    # The curve as a polynomial in t, gathered once: a + t (2 (b - a) + t (a - 2 b + c)).
    curve = np.concatenate([a, 2 * (b - a), a - 2 * b + c], axis=1).T[:, which]
    points = curve[6:] * t
    points += curve[3:6]
    points *= t
    points += curve[:3]
    points += r * _ball()[:, serial % _ball().shape[1]]
    mass = np.pi * r**2 * (length[which] / count[which]) * 0.74
    return Cloud(f32(points), f32(mass))


@lru_cache(maxsize=1)
def _ball() -> F32:
    """(3, 4096) points strewn through the unit ball."""
    rng = np.random.default_rng(2)
    points = rng.standard_normal((3, 4096), dtype=np.float32)
    return f32(points * rng.random(4096, dtype=np.float32) ** (1 / 3) / np.linalg.norm(points, axis=0))
