"""Find where each ray meets a lung's air, and how dense it is in slabs along the rays, so that disease can be painted
into it in three dimensions."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
from filmroom.indexer.phantom.body.anatomy import LUNGS, Anatomy
from filmroom.indexer.phantom.rendering.camera import F32, Camera, f32
from filmroom.indexer.phantom.rendering.solids import Column, Ellipsoid, Span, spans
from filmroom.indexer.phantom.spec import Side

SLAB_MM = 11.0
# More than stand one behind the other on any ray.
_STRETCHES = 4
_NOWHERE = np.float32(1e6)


@dataclass(frozen=True)
class Lung:
    """Voxels of the film's grid within `rows` and `columns`, in slabs of `thick` mm from
    the depth `near` on.

    `enter` and `leave` (1 + K, h, w): the depths between which a ray is in the pleural cavity, then the stretches in
    that which belong to the heart, the diaphragm or the spine. `density` (D, h, w): attenuation of what is in the
    cavity, relative to water. x, y, z: body coordinates of the voxels, (D, 1, w), (1, h, 1) and (D, 1, w).
    """

    side: Side
    rows: slice
    columns: slice
    near: float
    thick: float
    enter: F32
    leave: F32
    density: F32
    x: F32
    y: F32
    z: F32

    @property
    def even(self) -> bool:
        """Whether the lung is as dense everywhere, as a healthy one is."""
        return not any(self.density.strides)

    def with_density(self, density: F32) -> Lung:
        return replace(self, density=density)

    def removed(self) -> F32:
        """Return (h, w) mm of water that a ray meets less than in a solid body."""
        if self.even:
            cleared = (1 - self.density[0, 0, 0]) * (self.leave - self.enter)
            return f32(cleared[0] - cleared[1:].sum(axis=0))
        # How much less there is from `near` to the beginning of each slab, the cavity filling all.
        clear = (1 - self.density) * np.float32(self.thick)
        until = np.zeros_like(clear)
        for number, slab in enumerate(clear[:-1]):
            np.add(until[number], slab, out=until[number + 1])
        pixels = np.arange(clear[0].size).reshape(clear[0].shape)
        out = np.zeros(clear[0].shape, np.float32)
        for sign, ends in ((1, self.leave), (-1, self.enter)):
            for number, depth in enumerate(ends):
                place = (depth - np.float32(self.near)) / np.float32(self.thick)
                slab = np.minimum(np.maximum(place, 0), len(clear) - 1).astype(np.intp)
                within = slab * clear[0].size + pixels
                less = until.take(within) + (place - slab.astype(np.float32)) * clear.take(within)
                out += np.float32(sign if number == 0 else -sign) * less
        return out


def lungs(anatomy: Anatomy, camera: Camera, *, density: float) -> dict[Side, Lung]:
    """Return both healthy lungs on the film's grid; `density` is about 0.25 in deep inspiration."""
    chest = anatomy.chest.span(camera)
    round_ones = [solid for solid in anatomy.inner if isinstance(solid, Ellipsoid)]
    columns = [solid.span(camera, whole_film=False) for solid in anatomy.inner if isinstance(solid, Column)]
    inner = spans(round_ones, camera) + columns
    return {side: _lung(anatomy, side, chest, inner, camera, density) for side in LUNGS}


def _lung(anatomy: Anatomy, side: Side, chest: Span, inner: list[Span], camera: Camera, density: float) -> Lung:
    half = anatomy.half[side].span(camera, whole_film=False)
    over = half.columns
    enter, leave = np.maximum(chest.enter[:, over], half.enter), np.minimum(chest.leave[:, over], half.leave)
    # The chest and the lung's half are magnified by their own depths: where one is missing there is no lung.
    inside = (leave > enter) & (chest.length[:, over] > 0) & (half.length > 0)
    rows, columns = _box(inside)
    enter, leave, inside = enter[rows, columns], leave[rows, columns], inside[rows, columns]
    columns = slice(over.start + columns.start, over.start + columns.stop)
    enter, leave = np.where(inside, enter, 0), np.where(inside, leave, 0)
    near, far = float(enter.min()), float(leave.max())
    slabs = max(4, int(np.ceil((far - near) / SLAB_MM)))
    edges = np.linspace(near, far, slabs + 1, dtype=np.float32)
    solids = _merged([*spans([anatomy.dome[side]], camera), *inner], rows, columns)
    begins, ends = (np.minimum(np.maximum(depth, enter), leave) for depth in solids)
    np.maximum(begins, ends, out=ends)
    x, y, z = _grid(camera, rows, columns, (edges[:-1] + edges[1:]) / 2)
    return Lung(
        side, rows, columns, near, float(edges[1] - edges[0]), np.stack([enter, *begins]), np.stack([leave, *ends]),
        np.broadcast_to(np.float32(density), (slabs, *enter.shape)), x, y, z,
    )  # fmt: skip


def _merged(solids: Iterable[Span], rows: slice, columns: slice) -> tuple[F32, F32]:
    """Return depths where a ray enters and leaves what lies in its way, (K, h, w) each: solids that touch one another
    melt into one stretch, what stands apart is another. A stretch that is not there ends before it begins."""
    shape = (_STRETCHES, rows.stop - rows.start, columns.stop - columns.start)
    enter, leave = np.full(shape, _NOWHERE), np.full(shape, -_NOWHERE)
    for span in solids:
        r0, r1 = max(rows.start, span.rows.start), min(rows.stop, span.rows.stop)
        c0, c1 = max(columns.start, span.columns.start), min(columns.stop, span.columns.stop)
        if r0 >= r1 or c0 >= c1:
            continue
        top, left = span.rows.start, span.columns.start
        begin, end = (side[r0 - top : r1 - top, c0 - left : c1 - left] for side in (span.enter, span.leave))
        met = end > begin
        missed = np.multiply(~met, 2 * _NOWHERE)
        begin, end = begin + missed, end - missed
        overlap = (slice(r0 - rows.start, r1 - rows.start), slice(c0 - columns.start, c1 - columns.start))
        for first, last in ((enter[number][overlap], leave[number][overlap]) for number in range(_STRETCHES)):
            apart = ((begin > last) | (end < first)) & (first <= last) & met
            if not apart.any():
                np.minimum(first, begin, out=first)
                np.maximum(last, end, out=last)
                break
            np.minimum(first, np.where(apart, _NOWHERE, begin), out=first)
            np.maximum(last, np.where(apart, -_NOWHERE, end), out=last)
            begin, end, met = np.where(apart, begin, _NOWHERE), np.where(apart, end, -_NOWHERE), apart
    # What grew towards each other is one at last.
    for first_stretch, second_stretch in combinations(range(_STRETCHES), 2):
        touch = (enter[first_stretch] <= leave[second_stretch]) & (enter[second_stretch] <= leave[first_stretch])
        np.minimum(enter[first_stretch], enter[second_stretch], out=enter[first_stretch], where=touch)
        np.maximum(leave[first_stretch], leave[second_stretch], out=leave[first_stretch], where=touch)
        enter[second_stretch][touch], leave[second_stretch][touch] = _NOWHERE, -_NOWHERE
    used = (enter <= leave).any(axis=(1, 2))
    return enter[used], leave[used]


def _box(inside: np.ndarray) -> tuple[slice, slice]:
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
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
