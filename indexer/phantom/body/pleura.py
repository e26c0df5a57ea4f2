"""Draw disease between lung and chest wall: fluid, air, scars."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from filmroom.indexer.phantom.body.anatomy import Anatomy
from filmroom.indexer.phantom.body.lungs import Lung
from filmroom.indexer.phantom.rendering.camera import F32
from filmroom.indexer.phantom.rendering.splat import Copies, tube
from filmroom.indexer.phantom.spec import Finding, Kind, Phantom, Place, View


def fill(lung: Lung, phantom: Phantom, anatomy: Anatomy) -> Lung:
    """Return the lung with fluid, free air and thickened pleura around it, in that order from last to first."""
    mine = [f for f in phantom.findings if lung.side in f.side.lungs]
    density = lung.density
    if not any(f.kind in (Kind.PNEUMOTHORAX, Kind.PLEURAL_THICKENING, Kind.EFFUSION) for f in mine):
        return lung
    radius = _radius(lung, anatomy)
    for finding in mine:
        if finding.kind is Kind.PNEUMOTHORAX:
            density = _pneumothorax(lung, density, finding, anatomy)
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
    """Return (D, h, w) 0 on the chest's axis, 1 at the chest wall."""
    a, b, cx, cz = anatomy.chest.at(lung.y[0, :, 0])
    a, b, cx, cz = (v[None, :, None] for v in (np.maximum(a, 1), np.maximum(b, 1), cx, cz))
    return np.sqrt(((lung.x - cx) / a) ** 2 + ((lung.z - cz) / b) ** 2)


def _ramp(x: F32) -> F32:
    return np.clip(x, 0, 1)


def _effusion(lung: Lung, density: F32, finding: Finding, radius: F32, anatomy: Anatomy) -> F32:
    """Return the free fluid of a standing patient: a level that climbs along the chest wall (meniscus)."""
    level = finding.severity.level if finding.severity else 0.5
    top = anatomy.dome_top[lung.side]
    middle = top + 30 - 46 * level - 92 * level * level
    climb = (14 + 34 * level) * np.exp((np.clip(radius, 0, 1) - 1) / 0.13)
    return density + _ramp((lung.y - middle + climb) / 5.0) * (1 - density)


def _layer(lung: Lung, density: F32, finding: Finding, radius: F32, anatomy: Anatomy) -> F32:
    """Return fluid behind the lung of a lying patient: a veil, thicker towards the base."""
    level = finding.severity.level if finding.severity else 0.5
    a, b, cx, cz = (v[None, :, None] for v in anatomy.chest.at(lung.y[0, :, 0]))
    inside = np.clip(1 - ((lung.x - cx) / np.maximum(a, 1)) ** 2, 0, 1) ** 0.43
    back = cz - b * inside
    thick = (16 + 46 * level) * np.clip((lung.y - 10) / 190, 0.12, 1.15)
    share = _ramp((back + thick - lung.z) / 8.0)
    base = _ramp((lung.y - (anatomy.dome_top[lung.side] + 22 - 30 * level) + 18 * (radius - 0.8) / 0.2) / 14.0)
    return density + np.maximum(share, base) * (1 - density)


@dataclass(frozen=True)
class Edge:
    """The outline of a lung that has come off the chest wall: at height y it reaches from |x| = `inner` to `outer`."""

    y: F32
    inner: F32
    outer: F32


def lung_edge(finding: Finding, anatomy: Anatomy, y: F32) -> Edge:
    """Say where the visceral pleura stands in a pneumothorax, at the heights y (N,); inner = outer above the apex."""
    level = finding.severity.level if finding.severity else 0.5
    high = 0.06 + 1.2 / (1 + (y / 120) ** 2)
    a, _, _cx, _ = anatomy.chest.at(y)
    reach = np.maximum(a, 1) * (1 - (0.13 + 0.16 * level + 0.26 * level**3) * high)
    apex = 17 + 22 * level + 28 * level**2
    dome = np.sqrt(np.clip(1 - (np.clip(apex + 40 - y, 0, 40) / 40) ** 2, 0, 1))
    middle = np.minimum(44.0, reach - 12)
    return Edge(
        y, (middle - dome * (middle + 10)).astype(np.float32), (middle + dome * (reach - middle)).astype(np.float32)
    )


def _pneumothorax(lung: Lung, density: F32, finding: Finding, anatomy: Anatomy) -> F32:
    """Return the lung shrinks towards the hilum; around it is air without any markings."""
    level = finding.severity.level if finding.severity else 0.5
    edge = lung_edge(finding, anatomy, lung.y[0, :, 0])
    x = np.abs(lung.x)
    outside = np.maximum(_ramp((x - edge.outer[None, :, None]) / 2.0), _ramp((edge.inner[None, :, None] - x) / 2.0))
    dense = np.minimum(density * (1.1 + 0.5 * level + 1.1 * level**3), 0.8)
    return np.asarray(dense * (1 - outside), np.float32)


def pleural_lines(phantom: Phantom, anatomy: Anatomy, step: float) -> list[Copies]:
    """Return the thin white line of the visceral pleura, seen edge-on in a pneumothorax."""
    out = []
    for finding in phantom.of(Kind.PNEUMOTHORAX):
        for side in finding.side.lungs:
            y = np.arange(8, anatomy.dome_top[side] - 6, 1.0, dtype=np.float32)
            edge = lung_edge(finding, anatomy, y)
            detached = edge.outer - edge.inner > 3
            z = anatomy.chest.at(y)[3]
            outer = np.stack([side.sign * edge.outer, y, z], axis=1)[detached]
            inner = np.stack([side.sign * edge.inner, y, z], axis=1)[detached & (edge.inner > 14)][::-1]
            line = np.concatenate([inner, outer]).astype(np.float32)
            across = np.zeros_like(line) + np.asarray([0, 0, 1], np.float32)
            out.append(tube(line, radius=7.0, flat=0.55, across=across, step=min(step, 0.7), core=0.42, wall=0.42))
    return out


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
