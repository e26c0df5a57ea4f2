"""Draw clavicles, shoulder blades and upper arms, both sides at once."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
from filmroom.indexer.phantom.body.anatomy import arm_axis
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.solids import cross
from filmroom.indexer.phantom.rendering.splat import CORTEX, MARROW, Cloud, Copies, Matter, evenly, smooth_path, tubes
from filmroom.indexer.phantom.spec import Phantom, View

_FLIPS = (f32([-1, 1, 1]), f32([1, 1, 1]))


def shoulders(phantom: Phantom, *, step: float) -> list[Matter]:
    """Return the bones of both shoulders; `step` as in `bones.skeleton`."""
    rng = np.random.default_rng([phantom.body.seed, 29])
    # On bedside films the shoulders stand higher than on an upright PA film.
    lift = -14.0 if phantom.view in (View.AP, View.AP_SUPINE) else 0.0
    return [_clavicles(lift, rng, step), *_blades(phantom, 0.7 * lift, rng, step), _arms(phantom, step)]


def _left_and_right(path: F32) -> F32:
    return np.stack([path * flip for flip in _FLIPS])


def _twice(*profiles: F32) -> list[F32]:
    return [np.repeat(f32(p)[None], 2, 0) for p in profiles]


def _clavicles(lift: float, rng: np.random.Generator, step: float) -> Copies:
    paths = []
    for flip in _FLIPS:
        up, wave = lift + rng.uniform(-4, 4), rng.uniform(0.8, 1.2)
        knots = [
            (17.0, 41.0, 24.0), (42.0, 32.0 + 0.35 * up, 27.0 + 6 * wave), (78.0, 19.0 + 0.7 * up, 14.0 + 4 * wave),
            (118.0, 7.0 + up, -22.0 - 4 * wave), (152.0, 3.0 + up, -34.0),
        ]  # fmt: skip
        paths.append(smooth_path(knots, 40) * flip)
    t = np.linspace(0, 1, 40)
    radius, flat = _twice(
        np.interp(t, [0, 0.12, 0.45, 0.8, 1], [9.5, 7.0, 5.6, 6.0, 6.6]),
        np.interp(t, [0, 0.15, 0.6, 1], [9.5, 7.0, 6.2, 8.5]),
    )
    clavicles = np.stack(paths)
    across = np.zeros_like(clavicles) + f32([0.2, 0.1, 1])
    return tubes(
        clavicles, radius=radius, flat=flat, across=across, step=step, core=MARROW, wall=0.78 * CORTEX, wall_from=0.8
    )


def _blades(phantom: Phantom, lift: float, rng: np.random.Generator, step: float) -> list[Matter]:
    """Return thin blades with a thick outer border, spine, acromion, coracoid and socket."""
    # On a PA film the shoulders are rolled forward and the blades turn off the lungs.
    rolled = phantom.view is View.PA
    up = f32([0, lift, 0])
    plates, bars = [], []
    for flip in _FLIPS:
        loose = rng.normal(0, 2, (3, 3)).astype(np.float32) + up
        inner = f32([118 if rolled else 96, 4, -100]) + loose[0]
        tip = f32([140 if rolled else 112, 148, -108]) + loose[1]
        socket = f32([152, 22, -44]) + loose[2]
        plates.append(_plate(inner, tip, socket, flip, step))
        acromion = f32([168, -12, -46]) + up
        root = 0.72 * inner + 0.28 * tip
        knots = (
            ((socket + f32([-2, 12, -4]), 0.5 * (socket + tip) + f32([4, 0, -6]), tip), 4.2, 5.0),
            ((inner, 0.5 * (inner + tip) + f32([-9, 0, -5]), tip), 1.8, 2.6),
            ((root, 0.5 * (root + acromion) + f32([0, 2, -14]), acromion), 3.0, 6.0),
            ((acromion + f32([-6, 2, -6]), acromion + f32([0, 1, 4]), acromion + f32([4, 0, 12])), 4.0, 9.0),
            ((socket + f32([-10, -12, 4]), socket + f32([-14, -20, 18]), socket + f32([-4, -14, 34])), 4.6, 4.6),
        )
        bars += [(smooth_path(k, 20) * flip, radius, flat) for k, radius, flat in knots]
        ring = np.linspace(0, 2 * np.pi, 20)
        rim = socket * flip + np.stack([2.5 * np.cos(ring), 17 * np.sin(ring), 11 * np.cos(ring)], axis=1)
        bars.append((f32(rim), 2.4, 2.4))
    paths = np.stack([path for path, _, _ in bars])
    radius, flat = (np.repeat(f32([bar[i] for bar in bars])[:, None], 20, 1) for i in (1, 2))
    across = np.zeros_like(paths) + f32([0.2, 0.35, 0.9])
    return [
        *plates,
        tubes(paths, radius=radius, flat=flat, across=across, step=step, core=0.24, wall=0.9, wall_from=0.8),
    ]


def _plate(inner: F32, tip: F32, socket: F32, flip: F32, step: float) -> Cloud:
    """Return the blade itself: a bulging triangle about 2 mm thick."""
    shares, bulge = _strewn(int(12 / step**2) * 500 + 1000)
    corners = np.stack([socket, inner, tip]) * flip
    points = corners.T @ shares
    points += bulge * flip[:, None]
    area = 0.5 * float(np.linalg.norm(cross(inner - socket, tip - socket)))
    return Cloud(points, np.full(points.shape[1], area * 1.7 / points.shape[1], np.float32))


@lru_cache(maxsize=32)
def _strewn(count: int) -> tuple[F32, F32]:
    """Return points of a shoulder blade: the shares of its three corners (3, count), and how far they stand off (3,
    count)."""
    even = evenly(count).T
    r1, r2 = np.sqrt(even[0]), even[1]
    off = np.random.default_rng(8).normal(0, 1.2, (count, 3)).T
    off[2] -= 40 * r1 * (1 - r1) + 24 * r2 * (1 - r2) + 2 * even[2]
    return f32([1 - r1, r1 * (1 - r2), r1 * r2]), f32(off)


def _arms(phantom: Phantom, step: float) -> Copies:
    start, end = (f32(p) for p in arm_axis(phantom, 1))
    t = f32(np.linspace(0, 1, 40))[:, None]
    shaft = start + t * (end - start)
    shaft[:, 0] -= 5 * np.exp(-((t[:, 0] / 0.12) ** 2))
    (radius,) = _twice(np.interp(t[:, 0], [0, 0.04, 0.10, 0.2, 1], [16, 21, 19, 12.5, 11.5]))
    paths = _left_and_right(shaft)
    across = np.zeros_like(paths) + f32([0, 0.1, 1])
    return tubes(
        paths, radius=radius, flat=radius, across=across, step=1.25 * step, core=0.22, wall=0.75, wall_from=0.78
    )
