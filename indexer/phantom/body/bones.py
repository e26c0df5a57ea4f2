"""Draw the skeleton of the chest as clouds of mass points: ribs, spine, clavicles, scapulae, sternum, humeri."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

import numpy as np
from filmroom.indexer.phantom.body.anatomy import Anatomy
from filmroom.indexer.phantom.body.shoulders import shoulders
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.rendering.splat import CORTEX, MARROW, Copies, Matter, evenly, smooth_path, tube, tubes
from filmroom.indexer.phantom.spec import Kind, Phantom, Side

RIB_Y = (-3.0, 14.0, 33.0, 53.0, 74.0, 96.0, 118.0, 141.0, 164.0, 188.0, 212.0, 237.0)
_RIB_END = (150.0, 147.0, 143.0, 140.0, 138.0, 136.0, 132.0, 124.0, 114.0, 102.0, 74.0, 48.0)
_RIB_DROP = (30.0, 50.0, 70.0, 84.0, 95.0, 102.0, 108.0, 110.0, 106.0, 98.0, 84.0, 52.0)


def skeleton(phantom: Phantom, anatomy: Anatomy, *, step: float) -> list[Matter]:
    """Return every bone of the film; `step` is the sampling distance in mm, about a pixel."""
    parts = [*_ribs(phantom, anatomy, step), _spine(phantom, step), *_sternum(step), *shoulders(phantom, step=step)]
    return [replace(part, mass=part.mass * np.float32(phantom.body.bone)) for part in parts]


def rib_paths(anatomy: Anatomy, lift: F32, *, count: int = 56) -> tuple[F32, F32]:
    """Return (24, count, 3) midlines of the ribs from the spine to their front ends, right 1..12 then left 1..12, and
    their outward normals. `lift` (24,) mm raises the angle of each rib."""
    number = np.tile(np.arange(1, 13), 2)[:, None]
    sign = np.repeat([-1.0, 1.0], 12)[:, None]
    end, top, drop = (np.tile(v, 2)[:, None] for v in (_RIB_END, RIB_Y, _RIB_DROP))
    share = np.linspace(0, 1, count)[None]
    start = np.where(number == 1, 14.0, 9.0)
    phi = np.deg2rad(start + share * (end - start))
    t = (phi - phi[:, :1]) / np.deg2rad(150)
    # First almost level (a little up behind the angle of the rib), then ever steeper to the front.
    fall = drop * (0.40 * t + 0.75 * t**2 - 0.15 * t**3) - (5 + lift[:, None]) * np.sin(np.pi * np.clip(t / 0.35, 0, 1))
    # The floating ribs hang steeply.
    y = top + fall + np.maximum(number - 9, 0) * 14 * share
    a, b, _, cz = anatomy.chest.at(f32(y))
    out = 3.5
    x = sign * (a + out) * np.sin(phi) ** 0.92
    # The neck of the rib leans on the transverse process, behind and beside the vertebra.
    z = cz - (b + out) * np.cos(phi) + 9 * np.exp(-((t / 0.07) ** 2))
    normal = np.stack([x / (a + 1) ** 2, 0 * y, (z - cz) / (b + 1) ** 2], axis=2)
    normal /= np.linalg.norm(normal, axis=2, keepdims=True)
    return f32(np.stack([x, y, z], axis=2)), f32(normal)


def fractured(phantom: Phantom) -> dict[tuple[Side, int], tuple[float, float]]:
    """Turn (side, rib) into (where along it 0..1, displacement in mm) of the broken ribs."""
    out: dict[tuple[Side, int], tuple[float, float]] = {}
    rng = np.random.default_rng([phantom.seed, 31])
    for finding in phantom.of(Kind.RIB_FRACTURE):
        level = finding.severity.level if finding.severity else 0.5
        first = int(rng.integers(5, 8))
        at = rng.uniform(0.36, 0.47)
        for side in finding.side.lungs:
            for n in range(1 + round(2 * level)):
                out[(side, first + n)] = (at + rng.uniform(-0.02, 0.02), 8.0 + 5.0 * level)
    return out


def _ribs(phantom: Phantom, anatomy: Anatomy, step: float) -> list[Copies]:
    rng = np.random.default_rng([phantom.body.seed, 23])
    slim = 0.93 if phantom.body.sex == "F" else 1.0
    names = [(side, number) for side in (Side.RIGHT, Side.LEFT) for number in range(1, 13)]
    paths, normals = rib_paths(anatomy, rng.uniform(-2, 2, 24))
    paths[:, :, 1] += f32(rng.uniform(-1.2, 1.2, (24, 1)))
    t = np.linspace(0, 1, paths.shape[1], dtype=np.float32)
    height = np.repeat((5.6 + 0.9 * np.sin(np.pi * t) + 0.8 * (t > 0.85))[None] * slim, 24, 0) + rng.uniform(
        -0.4, 0.4, (24, 1)
    )
    thick = np.repeat((3.3 + 0.5 * np.cos(2 * np.pi * t))[None], 24, 0)
    for (side, number), (where, gap) in fractured(phantom).items():
        i, k = names.index((side, number)), int(where * len(t))
        paths[i, k:] += f32([side.sign * 0.4 * gap, gap, 0.3 * gap])
        height[i, k - 1 : k + 1] = 0.1
    parts = [
        tubes(
            paths,
            radius=f32(thick),
            flat=f32(height),
            across=normals,
            step=step,
            core=MARROW,
            wall=CORTEX,
            wall_from=0.82,
        )
    ]
    if phantom.body.age > 62:
        fronts = [i for i, (_, number) in enumerate(names) if 2 <= number <= 7]
        parts.append(_cartilages(paths[fronts], normals[fronts, -1:], rng, step))
    return parts


def _cartilages(paths: F32, normals: F32, rng: np.random.Generator, step: float) -> Copies:
    """Return calcified costal cartilage of the old, from the front ends of ribs (T, K, 3): mottled, and along the
    edges."""
    ends = paths[:, -1:]
    way = ends - paths[:, -4:-3]
    way /= np.linalg.norm(way, axis=2, keepdims=True)
    inward = np.concatenate([-0.75 * np.sign(ends[..., :1]), np.full_like(ends[..., 1:], [0.12, 0.2])], axis=2)
    s = np.linspace(0, 34, 12, dtype=np.float32)[:, None]
    lines = f32(ends + s * way * np.exp(-s / 30) + s * inward * (1 - np.exp(-s / 30)))
    radius = np.full(lines.shape[:2], 3.4, np.float32)
    cartilage = tubes(
        lines, radius=radius, flat=radius * np.float32(5.4 / 3.4), across=np.repeat(normals, 12, axis=1), step=step,
        core=0.05, wall=0.5, wall_from=0.8,
    )  # fmt: skip
    calcified = rng.random(cartilage.mass.shape, dtype=np.float32) < 0.55
    dense = np.repeat(rng.uniform(0.3, 1, (len(paths), 1)), len(calcified) // len(paths), axis=0)
    return replace(cartilage, mass=f32(cartilage.mass * calcified * dense))


def spine_axis(y: F32) -> F32:
    """Return (N,) z of the vertebral bodies' middle: the curve of the neck, the kyphosis of the chest, the lordosis
    below."""
    return np.interp(y, [-150, -70, 0, 60, 130, 200, 300], [-38, -42, -52, -64, -70, -66, -52]).astype(np.float32)


def vertebrae() -> F32:
    """Return (23, 3): y, pitch and half-width in mm from C4 to L4."""
    number = np.arange(23)
    pitch = 15.5 + 0.72 * np.maximum(number - 4, 0)
    y = -92 + np.concatenate([[0], np.cumsum(pitch)[:-1]])
    return np.stack([y, pitch, 10.5 + 0.5 * number + 2.0 * (number > 12)], axis=1).astype(np.float32)


def _spine(phantom: Phantom, step: float) -> Copies:
    rng = np.random.default_rng([phantom.body.seed, 37])
    table = vertebrae()
    y, pitch, half = table[:, 0], table[:, 1], table[:, 2]
    bend = rng.uniform(-6, 6) * (rng.random() < 0.5)
    unit, mass = _unit_vertebra(round(step, 1))
    scale = np.stack([half, 0.40 * pitch, 0.8 * half])
    middle = np.stack([bend * np.sin((y + 60) / 90), y, spine_axis(y)], axis=1) + rng.uniform(-0.5, 0.5, (len(y), 3))
    frames = np.zeros((3, 4, len(y)), np.float32)
    frames[np.arange(3), np.arange(3)] = scale
    frames[:, 3] = middle.T
    return Copies(frames, unit, np.multiply.outer(scale.prod(axis=0), mass))


@lru_cache(maxsize=32)
def _unit_vertebra(step: float) -> tuple[F32, F32]:
    """Return a waisted body with dense end plates, two pedicles, transverse processes and a spinous process, in units
    of the body's half-width, half-height and half-depth: dots (4, N), and their mass (N,) in units of the product of
    those."""
    rng = np.random.default_rng(3)
    grain = step / 22.0
    count = int(2600 * (0.5 / step) ** 2) + 300
    even = evenly(count)
    rho, angle, level = np.sqrt(even[:, 0]), 2 * np.pi * even[:, 1], 2 * even[:, 2] - 1
    plate = rng.random(count) < 0.30
    level = np.where(plate, np.sign(level) * (0.86 + 0.14 * np.abs(level)), level)
    rim = (~plate) & (rng.random(count) < 0.35)
    rho = np.where(rim, 0.9 + 0.1 * rho, rho)
    waist = 1 - 0.12 * (1 - level**2)
    body = f32([rho * np.cos(angle) * waist, level, rho * np.sin(angle) * waist])
    back = smooth_path([(0, 1.3, -2.6), (0, 2.1, -3.2), (0, 3.0, -3.9)], 6)
    parts = [tube(back, radius=0.15, flat=0.34, step=grain, core=0.3, wall=0.9)]
    for sign in (-1, 1):
        ring = np.linspace(0, 2 * np.pi, 14, dtype=np.float32)
        oval = f32([sign * 0.72, -0.3, -1.3]) + np.stack([0.24 * np.cos(ring), 0.62 * np.sin(ring), 0 * ring], axis=1)
        outward = np.stack([np.cos(ring), np.sin(ring), 0 * ring], axis=1).astype(np.float32)
        parts.append(tube(f32(oval), radius=0.09, flat=0.35, across=outward, step=grain, core=0.42, wall=0.42))
        side = smooth_path([(sign * 0.85, -0.3, -1.7), (sign * 1.4, -0.4, -2.1), (sign * 1.95, -0.55, -2.5)], 8)
        parts.append(tube(side, radius=0.24, flat=0.42, step=grain, core=0.2, wall=0.55))
        lamina = smooth_path([(sign * 0.75, 0.2, -1.8), (sign * 0.4, 0.8, -2.3), (sign * 0.1, 1.3, -2.6)], 6)
        parts.append(tube(lamina, radius=0.16, flat=0.5, step=grain, core=0.3, wall=0.6))
    dots = np.concatenate([body, *(part.points() for part in parts)], axis=1)
    mass = [np.full(count, 0.20 * 2 * np.pi / count), *(part.mass.ravel() for part in parts)]
    return np.concatenate([dots, np.ones((1, dots.shape[1]))], dtype=np.float32), np.concatenate(mass, dtype=np.float32)


def _sternum(step: float) -> list[Copies]:
    manubrium = smooth_path([(0, 38, 24), (0, 60, 34), (0, 78, 43)], 12)
    body = smooth_path([(0, 80, 44), (0, 115, 58), (0, 150, 69), (0, 176, 76)], 20)
    front = np.repeat(f32([[0, -0.35, 0.94]]), 20, 0)
    wide = np.interp(np.linspace(0, 1, 12), [0, 0.3, 1], [26, 24, 14]).astype(np.float32)
    lower = np.interp(np.linspace(0, 1, 20), [0, 0.7, 1], [14, 18, 12]).astype(np.float32)
    return [
        tube(manubrium, radius=5.5, flat=wide, across=front[:12], step=step, core=0.14, wall=0.5, wall_from=0.86),
        tube(body, radius=4.6, flat=lower, across=front, step=step, core=0.14, wall=0.5, wall_from=0.86),
    ]
