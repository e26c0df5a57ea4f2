"""Paint disease of the lung itself into its voxels: consolidation, edema, viral pneumonia, collapse, emphysema."""

from __future__ import annotations

import numpy as np
from filmroom.indexer.phantom.body.anatomy import Anatomy
from filmroom.indexer.phantom.body.lungs import Lung
from filmroom.indexer.phantom.body.vessels import HILUM, lung_points
from filmroom.indexer.phantom.rendering.camera import F32, f32
from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, Severity, Side

_MINOR_FISSURE = 122.0


def lobe(lung: Lung, place: Place) -> F32:
    """Return (D, h, w) 0..1: the lobe of this lung, with edges as sharp as a fissure. The left lung has no middle lobe
    (its lingula is meant)."""
    oblique = 72 + (lung.z + 90) * np.float32(0.93)
    behind = _soft((lung.y - oblique) / 2.5)
    if place is Place.LOWER:
        return np.broadcast_to(behind, lung.density.shape)
    low = _soft((lung.y - _MINOR_FISSURE + 0.10 * (np.abs(lung.x) - 60) + 9 * np.sin(lung.z / 45 + 0.6)) / 2.5)
    if place is Place.MIDDLE:
        return (1 - behind) * low
    upper = 1 - behind
    return upper * (1 - low) if lung.side is Side.RIGHT else np.broadcast_to(upper, lung.density.shape)


def blobs(lung: Lung, centres: F32, sizes: F32, weights: F32) -> F32:
    """Return (D, h, w) sum of Gaussian balls at `centres` (K, 3) mm."""
    narrow = -0.5 / sizes**2
    flat = (lung.x[None] - centres[:, 0, None, None, None]) ** 2 + (lung.z[None] - centres[:, 2, None, None, None]) ** 2
    across = np.exp(narrow[:, None, None, None] * flat)[:, :, 0, :] * weights[:, None, None]
    down = np.exp(narrow[:, None] * (lung.y[0, :, 0][None] - centres[:, 1, None]) ** 2)
    slabs, columns = across.shape[1:]
    out = down.T.astype(np.float32) @ across.reshape(len(centres), -1).astype(np.float32)
    return out.reshape(-1, slabs, columns).transpose(1, 0, 2)


def paint(lung: Lung, phantom: Phantom, anatomy: Anatomy) -> Lung:
    """Return the lung with all of the phantom's lung disease in it."""
    density = lung.density
    for order, finding in enumerate(phantom.findings):
        brush = _BRUSHES.get(finding.kind)
        if brush is None or (finding.side is not Side.MIDLINE and lung.side not in finding.side.lungs):
            continue
        rng = np.random.default_rng([phantom.seed, 61, order, lung.side.sign + 1])
        density = brush(lung.with_density(density), finding, anatomy, rng)
    return lung.with_density(density)


def _soft(x: F32) -> F32:
    return np.asarray(np.clip(0.5 + 0.5 * x, 0, 1), np.float32)


def _mix(density: F32, share: F32, target: float) -> F32:
    """Fill `share` of each voxel's air with something of density `target`."""
    return density + np.clip(share, 0, 1) * (np.float32(target) - density)


def _texture(lung: Lung, rng: np.random.Generator, points: F32, *, size: float, count: int = 40) -> F32:
    """Return (D, h, w) about 0..1.5, patches of `size` mm around randomly chosen `points`."""
    if not len(points):
        return np.zeros(lung.density.shape, np.float32)
    centres = points[rng.integers(0, len(points), count)]
    sizes = (size * rng.uniform(0.6, 1.5, count)).astype(np.float32)
    return blobs(lung, centres, sizes, rng.uniform(0.4, 1.0, count).astype(np.float32))


def in_lobe(points: F32, place: Place, side: Side) -> F32:
    oblique = 72 + (points[:, 2] + 90) * 0.93
    behind, low = points[:, 1] > oblique, points[:, 1] > _MINOR_FISSURE
    if place is Place.LOWER:
        return points[behind]
    if place is Place.MIDDLE:
        return points[~behind & low]
    return points[~behind & (~low if side is Side.RIGHT else True)]


def _consolidation(lung: Lung, finding: Finding, anatomy: Anatomy, rng: np.random.Generator) -> F32:
    points = in_lobe(lung_points(anatomy, lung.side, rng), finding.place, lung.side)
    if not len(points):
        return lung.density
    level = finding.severity.level if finding.severity else 0.5
    heart = points[rng.integers(0, len(points))] if finding.severity is Severity.SMALL else points.mean(axis=0)
    near = points[np.linalg.norm(points - heart, axis=1) < 30 + 90 * level**1.2]
    if not len(near):
        near = points
    field = _texture(lung, rng, near, size=11 + 4 * level, count=round(26 + 74 * level))
    share = lobe(lung, finding.place) * (1 - np.exp(-2.4 * field))
    return _mix(lung.density, share * (0.75 + 0.2 * level), 0.97)


def _edema(lung: Lung, finding: Finding, anatomy: Anatomy, rng: np.random.Generator) -> F32:
    level = finding.severity.level if finding.severity else 0.5
    hilum = f32(HILUM[lung.side]) + f32([lung.side.sign * 14, 12, 0])
    wing = blobs(
        lung,
        np.stack([hilum, hilum + f32([lung.side.sign * 14, 42, -6])]),
        f32([42, 46]),
        f32([1, 0.9]),
    )
    points = lung_points(anatomy, lung.side, rng)
    patches = _texture(lung, rng, points, size=12, count=60)
    a, b, cx, cz = (float(v[0]) for v in anatomy.chest.at(np.asarray([150], np.float32)))
    rim = np.sqrt(((lung.x - cx) / a) ** 2 + ((lung.z - cz) / b) ** 2)
    spared = np.clip((1.02 - rim) / 0.22, 0.35, 1)
    low = np.clip((lung.y - 40) / 160, 0.25, 1)
    share = (0.20 + 0.50 * level) * wing * (0.4 + 0.6 * patches) * spared + (0.05 + 0.19 * level) * low
    return _mix(lung.density, share, 0.95)


def _viral(lung: Lung, finding: Finding, anatomy: Anatomy, rng: np.random.Generator) -> F32:
    """Return ground-glass patches under the pleura, most of them low and behind."""
    level = finding.severity.level if finding.severity else 0.5
    points = lung_points(anatomy, lung.side, rng)
    outer = points[(anatomy.chest.radius(points.T) > 0.74) & (np.abs(points[:, 0]) > 55)]
    if not len(outer):
        outer = points
    chance = np.clip((outer[:, 1] - 30) / 170, 0.08, 1) ** 1.3
    chosen = outer[rng.choice(len(outer), 14 + round(40 * level), p=chance / chance.sum())]
    count = len(chosen)
    field = blobs(
        lung, chosen, rng.uniform(10, 19, count).astype(np.float32), rng.uniform(0.5, 1, count).astype(np.float32)
    )
    return _mix(lung.density, (0.46 + 0.34 * level) * (1 - np.exp(-1.8 * field)), 0.95)


def _atelectasis(lung: Lung, finding: Finding, anatomy: Anatomy, rng: np.random.Generator) -> F32:
    """Return loss of volume: haze over the raised base, or a collapsed lobe against the mediastinum."""
    if finding.severity is Severity.SMALL:
        return lung.density
    s = lung.side.sign
    top = anatomy.dome_top[lung.side]
    if finding.severity is Severity.LARGE:
        across = s * lung.x - anatomy.shift * s
        if finding.place is Place.UPPER:
            edge = 62 - 0.34 * across + 0.0022 * across**2
            share = _soft((edge - lung.y) / 3.0)
        else:
            edge = 16 + np.clip(lung.y - 104, 0, None) * np.float32(0.50)
            share = _soft((edge - across) / 3.0) * _soft((28 - lung.z) / 8) * _soft((lung.y - 104) / 12)
        return _mix(lung.density, share, 1.0)
    patches = _texture(lung, rng, lung_points(anatomy, lung.side, rng), size=11, count=50)
    if finding.place is Place.UPPER:
        band = np.exp(-(((lung.y - 88) / 13) ** 2))
    else:
        band = np.exp(-((np.clip(top + 4 - lung.y, 0, None) / 22) ** 2))
    return _mix(lung.density, band * (0.3 + 0.45 * patches), 0.97)


def _emphysema(lung: Lung, finding: Finding, anatomy: Anatomy, rng: np.random.Generator) -> F32:
    level = finding.severity.level if finding.severity else 0.5
    upper = np.clip((190 - lung.y) / 150, 0.3, 1)
    thin = lung.density * (1 - (0.28 + 0.34 * level) * upper)
    points = lung_points(anatomy, lung.side, rng)
    high = points[(points[:, 1] < 120) & (np.abs(points[:, 0]) > 55)]
    if not len(high):
        return thin
    holes = _texture(lung, rng, high, size=10 + 5 * level, count=8 + round(14 * level))
    return thin * (1 - 0.7 * np.clip(holes, 0, 1))


_BRUSHES = {
    Kind.CONSOLIDATION: _consolidation,
    Kind.EDEMA: _edema,
    Kind.VIRAL: _viral,
    Kind.ATELECTASIS: _atelectasis,
    Kind.EMPHYSEMA: _emphysema,
}
