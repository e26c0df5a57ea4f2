"""Disease between lung and chest wall: fluid, air, scars."""

from __future__ import annotations

import numpy as np

from indexer.phantom.anatomy import Anatomy
from indexer.phantom.camera import F32
from indexer.phantom.lungs import Lung
from indexer.phantom.spec import Finding, Kind, Phantom, Place, Side, View


def fill(lung: Lung, phantom: Phantom, anatomy: Anatomy) -> Lung:
    """The lung with fluid, free air and thickened pleura around it, in that order from last to first."""
    mine = [f for f in phantom.findings if lung.side in f.side.lungs]
    density = lung.density
    if not any(f.kind in (Kind.PNEUMOTHORAX, Kind.PLEURAL_THICKENING, Kind.EFFUSION) for f in mine):
        return lung
    radius = _radius(lung, anatomy)
    for finding in mine:
        if finding.kind is Kind.PNEUMOTHORAX:
            density = _pneumothorax(lung, density, finding, radius)
    for finding in mine:
        if finding.kind is Kind.PLEURAL_THICKENING:
            density = _thickening(lung, density, finding, radius, np.random.default_rng([phantom.seed, 71]))
    for finding in mine:
        if finding.kind is Kind.EFFUSION:
            supine = phantom.view is View.AP_SUPINE
            put = _layer if supine else _effusion
            density = put(lung, density, finding, radius, anatomy)
    return lung.with_density(density)


def _radius(lung: Lung, anatomy: Anatomy) -> F32:
    """(D, h, w) 0 on the chest's axis, 1 at the chest wall."""
    a, b, cx, cz = anatomy.chest.at(lung.y[0, :, 0])
    a, b, cx, cz = (v[None, :, None] for v in (np.maximum(a, 1), np.maximum(b, 1), cx, cz))
    return np.sqrt(((lung.x - cx) / a) ** 2 + ((lung.z - cz) / b) ** 2)


def _ramp(x: F32) -> F32:
    return np.clip(x, 0, 1)


def _effusion(lung: Lung, density: F32, finding: Finding, radius: F32, anatomy: Anatomy) -> F32:
    """Free fluid of a standing patient: a level that climbs along the chest wall (meniscus)."""
    level = finding.severity.level if finding.severity else 0.5
    top = anatomy.dome_top[lung.side]
    middle = top + 30 - 46 * level - 92 * level * level
    climb = (14 + 34 * level) * np.exp((np.clip(radius, 0, 1) - 1) / 0.13)
    return density + _ramp((lung.y - middle + climb) / 5.0) * (1 - density)


def _layer(lung: Lung, density: F32, finding: Finding, radius: F32, anatomy: Anatomy) -> F32:
    """Fluid behind the lung of a lying patient: a veil, thicker towards the base."""
    level = finding.severity.level if finding.severity else 0.5
    a, b, cx, cz = (v[None, :, None] for v in anatomy.chest.at(lung.y[0, :, 0]))
    inside = np.clip(1 - ((lung.x - cx) / np.maximum(a, 1)) ** 2, 0, 1) ** 0.43
    back = cz - b * inside
    thick = (16 + 46 * level) * np.clip((lung.y - 10) / 190, 0.12, 1.15)
    share = _ramp((back + thick - lung.z) / 8.0)
    base = _ramp((lung.y - (anatomy.dome_top[lung.side] + 22 - 30 * level) + 18 * (radius - 0.8) / 0.2) / 14.0)
    return density + np.maximum(share, base) * (1 - density)


def _pneumothorax(lung: Lung, density: F32, finding: Finding, radius: F32) -> F32:
    """The lung shrinks towards the hilum; around it is air without any markings, and its own edge shows as a line."""
    level = finding.severity.level if finding.severity else 0.5
    high = np.clip(1.25 - lung.y / 190, 0.25, 1.25)
    rim = 1 - (0.10 + 0.16 * level + 0.26 * level**3) * high
    apex = 16 + 22 * level + 26 * level**2
    side = np.clip(np.abs(lung.x) / 60, 0, 1)
    # Distance outside the shrunken lung, in parts of the chest's radius; only beside and above, not at the heart.
    beyond = np.maximum((radius - rim) * side, (apex - lung.y) / 130)
    dense = np.minimum(density * (1.1 + 0.5 * level + 1.1 * level**3), 0.8)
    line = 0.85 * np.exp(-((beyond / 0.011) ** 2))
    shrunk = np.where(beyond > 0, 0.0, dense)
    return np.maximum(shrunk, line).astype(np.float32)


def _thickening(lung: Lung, density: F32, finding: Finding, radius: F32, rng: np.random.Generator) -> F32:
    level = finding.severity.level if finding.severity else 0.5
    wave = 1 + 0.35 * np.sin(lung.y / rng.uniform(7, 12) + rng.uniform(0, 6)) * np.sin(lung.z / 19 + 1)
    if finding.place is Place.APICAL:
        cap = (7 + 15 * level) * wave
        share = _ramp((cap - lung.y + 22 * np.clip(radius - 0.75, 0, 1)) / 3)
    else:
        rind = (0.035 + 0.075 * level) * wave * np.clip((lung.y - 70) / 70, 0.15, 1)
        share = _ramp((radius - 1 + rind) / 0.012)
    return density + share * (1 - density) * 0.95


def free_air(phantom: Phantom, side: Side) -> bool:
    return any(side in f.side.lungs for f in phantom.of(Kind.PNEUMOTHORAX))
