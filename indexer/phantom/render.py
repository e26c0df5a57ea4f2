"""A phantom's film: all solids and clouds projected, then exposed."""

from __future__ import annotations

import numpy as np

from indexer.phantom.anatomy import LUNGS, Anatomy, build
from indexer.phantom.bones import skeleton
from indexer.phantom.camera import F32, Camera, camera
from indexer.phantom.devices import devices
from indexer.phantom.film import enlarge, expose
from indexer.phantom.lesions import bands, hernia, round_lesions
from indexer.phantom.lungs import Lung, lungs
from indexer.phantom.opacities import paint
from indexer.phantom.pleura import fill, pleural_lines
from indexer.phantom.solids import Ellipsoid, Span, overlap
from indexer.phantom.spec import Kind, Phantom, Side
from indexer.phantom.splat import Cloud, join, splat
from indexer.phantom.vessels import airways, central, lung_points, trees

_SOLID_MM = 1.5
_CLOUD_MM = 0.62
_HEALTHY = 0.23


def render(phantom: Phantom, size: int = 384) -> F32:
    """(H, W) float32 presentation pixels, 0 black to 1 white, the long side `size` pixels.

    The same phantom and size always give the same pixels.
    """
    view = camera(phantom, size)
    anatomy = build(phantom)
    coarse = view.coarser(_SOLID_MM)
    shape = (view.rows, view.columns)
    both = _diseased(phantom, anatomy, coarse)
    water = enlarge(_solid_water(phantom, anatomy, coarse, both), shape)
    water = water + enlarge(_cloud_water(phantom, anatomy, view.coarser(_CLOUD_MM), coarse, both), shape)
    rng = np.random.default_rng([phantom.seed, 97])
    return expose(np.maximum(water, 0), phantom, view.pixel, rng)


def _diseased(phantom: Phantom, anatomy: Anatomy, view: Camera) -> dict[Side, Lung]:
    breath = _HEALTHY + 0.07 * (0.7 - phantom.technique.inspiration)
    healthy = lungs(anatomy, view, density=breath)
    return {side: fill(paint(one, phantom, anatomy), phantom, anatomy) for side, one in healthy.items()}


def _solid_water(phantom: Phantom, anatomy: Anatomy, view: Camera, both: dict[Side, Lung]) -> F32:
    shape = (view.rows, view.columns)
    skin, muscle = anatomy.skin.span(view), anatomy.muscle.span(view)
    water = 0.90 * skin.length + 0.12 * muscle.length
    water += _arms(anatomy, skin, view)
    for breast in anatomy.breasts:
        span = breast.span(view)
        if span:
            here = (span.rows, span.columns)
            beyond = span.length - overlap(skin, span, shape)[here]
            # It hangs from the chest wall: thin above, full below.
            hang = np.clip((np.arange(len(span.length)) + 0.5) / (0.75 * len(span.length)), 0, 1)
            water[here] += 0.93 * beyond * (hang * hang * (3 - 2 * hang)).astype(np.float32)[:, None]
    for bubble in anatomy.gas:
        span = bubble.span(view)
        if span:
            water[span.rows, span.columns] -= 0.9 * span.length
    water *= 1 + 0.02 * _mottle(phantom, shape)
    grain = _parenchyma(phantom, view)
    for one in both.values():
        here = (one.rows, one.columns)
        water[here] -= one.removed() * (1 + grain[here])
    for group in round_lesions(phantom, anatomy):
        water += _union(group, view)
    _, pouch = hernia(phantom, anatomy)
    if pouch is not None:
        span = pouch.span(view)
        if span:
            fluid = slice(0, int(0.45 * len(span.length)))
            water[span.rows, span.columns][fluid] -= 0.85 * span.length[fluid]
    return water


def _parenchyma(phantom: Phantom, view: Camera) -> F32:
    """Small airways, septa and vessels below what is drawn one by one: (H, W) relative variation of the lung's air."""
    rng = np.random.default_rng([phantom.body.seed, 43])
    shape = (view.rows, view.columns)
    wide, tall = phantom.technique.field_width, phantom.technique.field_height
    out = np.zeros(shape, np.float32)
    for size, share in ((1.6, 0.011), (3.5, 0.013), (9.0, 0.014)):
        cells = (max(4, round(tall / size)), max(4, round(wide / size)))
        out += np.float32(share) * enlarge(rng.standard_normal(cells, dtype=np.float32), shape)
    return out


def _union(group: tuple[Ellipsoid, ...], view: Camera) -> F32:
    """(H, W) mm of water that a lesion adds; its parts melt into one. A little calcium makes up for the air that it
    replaces."""
    total = np.zeros((view.rows, view.columns), np.float32)
    for part in group:
        span = part.span(view)
        if span:
            total[span.rows, span.columns] += span.length**3
    return np.cbrt(total)


def _arms(anatomy: Anatomy, skin: Span, view: Camera) -> F32:
    shape = (view.rows, view.columns)
    total = np.zeros(shape, np.float32)
    for arm in anatomy.arms:
        span = arm.span(view)
        if span:
            beyond = np.zeros(shape, np.float32)
            beyond[span.rows, span.columns] = span.length
            total = np.maximum(total, beyond - overlap(skin, span, shape))
    return 0.95 * total


def _mottle(phantom: Phantom, shape: tuple[int, int]) -> F32:
    """Muscle, fat and skin folds are not even: (H, W), about -1..1, in patches of centimetres."""
    rng = np.random.default_rng([phantom.body.seed, 41])
    coarse = enlarge(rng.standard_normal((9, 9), dtype=np.float32), shape)
    fine = enlarge(rng.standard_normal((34, 34), dtype=np.float32), shape)
    return 0.6 * coarse + 0.35 * fine


def _cloud_water(phantom: Phantom, anatomy: Anatomy, view: Camera, coarse: Camera, both: dict[Side, Lung]) -> F32:
    step = 0.8 * view.pixel
    parts = [
        skeleton(phantom, anatomy, step=1.3 * step),
        airways(anatomy, 1.6 * step),
        *devices(phantom, anatomy, step=step),
    ]
    rng = np.random.default_rng([phantom.body.seed, 53])
    congested = max((0.14 + 0.12 * f.severity.level for f in phantom.of(Kind.EDEMA) if f.severity), default=0.0)
    pruned = 0.22 if phantom.of(Kind.EMPHYSEMA) else 0.0
    wide = 1 + congested - pruned
    ends = {side: lung_points(anatomy, side, rng, 1536) for side in LUNGS}
    arteries = trees(anatomy, {s: p[:1024] for s, p in ends.items()}, rng, root=4.5 * wide, step=1.3 * step)
    veins = trees(anatomy, {s: p[1024:] for s, p in ends.items()}, rng, root=3.9 * wide, step=1.3 * step)
    for side in LUNGS:
        vessels = join([central(anatomy, side, 1.4 * step, wide=wide), arteries[side], veins[side]])
        parts.append(_seen(vessels, both[side], coarse))
    parts += bands(phantom, anatomy, step) + pleural_lines(phantom, anatomy, step)
    return splat(parts, view)


def _seen(vessels: Cloud, lung: Lung, view: Camera) -> Cloud:
    """Vessels show only against air: none in consolidated lung, in fluid, or where a pneumothorax has no lung."""
    column, row, depth = view.project(vessels.points)
    slab = ((depth - lung.near) / lung.thick).astype(np.int32)
    index = (
        np.clip(slab, 0, lung.air.shape[0] - 1),
        np.clip(row.astype(np.int32) - lung.rows.start, 0, lung.air.shape[1] - 1),
        np.clip(column.astype(np.int32) - lung.columns.start, 0, lung.air.shape[2] - 1),
    )
    density = lung.density[index]
    contrast = np.where(density > 0.02, np.clip((1 - density) / (1 - _HEALTHY), 0, 1.2), 0)
    return Cloud(vessels.points, vessels.mass * contrast.astype(np.float32))
