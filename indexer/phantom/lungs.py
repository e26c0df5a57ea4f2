"""The air of one lung, sampled in slabs along the rays, so that disease can be painted into it in three dimensions."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from indexer.phantom.anatomy import LUNGS, Anatomy
from indexer.phantom.camera import F32, Camera, f32
from indexer.phantom.solids import Span
from indexer.phantom.spec import Side

SLAB_MM = 11.0


@dataclass(frozen=True)
class Lung:
    """Voxels of the film's grid within `rows` and `columns`, in slabs of `thick` mm from
    the depth `near` on.

    `air` (D, h, w): share of the voxel that lies in the pleural cavity, 0..1. `density` (D, h, w): attenuation of
    what is there, relative to water. x, y, z: body coordinates of the voxels, (D, 1, w), (1, h, 1) and (D, 1, w).
    """

    side: Side
    rows: slice
    columns: slice
    near: float
    thick: float
    air: F32
    density: F32
    x: F32
    y: F32
    z: F32

    def points(self) -> tuple[F32, F32, F32]:
        """x, y, z, each (D, h, w)."""
        shape = self.air.shape
        return np.broadcast_to(self.x, shape), np.broadcast_to(self.y, shape), np.broadcast_to(self.z, shape)

    def with_density(self, density: F32) -> Lung:
        return replace(self, density=density)

    def removed(self) -> F32:
        """(h, w) mm of water that a ray meets less than in a solid body."""
        return f32(np.einsum("dhw,dhw->hw", self.air, 1 - self.density) * self.thick)


def lungs(anatomy: Anatomy, camera: Camera, *, density: float) -> dict[Side, Lung]:
    """Both healthy lungs on the film's grid; `density` is about 0.25 in deep inspiration."""
    chest = anatomy.chest.span(camera)
    inner = [solid.span(camera) for solid in anatomy.inner]
    return {side: _lung(anatomy, side, chest, inner, camera, density) for side in LUNGS}


def _lung(
    anatomy: Anatomy, side: Side, chest: Span, inner: Sequence[Span | None], camera: Camera, density: float
) -> Lung:
    half = anatomy.half[side].span(camera)
    enter, leave = np.maximum(chest.enter, half.enter), np.minimum(chest.leave, half.leave)
    # The chest and the lung's half are magnified by their own depths: where one is missing there is no lung.
    there = (leave > enter) & (chest.length > 0) & (half.length > 0)
    rows, columns = _box(there)
    enter, leave, there = enter[rows, columns], leave[rows, columns], there[rows, columns]
    enter, leave = np.where(there, enter, 0), np.where(there, leave, 0)
    near, far = float(enter.min()), float(leave.max())
    slabs = max(4, int(np.ceil((far - near) / SLAB_MM)))
    edges = np.linspace(near, far, slabs + 1, dtype=np.float32)
    thick = float(edges[1] - edges[0])
    air = _share(enter, leave, edges[:-1], thick)
    for span in (anatomy.dome[side].span(camera), *inner):
        _carve(air, span, rows, columns, edges)
    x, y, z = _grid(camera, rows, columns, (edges[:-1] + edges[1:]) / 2)
    return Lung(side, rows, columns, near, thick, air, np.full(air.shape, density, np.float32), x, y, z)


def _carve(air: F32, span: Span | None, rows: slice, columns: slice, edges: F32) -> None:
    """Take a solid out of the air, looking only at the rows, columns and slabs that it reaches."""
    if span is None:
        return
    inside = span.leave > span.enter
    down, over = _box(inside)
    top, left = span.rows.start + down.start, span.columns.start + over.start
    r0, r1 = max(rows.start, top), min(rows.stop, top + down.stop - down.start)
    c0, c1 = max(columns.start, left), min(columns.stop, left + over.stop - over.start)
    if r0 >= r1 or c0 >= c1:
        return
    here = (slice(r0 - span.rows.start, r1 - span.rows.start), slice(c0 - span.columns.start, c1 - span.columns.start))
    enter, leave = span.enter[here], span.leave[here]
    met = inside[here]
    if not met.any():
        return
    d0 = max(0, int(np.searchsorted(edges, enter[met].min())) - 1)
    d1 = min(len(edges) - 1, int(np.searchsorted(edges, leave[met].max())) + 1)
    if d0 >= d1:
        return
    part = (slice(d0, d1), slice(r0 - rows.start, r1 - rows.start), slice(c0 - columns.start, c1 - columns.start))
    share = _share(enter, leave, edges[d0:d1], float(edges[1] - edges[0]))
    air[part] *= np.subtract(1, share, out=share)


def _share(enter: F32, leave: F32, near: F32, thick: float) -> F32:
    """(D, h, w) share of each slab within [enter, leave]."""
    floor = near[:, None, None]
    scale = np.float32(1 / thick)
    out = (leave - floor) * scale
    np.clip(out, 0, 1, out=out)
    begin = (enter - floor) * scale
    np.clip(begin, 0, 1, out=begin)
    out -= begin
    return np.maximum(out, 0, out=out)


def _box(there: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(there.any(axis=1)), np.flatnonzero(there.any(axis=0))
    if not len(rows):
        return slice(0, 1), slice(0, 1)
    return slice(int(rows[0]), int(rows[-1]) + 1), slice(int(columns[0]), int(columns[-1]) + 1)


def _grid(camera: Camera, rows: slice, columns: slice, depth: F32) -> tuple[F32, F32, F32]:
    scale = camera.magnification(depth)[:, None]
    u = camera.u[columns][None, :] / scale
    back = np.linalg.inv(camera.rotation)
    w = depth[:, None]
    x = (back[0, 0] * u + back[0, 2] * w)[:, None, :]
    z = (back[2, 0] * u + back[2, 2] * w)[:, None, :]
    y = camera.y[rows][None, :, None]
    return x.astype(np.float32), y.astype(np.float32), z.astype(np.float32)
