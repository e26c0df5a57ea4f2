"""Project the body on the film: rotation, then a point source and a flat detector.

Body axes, in millimetres: x to the patient's left, y towards the feet (0 at the lung apices), z to the front.
Film axes: u to the image's right, v down, w along the ray. On frontal films u follows x, so the patient's right is
on the image's left.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from filmroom.indexer.phantom.spec import Phantom, View
from numpy.typing import NDArray

# Arrays of reals: float32 wherever they are large; numpy's own functions may give float64 in between.
F32 = NDArray[np.floating[Any]]


def f32(values: object) -> NDArray[np.float32]:
    """Return anything as a float32 array."""
    return np.asarray(values, np.float32)


_CENTRE_Y = 120.0


@dataclass(frozen=True)
class Camera:
    """`rows` x `columns` pixels of `pitch_mm`; the source is `distance` mm from the body's middle on the
    side `source` (-1: behind, w negative; +1: in front). `scale` (3,) is the body's width, height and depth; `rotation`
    contains it."""

    rows: int
    columns: int
    pixel: float
    rotation: F32
    scale: F32
    yaw: float
    distance: float
    source: int
    u0: float
    v0: float

    def magnification(self, w: F32 | float) -> F32:
        """Say how much larger than in the middle plane a thing at depth w appears."""
        return f32(self.distance / (self.distance - self.source * f32(w)))

    def turn(self, points: F32) -> F32:
        """Return (..., 3) body points to (u, v, w) before the perspective, v relative to the central ray."""
        return f32((points - f32([0, _CENTRE_Y, 0])) @ self.rotation.T)

    def project(self, points: F32) -> tuple[F32, F32, F32]:
        """Return pixel columns and rows (float) and depth w of body points (3, N)."""
        u, v, w = self.rotation @ (points - f32([[0], [_CENTRE_Y], [0]]))
        scale = self.magnification(w) / np.float32(self.pixel)
        u *= scale
        v *= scale
        u -= np.float32(self.u0 / self.pixel)
        v -= np.float32(self.v0 / self.pixel)
        return u, v, w

    def project_frames(self, frames: F32) -> F32:
        """Return frames (3, 4, M), three vectors and an origin in mm each, on the film: (3, M, 4) in pixel columns,
        pixel rows and depth. Exact at the origin, where the perspective is taken for the whole of a frame."""
        count = frames.shape[2]
        start = frames - f32([[0, 0, 0, 0], [0, 0, 0, _CENTRE_Y], [0, 0, 0, 0]])[:, :, None]
        turned = (self.rotation @ start.reshape(3, -1)).reshape(3, 4, count)
        scale = self.magnification(turned[2, 3])
        # What lies a little nearer to the source is a little larger, so that it also stands further out.
        drift = turned[:2, 3] * (scale * scale) * np.float32(self.source / self.distance)
        turned[:2] *= scale
        turned[:2, :3] += drift[:, None] * turned[2, :3]
        turned[:2] /= np.float32(self.pixel)
        turned[:2, 3] -= f32([[self.u0], [self.v0]]) / np.float32(self.pixel)
        return np.ascontiguousarray(turned.transpose(0, 2, 1))

    @property
    def u(self) -> F32:
        """(columns,) film coordinates of the pixel centres, mm."""
        return (np.arange(self.columns, dtype=np.float32) + 0.5) * np.float32(self.pixel) + np.float32(self.u0)

    @property
    def v(self) -> F32:
        """(rows,) film coordinates of the pixel centres, mm from the central ray."""
        return (np.arange(self.rows, dtype=np.float32) + 0.5) * np.float32(self.pixel) + np.float32(self.v0)

    @property
    def y(self) -> F32:
        """(rows,) body heights that the rows show in the middle plane."""
        return f32(self.v / self.scale[1] + np.float32(_CENTRE_Y))

    def coarser(self, pixel: float) -> Camera:
        """Return the same view on pixels of at least `pixel` mm."""
        step = max(1.0, pixel / self.pixel)
        rows, columns = round(self.rows / step), round(self.columns / step)
        return Camera(
            rows, columns, self.pixel * self.rows / rows, self.rotation, self.scale, self.yaw, self.distance,
            self.source, self.u0, self.v0,
        )  # fmt: skip


def camera(phantom: Phantom, size: int) -> Camera:
    """Return the camera of a phantom's film whose long side has `size` pixels."""
    technique, view = phantom.technique, phantom.view
    width, height = technique.field_width, technique.field_height
    pixel = max(width, height) / size
    yaw = np.deg2rad(technique.yaw)
    source = 1 if view in (View.AP, View.AP_SUPINE) else -1
    if view is View.LATERAL:
        # The left side lies on the detector, so the right side is nearer to the source and larger.
        yaw += np.pi / 2 if technique.facing_left else -np.pi / 2
        source = -1 if technique.facing_left else 1
    pitch = np.deg2rad(technique.pitch) if view.frontal else 0.0
    cos, sin = np.cos(yaw), np.sin(yaw)
    about_y = np.array([[cos, 0, -sin], [0, 1, 0], [sin, 0, cos]])
    about_x = np.array([[1, 0, 0], [0, np.cos(pitch), -np.sin(pitch)], [0, np.sin(pitch), np.cos(pitch)]])
    scale = f32([phantom.body.width, phantom.body.height, phantom.body.depth])
    return Camera(
        rows=round(height / pixel),
        columns=round(width / pixel),
        pixel=pixel,
        rotation=f32(about_x @ about_y) * scale,
        scale=scale,
        yaw=float(yaw),
        distance=1000.0 if source == 1 and view.frontal else 1650.0,
        source=source,
        u0=-width / 2 + technique.shift_x,
        v0=-height / 2 + technique.shift_y,
    )
