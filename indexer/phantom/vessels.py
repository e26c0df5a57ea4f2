"""The pulmonary vessels: trees that fill the lungs, tapering from the hilum to the pleura."""

from __future__ import annotations

import numpy as np

from indexer.phantom.anatomy import Anatomy
from indexer.phantom.camera import F32
from indexer.phantom.solids import Column, Ellipsoid
from indexer.phantom.spec import Side
from indexer.phantom.splat import Cloud, cross, join, smooth_path, tube

HILUM = {Side.RIGHT: (-38.0, 104.0, -22.0), Side.LEFT: (37.0, 96.0, -24.0)}


def in_lung(points: F32, anatomy: Anatomy, side: Side, *, margin: float = 0.97) -> np.ndarray:
    """(N,) bool: which body points lie in the air of a lung."""
    inside = (anatomy.chest.radius(points) < margin) & (anatomy.half[side].radius(points) < margin)
    for solid in (anatomy.dome[side], *anatomy.inner):
        inside &= _value(solid, points) > 1.02
    return np.asarray(inside)


def _value(solid: Column | Ellipsoid, points: F32) -> F32:
    """(N,) below 1 inside a solid."""
    if isinstance(solid, Column):
        return solid.radius(points)
    offset = points - np.float32(solid.centre)
    if solid.standing:
        offset[:, 1] = np.minimum(offset[:, 1], 0)
    return np.asarray(np.linalg.norm(offset @ np.linalg.inv(solid.axes), axis=1), np.float32)


def tree(anatomy: Anatomy, side: Side, rng: np.random.Generator, *, levels: int, root: float, step: float) -> Cloud:
    """One arterial or venous tree of a lung with 2**levels ends and a trunk of `root` mm radius.

    Points are drawn in the lung and halved along their longest direction again and again; a branch runs to each half's
    middle, so the twigs fill the lung and none crosses the pleura. Radii follow Murray's law.
    """
    ends = 2**levels
    targets = _lung_points(anatomy, side, ends, rng)
    trunk = np.float32(HILUM[side]) + rng.normal(0, 2.5, 3).astype(np.float32) + np.float32([anatomy.shift, 0, 0])
    nodes = trunk[None, :]
    ways = np.float32([[side.sign * 0.75, 0.35, -0.3]])
    groups = targets[None]
    starts, bends, stops, thick = [], [], [], []
    radius = root
    for level in range(levels):
        groups = _halve(groups)
        nodes, ways = np.repeat(nodes, 2, 0), np.repeat(ways, 2, 0)
        middle = groups.mean(axis=1)
        reach = 0.50 + 0.25 * level / levels + rng.normal(0, 0.04, (len(nodes), 1)).astype(np.float32)
        stop = nodes + reach * (middle - nodes)
        length = np.linalg.norm(stop - nodes, axis=1, keepdims=True)
        bend = nodes + 0.45 * (stop - nodes) + 0.12 * length * ways + 0.04 * length * rng.normal(0, 1, stop.shape)
        starts.append(nodes)
        bends.append(bend)
        stops.append(stop)
        child = radius * 0.5 ** (1 / 2.9)
        jitter = rng.uniform(0.8, 1.2, len(nodes))
        thick.append(np.stack([np.full(len(nodes), radius * 0.9), child * jitter], axis=1))
        ways = (stop - bend) / (np.linalg.norm(stop - bend, axis=1, keepdims=True) + 1e-3)
        nodes, radius = stop.astype(np.float32), child
    a, b, c = (np.concatenate(v).astype(np.float32) for v in (starts, bends, stops))
    return _curves(a, b, c, np.concatenate(thick).astype(np.float32), step)


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
        main = [(22 + d, 90, 2), (34 + d, 86, -16), (44 + d, 94, -32), (50 + d, 118, -40), (54 + 0.5 * d, 144, -46)]
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
    trachea = smooth_path([(0, -90, -14), (0, -50, -17), (-1 + 0.4 * d, 20, -26), (d, 74, -36)], 30)
    right = smooth_path([(d, 72, -36), (-16 + d, 90, -36), (-34 + d, 108, -36)], 12)
    left = smooth_path([(d, 72, -36), (22 + d, 94, -38), (42 + d, 110, -40)], 14)
    return join(
        [
            tube(trachea, radius=7.4, flat=8.4, step=step, core=-0.85, wall=-0.85),
            tube(right, radius=np.linspace(7.4, 5.6, 12), step=step, core=-0.8, wall=-0.8),
            tube(left, radius=np.linspace(6.6, 5.0, 14), step=step, core=-0.8, wall=-0.8),
        ]
    )


def _lung_points(anatomy: Anatomy, side: Side, count: int, rng: np.random.Generator) -> F32:
    low, high = np.float32([2, 2, -105]), np.float32([150, 290, 95])
    kept: list[F32] = []
    have = 0
    while have < count:
        points = (low + rng.random((count * 3, 3), dtype=np.float32) * (high - low)) * np.float32([side.sign, 1, 1])
        good = points[in_lung(points, anatomy, side)]
        kept.append(good)
        have += len(good)
        if not len(good):
            break
    return np.concatenate(kept)[:count] if have >= count else np.resize(np.concatenate(kept), (count, 3))


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
    turn = serial * 2.399963
    rho = np.sqrt(np.mod(serial * 0.7548777, 1.0)) * r
    t1 = t[:, None]
    points = (1 - t1) ** 2 * a[which] + 2 * t1 * (1 - t1) * b[which] + t1**2 * c[which]
    way = c - a
    first = cross(way, np.broadcast_to(np.float32([0.3, 0.4, 0.85]), way.shape))
    first /= np.linalg.norm(first, axis=1, keepdims=True) + 1e-6
    second = cross(way, first)
    second /= np.linalg.norm(second, axis=1, keepdims=True) + 1e-6
    points += (rho * np.cos(turn))[:, None] * first[which] + (rho * np.sin(turn))[:, None] * second[which]
    mass = np.pi * r**2 * (length[which] / count[which]) * 0.74
    return Cloud(points.astype(np.float32), mass.astype(np.float32))
