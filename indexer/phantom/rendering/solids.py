"""Find the stretch of each ray that lies inside smooth solids, in closed form.

Every solid is convex along a ray, so its part of the ray is one interval (enter, leave) in w. Rays are parallel
within one solid and magnified by the solid's own depth.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.indexer.phantom.rendering.camera import F32, Camera, f32


@dataclass(frozen=True)
class Span:
    """Rays that meet a solid: `enter` <= `leave` (h, w) in mm, over `rows` and `columns` of the film."""

    rows: slice
    columns: slice
    enter: F32
    leave: F32

    @property
    def length(self) -> F32:
        return self.leave - self.enter


@dataclass(frozen=True)
class Ellipsoid:
    """`axes`: (3, 3), each row a half-axis in mm. `standing` makes it a dome on a straight column: below its centre it
    does not narrow again."""

    centre: tuple[float, float, float]
    axes: F32
    standing: bool = False


@dataclass(frozen=True)
class Column:
    """An upright solid. At height `y` its section is an ellipse with half-axes `a` (x), `b` (z) around (`cx`, `cz`).

    `power` 0.5 is the true ellipse along the ray; less makes the cross-section boxier, as trunks are.
    """

    y: F32
    a: F32
    b: F32
    cx: F32
    cz: F32
    power: float = 0.5

    def at(self, y: F32) -> tuple[F32, F32, F32, F32]:
        """Return (a, b, cx, cz) at the heights y; a = b = 0 beyond both ends. The rows of the table are evenly
        spaced."""
        table = np.stack([self.a, self.b, self.cx, self.cz])
        place = ((y - self.y[0]) * ((len(self.y) - 1) / (self.y[-1] - self.y[0]))).astype(np.float32)
        low = np.minimum(np.maximum(place, 0), len(self.y) - 2).astype(np.intp)
        rest = np.minimum(np.maximum(place - low.astype(np.float32), 0), 1)
        below = table.take(low, axis=1)
        a, b, cx, cz = below + rest * (table.take(low + 1, axis=1) - below)
        within_ends = (place >= 0) & (place <= len(self.y) - 1)
        return a * within_ends, b * within_ends, cx, cz

    def radius(self, points: F32) -> F32:
        """Return (N,) 0 on the axis, 1 on the surface, from (3, N) body points."""
        x, y, z = points
        a, b, cx, cz = self.at(y)
        across = (x - cx) / np.maximum(a, 1e-3)
        along = (z - cz) / np.maximum(b, 1e-3)
        return f32(np.sqrt(across * across + along * along))

    def span(self, camera: Camera, *, whole_film: bool = True) -> Span:
        """Cover the whole film, or else those of its columns that the solid reaches."""
        wide, tall, deep_by = camera.scale
        depth = float(np.mean(self.cz) * deep_by * np.cos(camera.yaw) + np.mean(self.cx) * wide * np.sin(camera.yaw))
        scale = np.float32(camera.magnification(depth))
        a, b, cx, cz = self.at(camera.y + camera.v / tall * (1 / scale - 1))
        a, b, cx, cz = a * wide, b * deep_by, cx * wide, cz * deep_by
        present = a > 0.5
        a, b = np.maximum(a, 0.5), np.maximum(b, 0.5)
        cos, sin = np.float32(np.cos(camera.yaw)), np.float32(np.sin(camera.yaw))
        uc, wc = cx * cos - cz * sin, cx * sin + cz * cos
        ww = (sin / a) ** 2 + (cos / b) ** 2
        uw = sin * cos * (1 / a**2 - 1 / b**2)
        uu = (cos / a) ** 2 + (sin / b) ** 2 - uw**2 / ww
        columns = slice(0, camera.columns)
        if not whole_film:
            reach = present / np.sqrt(uu)
            left, right = float((uc - reach).min() * scale), float((uc + reach).max() * scale)
            columns = slice(*(int(end) for end in np.searchsorted(camera.u, (left, right))))
        du = camera.u[columns] / scale - uc[:, None]
        deep = uu[:, None] * du
        deep *= du
        np.subtract(1, deep, out=deep)
        np.maximum(deep, 0, out=deep)
        np.power(deep, np.float32(self.power), out=deep)
        deep *= np.sqrt(present / ww)[:, None]
        du *= (uw / ww)[:, None]
        middle = np.subtract(wc[:, None], du, out=du)
        return Span(slice(0, camera.rows), columns, middle - deep, middle + deep)


def ellipsoid(
    centre: tuple[float, float, float], half: tuple[float, float, float], *,
    along: tuple[float, float, float] | None = None, standing: bool = False,
) -> Ellipsoid:  # fmt: skip
    """Return an ellipsoid with half-axes `half` mm; `along` turns its first axis into that direction."""
    if along is None:
        return Ellipsoid(centre, np.diag(f32(half)), standing)
    first = f32(along) / math.hypot(*along)
    helper = f32([0, 0, 1] if abs(first[2]) < 0.9 else [0, 1, 0])
    second = cross(helper, first)
    second /= math.hypot(*second)
    axes = np.stack([first, second, cross(first, second)])
    return Ellipsoid(centre, axes * f32(half)[:, None], standing)


def cross(a: F32, b: F32) -> F32:
    """Compute the cross product along the first axis; numpy's own is several times slower."""
    return np.stack([a[1] * b[2] - a[2] * b[1], a[2] * b[0] - a[0] * b[2], a[0] * b[1] - a[1] * b[0]])


def overlap(solid: Span, other: Span) -> F32:
    """Return mm of each ray of `other` that lies in both. `solid` must cover the film."""
    window = (other.rows, other.columns)
    return f32(
        np.maximum(np.minimum(solid.leave[window], other.leave) - np.maximum(solid.enter[window], other.enter), 0)
    )


def spans(solids: Sequence[Ellipsoid], camera: Camera) -> list[Span]:
    """Return what each ellipsoid takes of the rays; those that lie outside the film are left out."""
    if not solids:
        return []
    centre = camera.turn(f32([solid.centre for solid in solids]))
    scale = camera.magnification(centre[:, 2])
    half = np.stack([solid.axes for solid in solids]) @ camera.rotation.T
    form = np.linalg.inv(half.transpose(0, 2, 1) @ half)
    reach = np.sqrt((half**2).sum(axis=1))[:, :2]
    # The first pixel whose middle lies beyond each edge.
    sides = np.stack([centre[:, :2] - reach, centre[:, :2] + reach]) * scale[:, None]
    pixels = np.ceil((sides - (camera.u0, camera.v0)) / camera.pixel - 0.5).astype(int)
    (left, top), (right, bottom) = np.clip(pixels, 0, (camera.columns, camera.rows)).transpose(0, 2, 1).tolist()
    # Around the middle of each ray's stretch: half its length, squared, is a quadratic form.
    ww = form[:, 2, 2]
    uu, vv = (form[:, i, i] / ww - (form[:, i, 2] / ww) ** 2 for i in (0, 1))
    uv = form[:, 0, 1] / ww - form[:, 0, 2] * form[:, 1, 2] / ww**2
    lean_u, lean_v = form[:, 0, 2] / ww, form[:, 1, 2] / ww
    u, v, out = camera.u, camera.v, []
    for i, solid in enumerate(solids):
        rows, columns = slice(top[i], camera.rows if solid.standing else bottom[i]), slice(left[i], right[i])
        if rows.start >= rows.stop or columns.start >= columns.stop:
            continue
        du = u[columns] / scale[i] - centre[i, 0]
        dv = (v[rows] / scale[i] - centre[i, 1])[:, None]
        if solid.standing:
            dv = np.minimum(dv, 0)
        square = (1 / ww[i] - vv[i] * dv * dv) - uu[i] * du * du
        square -= (2 * uv[i] * dv) * du
        deep = np.sqrt(np.maximum(square, 0, out=square), out=square)
        middle = (centre[i, 2] - lean_v[i] * dv) - lean_u[i] * du
        out.append(Span(rows, columns, middle - deep, middle + deep))
    return out


def squared_radii(solids: Sequence[Ellipsoid], points: F32) -> F32:
    """Return (E, N) 0 in the middle of each ellipsoid, 1 on its surface, of (3, N) body points."""
    into = np.linalg.inv(np.stack([solid.axes for solid in solids]))
    off = points - f32([solid.centre for solid in solids])[:, :, None]
    for number, solid in enumerate(solids):
        if solid.standing:
            np.minimum(off[number, 1], 0, out=off[number, 1])
    unit = into.transpose(0, 2, 1) @ off
    return f32(np.einsum("ecn,ecn->en", unit, unit))
