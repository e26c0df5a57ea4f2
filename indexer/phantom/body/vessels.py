"""Grow the pulmonary vessels: trees that fill the lungs, tapering from the hilum to the pleura."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from filmroom.indexer.phantom.body.anatomy import LUNGS, Anatomy
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.solids import Column, Ellipsoid, squared_radii
from filmroom.indexer.phantom.rendering.splat import Cloud, Copies, smooth_path, tube
from filmroom.indexer.phantom.spec import Side
from numpy.typing import NDArray

# How far towards its half's middle a branch runs, by level: many leave close to the hilum and fan out.
_REACH = (0.16, 0.20, 0.30, 0.42, 0.52, 0.58, 0.62, 0.66, 0.7)
# How often veins divide.
_VEINS = 9
HILUM = {Side.RIGHT: (-38.0, 104.0, -22.0), Side.LEFT: (37.0, 96.0, -24.0)}


def in_lung(points: F32, anatomy: Anatomy, side: Side, *, margin: float = 0.97) -> NDArray[np.bool_]:
    """Return (N,) which body points lie in the air of a lung."""
    inside, places = np.arange(len(points)), np.ascontiguousarray(points.T)
    for outer in (anatomy.half[side], anatomy.chest):
        inside = inside[outer.radius(places.take(inside, axis=1)) < margin]
    for solid in anatomy.inner:
        if isinstance(solid, Column):
            inside = inside[solid.radius(places.take(inside, axis=1)) > 1.04]
    solids = [anatomy.dome[side], *(solid for solid in anatomy.inner if isinstance(solid, Ellipsoid))]
    out = np.zeros(len(points), bool)
    out[inside] = squared_radii(solids, places.take(inside, axis=1)).min(axis=0) > 1.04
    return out


def lung_points(anatomy: Anatomy, side: Side, rng: np.random.Generator, count: int = 2048) -> F32:
    """Return (count, 3) points strewn evenly through a lung."""
    points = rng.random((count * 4, 3), dtype=np.float32)
    for axis, (low, high) in enumerate(((2, 150), (2, 290), (-105, 95))):
        points[:, axis] *= high - low
        points[:, axis] += low
    points[:, 0] *= side.sign
    in_air = points[in_lung(points, anatomy, side)]
    # Blood falls: more and wider vessels below.
    in_air = in_air[rng.random(len(in_air)) < np.clip(0.45 + in_air[:, 1] / 260, 0, 1)]
    # A lung that disease has made very small is filled by using its points again.
    return np.resize(in_air if len(in_air) else points[:1], (count, 3))


def trees(anatomy: Anatomy, rng: np.random.Generator, *, wide: float, step: float) -> dict[Side, Cloud]:
    """Return the arteries and the veins of both lungs; `wide` is how much wider than usual they are.

    They lead to points in each lung, which are halved across their longest direction again and again, and a branch
    runs towards each half's middle, so that the twigs fill the lung and none crosses the pleura. Radii follow a gentle
    Murray's law.
    """
    ends = np.stack([lung_points(anatomy, side, rng, 3 << _VEINS).T for side in LUNGS], axis=1)
    roots = f32([HILUM[side] for side in LUNGS]).T + f32([[anatomy.shift], [0], [0]])
    first, veins = _Chances.draw(rng, _VEINS + 1), _Chances.draw(rng, _VEINS)
    ways = f32([(side.sign * 0.75, 0.35, -0.3) for side in LUNGS]).T
    # The arteries divide once more: after their first division both trees have equally many points to a branch.
    tips = _Tips(roots + first.root, ways, np.full(2, 4.5 * wide, np.float32), ends[..., : 2 << _VEINS])
    branches, tips = _divide(tips, first.levels[0], f32([_REACH[0]]))
    parts = [branches.reshape(11, 2, -1)]
    two = np.full(2, 3.9 * wide, np.float32)
    tips = tips.beside(_Tips(roots + veins.root, ways, two, ends[..., 2 << _VEINS :]))
    for level in range(_VEINS):
        chances = [
            np.concatenate(pair, axis=-1) for pair in zip(first.levels[level + 1], veins.levels[level], strict=True)
        ]
        arteries = 8 << level
        reach = np.repeat(f32([_REACH[min(n, len(_REACH) - 1)] for n in (level + 1, level)]), (arteries, arteries // 2))
        branches, tips = _divide(tips, chances, reach)
        parts += [part.reshape(11, 2, -1) for part in np.split(branches, [arteries], axis=1)]
    # Branches of one lung stay together: halving keeps the order of the groups.
    curves = np.concatenate(parts, axis=2)
    return {side: _curves(curves[:, number], step) for number, side in enumerate(LUNGS)}


@dataclass(frozen=True)
class _Chances:
    """What chance does to one tree of both lungs: where it begins (3, 2), and for each level of it how far the branches
    run, how they bend and how wide they are: (N,), (3, N) and (N,)."""

    root: F32
    levels: list[tuple[F32, F32, F32]]

    @classmethod
    def draw(cls, rng: np.random.Generator, levels: int) -> _Chances:
        root = f32(rng.normal(0, 2.5, (2, 3))).T
        out = []
        for count in (4 << level for level in range(levels)):
            far, bent = f32(rng.normal(0, 0.03, count)), f32(rng.standard_normal((count, 3))).T
            out.append((far, bent, f32(rng.uniform(0.8, 1.2, count))))
        return cls(root, out)


@dataclass(frozen=True)
class _Tips:
    """Where trees stand: places (3, G) and directions (3, G) of their tips, their radii (G,), and the points that each
    still has to reach (3, G, N)."""

    nodes: F32
    ways: F32
    radius: F32
    groups: F32

    def beside(self, other: _Tips) -> _Tips:
        pairs = ((getattr(self, name), getattr(other, name)) for name in ("nodes", "ways", "radius", "groups"))
        return _Tips(*(np.concatenate(pair, axis=min(pair[0].ndim - 1, 1)) for pair in pairs))


def _divide(tips: _Tips, chances: Sequence[F32], reach: F32) -> tuple[F32, _Tips]:
    """Return two branches from each tip: (11, 2G), their beginning, bend and end and both radii; and the tips then."""
    far, bent, width = chances
    groups = _halve(tips.groups)
    nodes, ways, radius = (np.repeat(v, 2, axis=-1) for v in (tips.nodes, tips.ways, tips.radius))
    way = (reach + far) * (groups.mean(axis=2) - nodes)
    stop = nodes + way
    bend = nodes + np.float32(0.45) * way + _length(way) * (np.float32(0.12) * ways + np.float32(0.04) * bent)
    child = radius * np.float32(0.5 ** (1 / 3.6))
    branches = np.concatenate([nodes, bend, stop, [np.float32(0.9) * radius, child * width]], axis=0)
    last = stop - bend
    return branches, _Tips(stop, last / (_length(last) + np.float32(1e-3)), child, groups)


def central(anatomy: Anatomy, side: Side, step: float, *, wide: float = 1.0) -> list[Copies]:
    """Return the pulmonary artery of one side from the trunk through the hilum to its descending branch."""
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
    return [
        tube(smooth_path([tuple(map(float, k)) for k in main], 24), radius=thick, step=step, core=0.74, wall=0.74),
        tube(
            smooth_path([tuple(map(float, k)) for k in upper], 12),
            radius=wide * np.linspace(5, 3.2, 12),
            step=step,
            core=0.74,
            wall=0.74,
        ),
    ]


def airways(anatomy: Anatomy, step: float) -> list[Copies]:
    """Return trachea and main bronchi: air where there is soft tissue."""
    d = anatomy.shift
    trachea = smooth_path([(0, -110, -14), (0, -50, -17), (-1 + 0.4 * d, 20, -26), (d, 74, -36)], 30)
    right = smooth_path([(d, 72, -36), (-16 + d, 90, -36), (-34 + d, 108, -36)], 12)
    left = smooth_path([(d, 72, -36), (22 + d, 94, -38), (42 + d, 110, -40)], 14)
    width = np.clip(np.linspace(0.2, 2.2, 30), 0, 1)
    return [
        tube(trachea, radius=7.0 * width, flat=8.2 * width, step=step, core=-0.75, wall=-0.75),
        tube(right, radius=np.linspace(7.4, 5.6, 12), step=step, core=-0.8, wall=-0.8),
        tube(left, radius=np.linspace(6.6, 5.0, 14), step=step, core=-0.8, wall=-0.8),
    ]


def _halve(groups: F32) -> F32:
    """Turn (3, G, N) into (3, 2G, N/2), each group cut across its longest direction."""
    _, count, size = groups.shape
    off = groups - groups.mean(axis=2, keepdims=True)
    axis = np.einsum("cgn,cgn->cg", off, off).argmax(axis=0)
    order = np.argsort(groups[axis, np.arange(count)], axis=1)
    order += np.arange(0, count * size, size)[:, None]
    return groups.reshape(3, -1).take(order.ravel(), axis=1).reshape(3, 2 * count, size // 2)


def _length(vectors: F32) -> F32:
    """Return (N,) of (3, N)."""
    return f32(np.sqrt(np.einsum("cn,cn->n", vectors, vectors)))


def _curves(branches: F32, step: float) -> Cloud:
    """Return mass points along the quadratic curves through the beginnings, bends and ends of branches (11, N)."""
    a, b, c, (begin, end) = branches[:3], branches[3:6], branches[6:9], branches[9:]
    length = _length(b - a) + _length(c - b)
    mean = 0.5 * (begin + end)
    count = np.maximum(np.pi * mean**2 * length / (1.5 * step) ** 3, length / step).astype(int) + 1
    last = np.cumsum(count)
    # The curve as a polynomial in t, gathered once: a + t (2 (b - a) + t (a - 2 b + c)).
    rows = (
        *a,
        *(2 * (b - a)),
        *(a - 2 * b + c),
        begin,
        end - begin,
        np.pi * 0.74 * length / count,
        1 / count,
        last - count,
    )
    curve = f32(rows).repeat(count, axis=1)
    serial = np.arange(last[-1]) - curve[13].astype(int)
    t = (serial.astype(np.float32) + np.float32(0.5)) * curve[12]
    r = curve[9] + t * curve[10]
    points = curve[6:9] * t
    points += curve[3:6]
    points *= t
    points += curve[:3]
    points += r * _ball().take(serial % _ball().shape[1], axis=1)
    return Cloud(points, r * r * curve[11])


@lru_cache(maxsize=1)
def _ball() -> F32:
    """Return (3, 4096) points strewn through the unit ball."""
    rng = np.random.default_rng(2)
    points = rng.standard_normal((3, 4096), dtype=np.float32)
    return f32(points * rng.random(4096, dtype=np.float32) ** (1 / 3) / np.linalg.norm(points, axis=0))
