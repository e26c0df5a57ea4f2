"""Sum thin and detailed things (bones, vessels, tubes), clouds of mass points, into the pixels they project to.

Summing the mass of a solid over the pixels is the line integral through it, with the perspective, the foreshortening
and the overlaps of a real projection: a vessel seen end-on becomes a dense dot, a rib that turns away a bright edge.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from filmroom.indexer.phantom.rendering.camera import F32, Camera, f32
from filmroom.indexer.phantom.rendering.solids import cross
from numpy.typing import NDArray

# Beyond the soft tissue that bone replaces, in water's attenuation at about 70 keV.
CORTEX, MARROW = 2.2, 0.48
_PIECE = 1 << 15
_GOLDEN = np.pi * (3 - np.sqrt(5))


@dataclass(frozen=True)
class Cloud:
    """`points` (3, N) mm and `mass` (N,): mm^3 of water that the point attenuates like, beyond what it replaces."""

    points: F32
    mass: F32

    def cast(self, camera: Camera) -> Shadow:
        return Shadow(*camera.project(self.points), self.mass)


@dataclass(frozen=True)
class Copies:
    """The same few dots set down many times: copy m has its dot d at `frames[:, :, m] @ dots[:, d]` mm. `frames`
    (3, 4, M), `dots` (4, D) with a last row of ones, `mass` (M, D) as in a cloud."""

    frames: F32
    dots: F32
    mass: F32

    def points(self) -> F32:
        """Return (3, M * D) mm."""
        return (self.frames.transpose(0, 2, 1).reshape(-1, 4) @ self.dots).reshape(3, -1)

    def cast(self, camera: Camera) -> Shadow:
        film = camera.project_frames(self.frames)
        # What cannot reach the film is dropped before its dots are made: most of an arm lies beside it.
        reach = np.abs(film[:2, :, :3]) @ np.abs(self.dots[:3]).max(axis=1)
        ends = f32([[camera.columns], [camera.rows]])
        near = ((film[:2, :, 3] > -reach) & (film[:2, :, 3] < ends + reach)).all(axis=0)
        column, row, depth = film[:, near]
        return Shadow(column @ self.dots, row @ self.dots, depth[:, 3:], self.mass[near])


Matter = Cloud | Copies


@dataclass(frozen=True)
class Shadow:
    """Mass points on their way to the film: pixel columns and rows, depths in mm (of copies: of their origins), and
    `mass` as in a cloud; arrays of one shape, or that broadcast to it."""

    column: F32
    row: F32
    depth: F32
    mass: F32


def splat(shadows: Sequence[Shadow], camera: Camera) -> F32:
    """Return (rows, columns) mm of water along each ray."""
    # A frame one pixel wide takes what misses the film.
    rows, columns = camera.rows + 2, camera.columns + 2
    total = np.zeros(rows * columns, np.float32)
    for shadow in shadows:
        column, row, mass = shadow.column.ravel(), shadow.row.ravel(), shadow.mass.ravel()
        # A piece at a time, so that what lies between is still in the processor's cache.
        for first in range(0, mass.size, _PIECE):
            piece = slice(first, first + _PIECE)
            cell = _within(row[piece], rows) * np.int32(columns)
            cell += _within(column[piece], columns)
            np.add.at(total, cell, mass[piece])
    return _softened(total.reshape(rows, columns)[1:-1, 1:-1] / np.float32(camera.pixel**2))


def _within(place: F32, count: int) -> NDArray[np.int32]:
    return np.minimum(np.maximum(place, -1) + np.float32(1), count - 1).astype(np.int32)


def evenly(count: int) -> F32:
    """Return (count, 3) in the unit cube, more even than chance (a Kronecker sequence on the plastic number)."""
    steps = np.array([0.8191725134, 0.6710436067, 0.5497004779])
    return f32(np.mod((np.arange(count)[:, None] + 0.5) * steps, 1.0))


def _softened(image: F32) -> F32:
    """Return quarter, half, quarter down and across: the finest grain of the sampling goes, as in any detector."""
    down = image.copy()
    down[1:-1] = 0.5 * image[1:-1] + 0.25 * (image[:-2] + image[2:])
    out = down.copy()
    out[:, 1:-1] = 0.5 * down[:, 1:-1] + 0.25 * (down[:, :-2] + down[:, 2:])
    return out


def tube(path: F32, *, radius: F32 | float, step: float, flat: F32 | float | None = None, across: F32 | None = None,
         core: float = 1.0, wall: float = 1.0, wall_from: float = 0.8) -> Copies:  # fmt: skip
    """Return one tube: see `tubes`."""
    path = f32(path)
    if across is None:
        across = cross(_slopes(path.T), f32([[0.21], [0.35], [0.91]])).T
    flat = radius if flat is None else flat
    radii, flat_radii = (np.broadcast_to(f32(r), path.shape[:1])[None] for r in (radius, flat))
    return tubes(
        path[None],
        radius=radii,
        flat=flat_radii,
        across=across[None],
        step=step,
        core=core,
        wall=wall,
        wall_from=wall_from,
    )


def tubes(
    paths: F32, *, radius: F32, flat: F32, across: F32, step: float, core: float, wall: float, wall_from: float = 0.8
) -> Copies:
    """Return tubes along `paths` (T, K, 3), sampled about every `step` mm.

    `radius` (T, K) is the half-thickness in the direction `across` (T, K, 3), `flat` (T, K) that in the third one.
    Density, relative to water, is `core` inside and `wall` beyond the fraction `wall_from` of the radius.
    """
    number, knots, _ = paths.shape
    way = paths[:, 1:] - paths[:, :-1]
    at = np.zeros((number, knots), np.float32)
    np.cumsum(np.sqrt((way * way).sum(axis=2)), axis=1, out=at[:, 1:])
    long = at[:, -1]
    mean = float(np.sqrt(radius.mean() * flat.mean()))
    apart = max(step, min(mean / 4, 3 * step))
    count = max(2, int(long.mean() / apart) + 1)
    # About as many points fall on each pixel whatever its size.
    dots = int(np.clip(np.pi * mean**2 * apart / (2.3 * step**2), 3, 640))
    # Where each section lies among the knots: they stand evenly along each tube.
    share = (np.arange(count, dtype=np.float32) + 0.5) / count
    knot = np.stack([np.interp(share * length[-1], length, np.arange(knots)) for length in at])
    low = np.minimum(knot.astype(np.intp), knots - 2)
    rest = (knot - low).astype(np.float32)[..., None]
    low += np.arange(number)[:, None] * knots
    table = np.concatenate([paths, across, radius[..., None], flat[..., None]], axis=2, dtype=np.float32)
    table = table.reshape(number * knots, 8)
    below = table.take(low, axis=0)
    samples = np.ascontiguousarray((below + rest * (table.take(low + 1, axis=0) - below)).transpose(2, 0, 1))
    middle, first, ra, rb = samples[:3], samples[3:6], samples[6], samples[7]
    tangent = _unit(_slopes(middle))
    first = _unit(first - (first * tangent).sum(axis=0) * tangent)
    second = cross(tangent, first)
    # Every section is a sunflower, turned against its neighbours so that no pattern shows.
    cos, sin = _turns(number * count).reshape(2, number, count)
    first_axis, second_axis = ra * first, rb * second
    frames = np.empty((3, 4, number, count), np.float32)
    frames[:, 0] = cos * first_axis + sin * second_axis
    frames[:, 1] = cos * second_axis - sin * first_axis
    frames[:, 2] = tangent * (long / count)[:, None]
    frames[:, 3] = middle
    sunflower, rho = _sunflower(dots)
    mass = np.float32(np.pi / count / dots) * ra * rb * long[:, None]
    mass = np.multiply.outer(mass.ravel(), f32(np.where(rho > wall_from, wall, core)))
    return Copies(frames.reshape(3, 4, -1), sunflower, mass)


@lru_cache(maxsize=256)
def _sunflower(count: int) -> tuple[F32, F32]:
    """Return dots strewn evenly over the unit disc and half a unit up and down: (4, count), the last row ones; their
    radii."""
    index = np.arange(count)
    rho = np.sqrt((index + 0.5) / count)
    slide = np.random.default_rng([7, count]).permutation(count) / count
    dots = np.stack([rho * np.cos(index * _GOLDEN), rho * np.sin(index * _GOLDEN), slide - 0.5, np.ones(count)])
    return f32(dots), f32(rho)


@lru_cache(maxsize=1)
def _angles() -> F32:
    angle = np.random.default_rng(5).random(1 << 13) * 2 * np.pi
    return f32([np.cos(angle), np.sin(angle)])


def _turns(count: int) -> F32:
    """Return (2, count) cosines and sines of random angles, always the same ones."""
    return _angles().take(np.arange(count), axis=1, mode="wrap")


def _slopes(values: F32) -> F32:
    """Return differences between the neighbours on both sides, along the last axis; at the ends, on one."""
    out = np.empty_like(values)
    out[..., 1:-1] = values[..., 2:] - values[..., :-2]
    out[..., 0], out[..., -1] = values[..., 1] - values[..., 0], values[..., -1] - values[..., -2]
    return out


def _unit(vectors: F32) -> F32:
    return f32(vectors / (np.sqrt((vectors * vectors).sum(axis=0)) + np.float32(1e-6)))


def smooth_path(knots: object, count: int = 48) -> F32:
    """Return (count, 3) points on a Catmull-Rom curve through the knots (K, 3)."""
    k = np.asarray(knots, float)
    k = np.concatenate([2 * k[:1] - k[1:2], k, 2 * k[-1:] - k[-2:-1]])
    return f32(_blend(len(k), count) @ k)


@lru_cache(maxsize=64)
def _blend(knots: int, count: int) -> F32:
    """Return (count, knots): the share of every knot, the two beyond the ends included, in every point of the curve."""
    t = np.linspace(0, knots - 3 - 1e-6, count)
    i = t.astype(int)
    f = t - i
    out = np.zeros((count, knots))
    for order, share in enumerate(catmull_rom(f)):
        out[np.arange(count), i + order] = share
    return out


def catmull_rom(f: F32) -> tuple[F32, F32, F32, F32]:
    """Return the shares of four neighbours in what lies at `f`, 0..1, between the two in the middle."""
    return (
        0.5 * f * (-1 + f * (2 - f)),
        1 + 0.5 * f * f * (3 * f - 5),
        0.5 * f * (1 + f * (4 - 3 * f)),
        0.5 * f * f * (f - 1),
    )
