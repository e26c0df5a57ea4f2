"""The skeleton of the chest as clouds of mass points: ribs, spine, clavicles, scapulae, sternum, humeri."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from indexer.phantom.anatomy import Anatomy, arm_axis
from indexer.phantom.camera import F32
from indexer.phantom.spec import Kind, Phantom, Side, View
from indexer.phantom.splat import Cloud, join, smooth_path, tube, tubes

# Beyond the soft tissue that it replaces, in water's attenuation at about 70 keV.
CORTEX, MARROW = 2.2, 0.48
RIB_Y = (-3.0, 14.0, 33.0, 53.0, 74.0, 96.0, 118.0, 141.0, 164.0, 188.0, 212.0, 237.0)
_RIB_END = (150.0, 147.0, 143.0, 140.0, 138.0, 136.0, 132.0, 124.0, 114.0, 102.0, 74.0, 48.0)
_RIB_DROP = (30.0, 50.0, 70.0, 84.0, 95.0, 102.0, 108.0, 110.0, 106.0, 98.0, 84.0, 52.0)


def skeleton(phantom: Phantom, anatomy: Anatomy, *, step: float) -> Cloud:
    """Every bone of the film; `step` is the sampling distance in mm, about 0.7 pixels."""
    rng = np.random.default_rng([phantom.body.seed, 23])
    bone = phantom.body.bone
    parts = [*_ribs(phantom, anatomy, rng, step), *_spine(phantom, rng, step), *_sternum(step)]
    for sign in (-1, 1):
        parts += _clavicle(phantom, sign, rng, step)
        parts += _scapula(phantom, sign, rng, step)
        parts += _humerus(phantom, sign, step)
    whole = join(parts)
    return Cloud(whole.points, whole.mass * np.float32(bone))


def rib_path(anatomy: Anatomy, side: Side, number: int, *, lift: float = 0.0, count: int = 56) -> tuple[F32, F32]:
    """(count, 3) midline of rib `number` (1..12) from the spine to its front end, and (count, 3) outward normals."""
    i = number - 1
    phi = np.deg2rad(np.linspace(9 if number > 1 else 14, _RIB_END[i], count))
    t = (phi - phi[0]) / np.deg2rad(150)
    # First almost level (a little up behind the angle of the rib), then ever steeper to the front.
    fall = _RIB_DROP[i] * (0.40 * t + 0.75 * t**2 - 0.15 * t**3) - (5 + lift) * np.sin(np.pi * np.clip(t / 0.35, 0, 1))
    # The floating ribs hang steeply.
    y = RIB_Y[i] + fall + max(number - 9, 0) * 14 * t / t[-1]
    a, b, _, cz = anatomy.chest.at(np.float32(y))
    out = 3.5
    x = side.sign * (a + out) * np.sin(phi) ** 0.92
    z = cz - (b + out) * np.cos(phi)
    # The neck of the rib leans on the transverse process, behind and beside the vertebra.
    neck = np.exp(-((t / 0.07) ** 2))
    z = z + 9 * neck
    normal = np.stack([x / (a + 1) ** 2, 0 * y, (z - cz) / (b + 1) ** 2], axis=1)
    normal /= np.linalg.norm(normal, axis=1, keepdims=True)
    return np.stack([x, y, z], axis=1).astype(np.float32), normal.astype(np.float32)


def fractured(phantom: Phantom) -> dict[tuple[Side, int], tuple[float, float]]:
    """(side, rib) -> (where along it 0..1, displacement in mm) of the broken ribs."""
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


def _ribs(phantom: Phantom, anatomy: Anatomy, rng: np.random.Generator, step: float) -> list[Cloud]:
    slim = 0.93 if phantom.body.sex == "F" else 1.0
    names = [(side, number) for side in (Side.RIGHT, Side.LEFT) for number in range(1, 13)]
    made = [rib_path(anatomy, side, number, lift=rng.uniform(-2, 2)) for side, number in names]
    paths, normals = np.stack([m[0] for m in made]), np.stack([m[1] for m in made])
    paths[:, :, 1] += rng.uniform(-1.2, 1.2, (24, 1))
    t = np.linspace(0, 1, paths.shape[1], dtype=np.float32)
    height = np.repeat((5.6 + 0.9 * np.sin(np.pi * t) + 0.8 * (t > 0.85))[None] * slim, 24, 0) + rng.uniform(
        -0.4, 0.4, (24, 1)
    )
    thick = np.repeat((3.3 + 0.5 * np.cos(2 * np.pi * t))[None], 24, 0)
    for (side, number), (where, gap) in fractured(phantom).items():
        i, k = names.index((side, number)), int(where * len(t))
        paths[i, k:] += np.float32([side.sign * 0.4 * gap, gap, 0.3 * gap])
        height[i, k - 1 : k + 1] = 0.1
    parts = [
        tubes(paths, radius=thick, flat=height, across=normals, step=step, core=MARROW, wall=CORTEX, wall_from=0.82)
    ]
    if phantom.body.age > 62:
        parts += [_cartilage(paths[i], normals[i], rng, step) for i, (_, n) in enumerate(names) if 2 <= n <= 7]
    return parts


def _cartilage(path: F32, normal: F32, rng: np.random.Generator, step: float) -> Cloud:
    """Calcified costal cartilage of the old: mottled, and along the edges."""
    way = path[-1] - path[-4]
    way /= np.linalg.norm(way)
    inward = np.float32([-np.sign(path[-1, 0]) * 0.75, 0.12, 0.2])
    s = np.linspace(0, 34, 12, dtype=np.float32)[:, None]
    line = path[-1] + s * way * np.exp(-s / 30) + s * inward * (1 - np.exp(-s / 30))
    cloud = tube(
        line, radius=3.4, flat=5.4, across=np.repeat(normal[-1:], 12, 0), step=step, core=0.05, wall=0.5, wall_from=0.8
    )
    return Cloud(
        cloud.points,
        cloud.mass * (rng.random(len(cloud.mass), dtype=np.float32) < 0.55) * np.float32(rng.uniform(0.3, 1)),
    )


def spine_axis(y: F32) -> F32:
    """(N,) z of the vertebral bodies' middle: the curve of the neck, the kyphosis of the chest, the lordosis below."""
    return np.interp(y, [-150, -70, 0, 60, 130, 200, 300], [-38, -42, -52, -64, -70, -66, -52]).astype(np.float32)


def vertebrae() -> F32:
    """(23, 3): y, pitch and half-width in mm from C4 to L4."""
    number = np.arange(23)
    pitch = 15.5 + 0.72 * np.maximum(number - 4, 0)
    y = -92 + np.concatenate([[0], np.cumsum(pitch)[:-1]])
    return np.stack([y, pitch, 10.5 + 0.5 * number + 2.0 * (number > 12)], axis=1).astype(np.float32)


def _spine(phantom: Phantom, rng: np.random.Generator, step: float) -> list[Cloud]:
    table = vertebrae()
    y, pitch, half = table[:, 0], table[:, 1], table[:, 2]
    bend = rng.uniform(-6, 6) * (rng.random() < 0.5)
    unit = _unit_vertebra(round(step, 2))
    scale = np.stack([half, 0.40 * pitch, 0.8 * half], axis=1)
    middle = np.stack([bend * np.sin((y + 60) / 90), y, spine_axis(y)], axis=1) + rng.uniform(-0.5, 0.5, (len(y), 3))
    points = middle[:, None, :] + unit.points[None] * scale[:, None, :]
    mass = unit.mass[None] * scale.prod(axis=1)[:, None]
    return [Cloud(points.reshape(-1, 3).astype(np.float32), mass.reshape(-1).astype(np.float32))]


@lru_cache(maxsize=8)
def _unit_vertebra(step: float) -> Cloud:
    """A waisted body with dense end plates, two pedicles, transverse processes and a spinous process, in units of the
    body's half-width, half-height and half-depth; mass in units of their product."""
    rng = np.random.default_rng(3)
    grain = step / 7.0
    count = int(1500 * (0.5 / step) ** 2) + 300
    even = evenly(count)
    rho, angle, level = np.sqrt(even[:, 0]), 2 * np.pi * even[:, 1], 2 * even[:, 2] - 1
    plate = rng.random(count) < 0.30
    level = np.where(plate, np.sign(level) * (0.86 + 0.14 * np.abs(level)), level)
    rim = (~plate) & (rng.random(count) < 0.35)
    rho = np.where(rim, 0.9 + 0.1 * rho, rho)
    waist = 1 - 0.12 * (1 - level**2)
    body = np.stack([rho * np.cos(angle) * waist, level, rho * np.sin(angle) * waist], axis=1)
    parts = [Cloud(body.astype(np.float32), np.full(count, 0.20 * 2 * np.pi / count, np.float32))]
    back = smooth_path([(0, 1.3, -2.6), (0, 2.1, -3.2), (0, 3.0, -3.9)], 6)
    parts.append(tube(back, radius=0.15, flat=0.34, step=grain, core=0.3, wall=0.9))
    for sign in (-1, 1):
        ring = np.linspace(0, 2 * np.pi, 14, dtype=np.float32)
        oval = np.float32([sign * 0.72, -0.3, -1.3]) + np.stack(
            [0.24 * np.cos(ring), 0.62 * np.sin(ring), 0 * ring], axis=1
        )
        outward = np.stack([np.cos(ring), np.sin(ring), 0 * ring], axis=1).astype(np.float32)
        parts.append(
            tube(oval.astype(np.float32), radius=0.09, flat=0.35, across=outward, step=grain, core=0.8, wall=0.8)
        )
        side = smooth_path([(sign * 0.85, -0.3, -1.7), (sign * 1.4, -0.4, -2.1), (sign * 1.95, -0.55, -2.5)], 8)
        parts.append(tube(side, radius=0.24, flat=0.42, step=grain, core=0.2, wall=0.55))
        lamina = smooth_path([(sign * 0.75, 0.2, -1.8), (sign * 0.4, 0.8, -2.3), (sign * 0.1, 1.3, -2.6)], 6)
        parts.append(tube(lamina, radius=0.16, flat=0.5, step=grain, core=0.3, wall=0.6))
    return join(parts)


def _sternum(step: float) -> list[Cloud]:
    manubrium = smooth_path([(0, 38, 24), (0, 60, 34), (0, 78, 43)], 12)
    body = smooth_path([(0, 80, 44), (0, 115, 58), (0, 150, 69), (0, 176, 76)], 20)
    front = np.repeat(np.float32([[0, -0.35, 0.94]]), 20, 0)
    wide = np.interp(np.linspace(0, 1, 12), [0, 0.3, 1], [26, 24, 14]).astype(np.float32)
    lower = np.interp(np.linspace(0, 1, 20), [0, 0.7, 1], [14, 18, 12]).astype(np.float32)
    return [
        tube(manubrium, radius=5.5, flat=wide, across=front[:12], step=step, core=0.14, wall=0.5, wall_from=0.86),
        tube(body, radius=4.6, flat=lower, across=front, step=step, core=0.14, wall=0.5, wall_from=0.86),
    ]


def shoulder_lift(phantom: Phantom) -> float:
    """How much higher (negative y) the shoulders are than on an upright PA film."""
    return -14.0 if phantom.view in (View.AP, View.AP_SUPINE) else 0.0


def _clavicle(phantom: Phantom, sign: int, rng: np.random.Generator, step: float) -> list[Cloud]:
    up = shoulder_lift(phantom) + rng.uniform(-4, 4)
    wave = rng.uniform(0.8, 1.2)
    knots = [
        (17.0, 41.0, 24.0), (42.0, 32.0 + 0.35 * up, 27.0 + 6 * wave), (78.0, 19.0 + 0.7 * up, 14.0 + 4 * wave),
        (118.0, 7.0 + up, -22.0 - 4 * wave), (152.0, 3.0 + up, -34.0),
    ]  # fmt: skip
    path = smooth_path([(sign * x, y, z) for x, y, z in knots], 40)
    t = np.linspace(0, 1, 40)
    radius = np.interp(t, [0, 0.12, 0.45, 0.8, 1], [9.5, 7.0, 5.6, 6.0, 6.6]).astype(np.float32)
    flat = np.interp(t, [0, 0.15, 0.6, 1], [9.5, 7.0, 6.2, 8.5]).astype(np.float32)
    return [tube(path, radius=radius, flat=flat, step=step, core=MARROW, wall=CORTEX * 0.78, wall_from=0.8)]


def _scapula(phantom: Phantom, sign: int, rng: np.random.Generator, step: float) -> list[Cloud]:
    """A thin blade with a thick outer border, spine, acromion, coracoid and socket."""
    up = 0.7 * shoulder_lift(phantom)
    # On a PA film the shoulders are rolled forward and the blades turn off the lungs.
    rolled = phantom.view is View.PA
    inner_top = np.float32([96 if not rolled else 118, 4, -100])
    tip = np.float32([112 if not rolled else 140, 148, -108])
    socket = np.float32([152, 22, -44])
    flip = np.float32([sign, 1, 1])
    lift = np.float32([0, up, 0])
    inner_top, tip, socket = ((p + lift + rng.normal(0, 2, 3)).astype(np.float32) for p in (inner_top, tip, socket))
    count = int(6000 / step**2) + 1000
    even = evenly(count)
    r1, r2 = np.sqrt(even[:, :1]), even[:, 1:2]
    bulge = np.float32([0, 0, -10]) * 4 * r1 * (1 - r1) + np.float32([0, 0, -6]) * 4 * r2 * (1 - r2)
    blade = (1 - r1) * socket + r1 * (1 - r2) * inner_top + r1 * r2 * tip + bulge
    blade[:, 2] += rng.normal(0, 1.0, count)
    area = 0.5 * float(np.linalg.norm(np.cross(inner_top - socket, tip - socket)))
    parts = [Cloud((blade * flip).astype(np.float32), np.full(count, area * 1.7 / count, np.float32))]

    def bar(*knots: F32, radius: float, flat: float, wall: float = 1.0) -> Cloud:
        path = smooth_path([tuple(float(v) for v in k * flip) for k in knots], 20)
        return tube(path, radius=radius, flat=flat, step=step, core=0.22, wall=wall, wall_from=0.8)

    middle = 0.5 * (socket + tip) + np.float32([4, 0, -6])
    parts.append(bar(socket + np.float32([-2, 12, -4]), middle, tip, radius=4.2, flat=5.0, wall=0.9))
    parts.append(bar(inner_top, 0.5 * (inner_top + tip) + np.float32([-9, 0, -5]), tip, radius=1.8, flat=2.6, wall=0.9))
    acromion = np.float32([168, -12, -46]) + lift
    root = 0.72 * inner_top + 0.28 * tip
    parts.append(bar(root, 0.5 * (root + acromion) + np.float32([0, 2, -14]), acromion, radius=3.0, flat=6.0, wall=0.8))
    parts.append(
        bar(acromion + np.float32([-6, 2, -6]), acromion + np.float32([4, 0, 12]), radius=4.0, flat=9.0, wall=0.8)
    )
    parts.append(
        bar(
            socket + np.float32([-10, -12, 4]),
            socket + np.float32([-14, -20, 18]),
            socket + np.float32([-4, -14, 34]),
            radius=4.6,
            flat=4.6,
        )
    )
    ring = np.linspace(0, 2 * np.pi, 20, dtype=np.float32)
    rim = socket * flip + np.stack([2.5 * np.cos(ring), 17 * np.sin(ring), 11 * np.cos(ring)], axis=1)
    parts.append(tube(rim.astype(np.float32), radius=2.4, step=step, core=0.5, wall=0.9))
    return parts


def _humerus(phantom: Phantom, sign: int, step: float) -> list[Cloud]:
    start, end = arm_axis(phantom, sign)
    a, b = np.float32(start), np.float32(end)
    t = np.linspace(0, 1, 40, dtype=np.float32)[:, None]
    shaft = a + t * (b - a)
    shaft[:, 0] -= sign * 5 * np.exp(-((t[:, 0] / 0.12) ** 2))
    radius = np.interp(t[:, 0], [0, 0.04, 0.10, 0.2, 1], [16, 21, 19, 12.5, 11.5]).astype(np.float32)
    outer = tube(shaft, radius=radius, step=step * 1.1, core=0.22, wall=0.75, wall_from=0.78)
    return [outer]


def evenly(count: int) -> F32:
    """(count, 3) in the unit cube, more even than chance (a Kronecker sequence on the plastic number)."""
    steps = np.array([0.8191725134, 0.6710436067, 0.5497004779])
    return np.mod((np.arange(count)[:, None] + 0.5) * steps, 1.0).astype(np.float32)
