"""Thin and detailed things (bones, vessels, tubes) as clouds of mass points, summed into the pixels they project to.

Summing the mass of a solid over the pixels is the line integral through it, with the perspective, the foreshortening
and the overlaps of a real projection: a vessel seen end-on becomes a dense dot, a rib that turns away a bright edge.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from indexer.phantom.camera import F32, Camera, f32

# Beyond the soft tissue that bone replaces, in water's attenuation at about 70 keV.
CORTEX, MARROW = 2.2, 0.48
_PIECE = 1 << 14
_GOLDEN = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Cloud:
    """`points` (3, N) mm and `mass` (N,): mm^3 of water that the point attenuates like, beyond what it replaces."""

    points: F32
    mass: F32


def join(clouds: Iterable[Cloud]) -> Cloud:
    parts = list(clouds)
    if not parts:
        return Cloud(np.zeros((3, 0), np.float32), np.zeros(0, np.float32))
    return Cloud(np.concatenate([c.points for c in parts], axis=1), np.concatenate([c.mass for c in parts]))


def splat(clouds: Sequence[Cloud], camera: Camera) -> F32:
    """(rows, columns) mm of water along each ray."""
    ends = np.cumsum([0, *(cloud.mass.size for cloud in clouds)])
    cells, mass = np.empty(ends[-1], np.intp), np.empty(ends[-1], np.float64)
    # A piece at a time, so that what lies between is still in the processor's cache.
    for cloud, start in zip(clouds, ends, strict=False):
        for first in range(0, cloud.mass.size, _PIECE):
            column, row, _ = camera.project(cloud.points[:, first : first + _PIECE])
            inside = (column >= 0) & (row >= 0) & (column < camera.columns) & (row < camera.rows)
            there = slice(start + first, start + first + column.size)
            cell = row.astype(np.int32) * camera.columns + column.astype(np.int32)
            np.multiply(cell, inside, out=cells[there])
            np.multiply(cloud.mass[first : first + _PIECE], inside, out=mass[there])
    total = np.bincount(cells, weights=mass, minlength=camera.rows * camera.columns)
    image = (total / camera.pixel**2).reshape(camera.rows, camera.columns).astype(np.float32)
    return _softened(image)


def evenly(count: int) -> F32:
    """(count, 3) in the unit cube, more even than chance (a Kronecker sequence on the plastic number)."""
    steps = np.array([0.8191725134, 0.6710436067, 0.5497004779])
    return f32(np.mod((np.arange(count)[:, None] + 0.5) * steps, 1.0))


def _softened(image: F32) -> F32:
    """Quarter, half, quarter down and across: the finest grain of the sampling goes, as in any detector."""
    down = image.copy()
    down[1:-1] = 0.5 * image[1:-1] + 0.25 * (image[:-2] + image[2:])
    out = down.copy()
    out[:, 1:-1] = 0.5 * down[:, 1:-1] + 0.25 * (down[:, :-2] + down[:, 2:])
    return out


def tube(path: F32, *, radius: F32 | float, step: float, flat: F32 | float | None = None, across: F32 | None = None,
         core: float = 1.0, wall: float = 1.0, wall_from: float = 0.8) -> Cloud:  # fmt: skip
    """One tube: see `tubes`."""
    path = np.asarray(path, np.float32)
    if across is None:
        across = np.cross(np.gradient(path, axis=0), f32([0.21, 0.35, 0.91]))
    flat = radius if flat is None else flat
    one, two = (np.broadcast_to(np.asarray(r, np.float32), path.shape[:1])[None] for r in (radius, flat))
    return tubes(
        path[None], radius=one, flat=two, across=across[None], step=step, core=core, wall=wall, wall_from=wall_from
    )


def tubes(
    paths: F32, *, radius: F32, flat: F32, across: F32, step: float, core: float, wall: float, wall_from: float = 0.8
) -> Cloud:
    """Tubes along `paths` (T, K, 3), sampled about every `step` mm.

    `radius` (T, K) is the half-thickness in the direction `across` (T, K, 3), `flat` (T, K) that in the third one.
    Density, relative to water, is `core` inside and `wall` beyond the fraction `wall_from` of the radius.
    """
    number, knots, _ = paths.shape
    lengths = np.linalg.norm(np.diff(paths, axis=1), axis=2)
    at = np.concatenate([np.zeros((number, 1), np.float32), np.cumsum(lengths, axis=1)], axis=1)
    mean = float(np.sqrt(radius.mean() * flat.mean()))
    apart = max(step, min(mean / 4, 3 * step))
    count = max(2, int(at[:, -1].mean() / apart) + 1)
    # About as many points fall on each pixel whatever its size.
    dots = int(np.clip(np.pi * mean**2 * apart / (2.3 * step**2), 3, 640))
    # Where each sample lies among the knots: s grows evenly along each tube.
    share = (np.arange(count, dtype=np.float32) + 0.5) / count
    knot = np.stack([np.interp(share * length[-1], length, np.arange(knots)) for length in at])
    low = np.minimum(knot.astype(np.int64), knots - 2)
    rest = (knot - low).astype(np.float32)

    def along(values: F32) -> F32:
        flat_values = values.reshape(number * knots, -1)
        index = low + np.arange(number)[:, None] * knots
        out = flat_values[index] + rest[..., None] * (flat_values[index + 1] - flat_values[index])
        return np.asarray(out, np.float32)

    middle, first = along(paths), along(across)
    ra, rb = along(radius)[..., 0], along(flat)[..., 0]
    tangent = np.empty_like(middle)
    tangent[:, 1:-1] = middle[:, 2:] - middle[:, :-2]
    tangent[:, 0], tangent[:, -1] = middle[:, 1] - middle[:, 0], middle[:, -1] - middle[:, -2]
    tangent /= np.linalg.norm(tangent, axis=2, keepdims=True) + np.float32(1e-6)
    first = first - (first * tangent).sum(axis=2, keepdims=True) * tangent
    first /= np.linalg.norm(first, axis=2, keepdims=True) + np.float32(1e-6)
    second = cross(tangent, first)
    # Every cross-section is a sunflower, turned and slid a little against its neighbours so that no pattern shows.
    rng = np.random.default_rng([number, count, dots])
    index = np.arange(dots)
    rho = np.sqrt((index + 0.5) / dots).astype(np.float32)
    angle = (index * _GOLDEN)[None, :] + rng.random((count, 1), dtype=np.float32) * np.float32(2 * np.pi)
    slide = (rng.random((count, dots), dtype=np.float32) - np.float32(0.5)) * np.float32(at[:, -1].mean() / count)
    one = ra[..., None] * (rho * np.cos(angle)).astype(np.float32)
    two = rb[..., None] * (rho * np.sin(angle)).astype(np.float32)
    points = np.empty((3, number, count, dots), np.float32)
    for axis in range(3):
        np.multiply(one, first[..., axis, None], out=points[axis])
        points[axis] += two * second[..., axis, None]
        points[axis] += slide * tangent[..., axis, None]
        points[axis] += middle[..., axis, None]
    volume = np.pi * ra * rb * (at[:, -1:] / count) / dots
    mass = volume[..., None] * np.where(rho > wall_from, wall, core).astype(np.float32)
    return Cloud(points.reshape(3, -1), mass.reshape(-1).astype(np.float32))


def smooth_path(knots: object, count: int = 48) -> F32:
    """(count, 3) points on a Catmull-Rom curve through the knots (K, 3)."""
    k = np.asarray(knots, float)
    k = np.concatenate([2 * k[:1] - k[1:2], k, 2 * k[-1:] - k[-2:-1]])
    t = np.linspace(0, len(k) - 3 - 1e-6, count)
    i = t.astype(int)
    f = (t - i)[:, None]
    p0, p1, p2, p3 = k[i], k[i + 1], k[i + 2], k[i + 3]
    curve = p1 + 0.5 * f * (p2 - p0 + f * (2 * p0 - 5 * p1 + 4 * p2 - p3 + f * (3 * (p1 - p2) + p3 - p0)))
    return f32(curve)


def cross(a: F32, b: F32) -> F32:
    """Cross product along the last axis; numpy's own is several times slower."""
    out = np.empty_like(a)
    for i, j, k in ((0, 1, 2), (1, 2, 0), (2, 0, 1)):
        out[..., i] = a[..., j] * b[..., k] - a[..., k] * b[..., j]
    return out
