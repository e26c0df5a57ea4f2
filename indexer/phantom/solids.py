"""Smooth solids and the stretch of each ray that lies inside them, in closed form.

Every solid is convex along a ray, so its part of the ray is one interval (enter, leave) in w. Rays are parallel
within one solid and magnified by the solid's own depth.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from indexer.phantom.camera import F32, Camera, f32


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

    def span(self, camera: Camera) -> Span | None:
        """None when it lies outside the film."""
        centre = camera.turn(f32([self.centre]))[0]
        scale = float(camera.magnification(centre[2]))
        half = self.axes @ camera.rotation.T
        form = np.linalg.inv(half.T @ half)
        reach = np.sqrt((half**2).sum(axis=0)) * scale
        rows = _window(camera.v, centre[1] * scale, reach[1], open_end=self.standing)
        columns = _window(camera.u, centre[0] * scale, reach[0])
        if rows.start >= rows.stop or columns.start >= columns.stop:
            return None
        du = (camera.u[columns] / scale - centre[0])[None, :]
        dv = (camera.v[rows] / scale - centre[1])[:, None]
        if self.standing:
            dv = np.minimum(dv, 0)
        ww = form[2, 2]
        uu = form[0, 0] - form[0, 2] ** 2 / ww
        vv = form[1, 1] - form[1, 2] ** 2 / ww
        uv = form[0, 1] - form[0, 2] * form[1, 2] / ww
        inside = 1 - (uu * du * du + vv * dv * dv + 2 * uv * du * dv)
        deep = np.sqrt(np.maximum(inside, 0) / ww)
        middle = centre[2] - (form[0, 2] * du + form[1, 2] * dv) / ww
        return Span(rows, columns, (middle - deep).astype(np.float32), (middle + deep).astype(np.float32))


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
        """(a, b, cx, cz) at the heights y; a = b = 0 beyond both ends. The rows of the table are evenly spaced."""
        place = ((y - self.y[0]) * ((len(self.y) - 1) / (self.y[-1] - self.y[0]))).astype(np.float32)
        low = np.clip(place, 0, len(self.y) - 2).astype(np.int32)
        rest = np.clip(place - low.astype(np.float32), 0, 1)
        a, b, cx, cz = (v[low] + rest * (v[low + 1] - v[low]) for v in (self.a, self.b, self.cx, self.cz))
        there = (place >= 0) & (place <= len(self.y) - 1)
        return a * there, b * there, cx, cz

    def radius(self, points: F32) -> F32:
        """(N,) 0 on the axis, 1 on the surface, from (N, 3) body points."""
        a, b, cx, cz = self.at(points[:, 1])
        across = (points[:, 0] - cx) / np.maximum(a, 1e-3)
        along = (points[:, 2] - cz) / np.maximum(b, 1e-3)
        return np.asarray(np.sqrt(across * across + along * along), np.float32)

    def span(self, camera: Camera) -> Span:
        wide, tall, deep_by = camera.scale
        depth = float(np.mean(self.cz) * deep_by * np.cos(camera.yaw) + np.mean(self.cx) * wide * np.sin(camera.yaw))
        scale = np.float32(camera.magnification(depth))
        a, b, cx, cz = self.at(camera.y + camera.v / tall * (1 / scale - 1))
        a, b, cx, cz = a * wide, b * deep_by, cx * wide, cz * deep_by
        there = a > 0.5
        a, b = np.maximum(a, 0.5), np.maximum(b, 0.5)
        cos, sin = np.float32(np.cos(camera.yaw)), np.float32(np.sin(camera.yaw))
        uc, wc = cx * cos - cz * sin, cx * sin + cz * cos
        ww = (sin / a) ** 2 + (cos / b) ** 2
        uw = sin * cos * (1 / a**2 - 1 / b**2)
        uu = (cos / a) ** 2 + (sin / b) ** 2 - uw**2 / ww
        du = camera.u[None, :] / scale - uc[:, None]
        inside = np.maximum(1 - uu[:, None] * du * du, 0)
        deep = inside ** np.float32(self.power) * np.sqrt(there / ww)[:, None]
        middle = wc[:, None] - (uw / ww)[:, None] * du
        return Span(slice(0, camera.rows), slice(0, camera.columns), middle - deep, middle + deep)


def ellipsoid(
    centre: tuple[float, float, float], half: tuple[float, float, float], *,
    along: tuple[float, float, float] | None = None, standing: bool = False,
) -> Ellipsoid:  # fmt: skip
    """An ellipsoid with half-axes `half` mm; `along` turns its first axis into that direction."""
    if along is None:
        return Ellipsoid(centre, np.diag(f32(half)), standing)
    first = np.asarray(along, float)
    first = first / np.linalg.norm(first)
    helper = np.array([0.0, 0.0, 1.0]) if abs(first[2]) < 0.9 else np.array([0.0, 1.0, 0.0])
    second = np.cross(helper, first)
    second /= np.linalg.norm(second)
    third = np.cross(first, second)
    return Ellipsoid(centre, f32(np.array([first, second, third]) * np.array(half)[:, None]), standing)


def overlap(one: Span, other: Span, shape: tuple[int, int]) -> F32:
    """(H, W) mm of each ray that lies in both. `one` must cover the film."""
    out = np.zeros(shape, np.float32)
    here = (other.rows, other.columns)
    inner = np.minimum(one.leave[here], other.leave) - np.maximum(one.enter[here], other.enter)
    out[here] = np.maximum(inner, 0)
    return out


def _window(grid: F32, centre: float, reach: float, *, open_end: bool = False) -> slice:
    start = int(np.searchsorted(grid, centre - reach))
    stop = len(grid) if open_end else int(np.searchsorted(grid, centre + reach))
    return slice(start, stop)
