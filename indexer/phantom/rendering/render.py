"""Render a phantom's film: all solids and clouds projected, then exposed."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from filmroom.indexer.phantom.body.anatomy import LUNGS, Anatomy, build
from filmroom.indexer.phantom.body.bones import skeleton
from filmroom.indexer.phantom.body.devices import devices
from filmroom.indexer.phantom.body.lesions import bands, hernia, round_lesions
from filmroom.indexer.phantom.body.lungs import Lung, lungs
from filmroom.indexer.phantom.body.opacities import paint
from filmroom.indexer.phantom.body.pleura import fill, pleural_lines
from filmroom.indexer.phantom.body.vessels import airways, central, trees
from filmroom.indexer.phantom.film import enlarge, expose
from filmroom.indexer.phantom.rendering.camera import F32, Camera, camera
from filmroom.indexer.phantom.rendering.solids import Ellipsoid, Span, overlap, spans
from filmroom.indexer.phantom.rendering.splat import Matter, Shadow, splat
from filmroom.indexer.phantom.spec import Kind, Phantom, Side
from numpy.typing import NDArray

_SOLID_MM = 1.5
_CLOUD_MM = 0.62
_HEALTHY = 0.23
# Once a block of this size has been given back, glibc keeps smaller ones for what comes next. Otherwise every film has
# its memory mapped anew, page by page: a tenth of its time.
np.empty(1 << 24, np.uint8)


def render(phantom: Phantom, size: int = 384) -> F32:
    """Return (H, W) float32 presentation pixels, 0 black to 1 white, the long side `size` pixels.

    The same phantom and size always give the same pixels.
    """
    view = camera(phantom, size)
    anatomy = build(phantom)
    coarse = view.coarser(_SOLID_MM)
    shape = (view.rows, view.columns)
    lungs = _diseased(phantom, anatomy, coarse)
    water = enlarge(_solid_water(phantom, anatomy, coarse, lungs), shape)
    water = water + enlarge(_cloud_water(phantom, anatomy, view.coarser(_CLOUD_MM), coarse, lungs), shape)
    rng = np.random.default_rng([phantom.seed, 97])
    return expose(np.maximum(water, 0), phantom, view.pixel, rng)


def _diseased(phantom: Phantom, anatomy: Anatomy, view: Camera) -> dict[Side, Lung]:
    breath = _HEALTHY + 0.07 * (0.7 - phantom.technique.inspiration)
    healthy = lungs(anatomy, view, density=breath)
    return {side: fill(paint(lung, phantom, anatomy), phantom, anatomy) for side, lung in healthy.items()}


def _solid_water(phantom: Phantom, anatomy: Anatomy, view: Camera, lungs: dict[Side, Lung]) -> F32:
    shape = (view.rows, view.columns)
    skin, muscle = anatomy.skin.span(view), anatomy.muscle.span(view)
    water = 0.90 * skin.length + 0.12 * muscle.length
    water += _arms(anatomy, skin, view)
    for breast in spans(anatomy.breasts, view):
        # It hangs from the chest wall: thin above, full below.
        hang = np.clip((np.arange(len(breast.length)) + 0.5) / (0.75 * len(breast.length)), 0, 1)
        hang = (0.93 * hang * hang * (3 - 2 * hang)).astype(np.float32)[:, None]
        water[breast.rows, breast.columns] += (breast.length - overlap(skin, breast)) * hang
    for bubble in spans(anatomy.gas, view):
        water[bubble.rows, bubble.columns] -= 0.9 * bubble.length
    water *= 1 + 0.02 * _mottle(phantom, shape)
    grain = _parenchyma(phantom, view)
    for lung in lungs.values():
        window = (lung.rows, lung.columns)
        water[window] -= lung.removed() * (1 + grain[window])
    for group in round_lesions(phantom, anatomy):
        water += _union(group, view)
    for pouch in spans(hernia(phantom, anatomy), view):
        gas = slice(0, int(0.45 * len(pouch.length)))
        water[pouch.rows, pouch.columns][gas] -= 0.85 * pouch.length[gas]
    return water


def _parenchyma(phantom: Phantom, view: Camera) -> F32:
    """Return small airways, septa and vessels below what is drawn one by one: (H, W) relative variation of the lung's
    air."""
    rng = np.random.default_rng([phantom.body.seed, 43])
    shape = (view.rows, view.columns)
    wide, tall = phantom.technique.field_width, phantom.technique.field_height
    out = np.zeros(shape, np.float32)
    for size, share in ((1.6, 0.011), (3.5, 0.013), (9.0, 0.014)):
        cells = (max(4, round(tall / size)), max(4, round(wide / size)))
        out += np.float32(share) * enlarge(rng.standard_normal(cells, dtype=np.float32), shape)
    return out


def _union(group: tuple[Ellipsoid, ...], view: Camera) -> F32:
    """Return (H, W) mm of water that a lesion adds; its parts melt into one. A little calcium makes up for the air that
    it replaces."""
    total = np.zeros((view.rows, view.columns), np.float32)
    for part in spans(group, view):
        total[part.rows, part.columns] += part.length**3
    return np.cbrt(total)


def _arms(anatomy: Anatomy, skin: Span, view: Camera) -> F32:
    total = np.zeros((view.rows, view.columns), np.float32)
    for arm in spans(anatomy.arms, view):
        window = total[arm.rows, arm.columns]
        np.maximum(window, 0.95 * (arm.length - overlap(skin, arm)), out=window)
    return total


def _mottle(phantom: Phantom, shape: tuple[int, int]) -> F32:
    """Return the unevenness of muscle, fat and skin folds: (H, W), about -1..1, in patches of centimetres."""
    rng = np.random.default_rng([phantom.body.seed, 41])
    coarse = enlarge(rng.standard_normal((9, 9), dtype=np.float32), shape)
    fine = enlarge(rng.standard_normal((34, 34), dtype=np.float32), shape)
    return 0.6 * coarse + 0.35 * fine


def _cloud_water(phantom: Phantom, anatomy: Anatomy, view: Camera, coarse: Camera, lungs: dict[Side, Lung]) -> F32:
    step = 0.8 * view.pixel
    parts: list[Matter] = [
        *skeleton(phantom, anatomy, step=1.3 * step),
        *airways(anatomy, 1.6 * step),
        *devices(phantom, anatomy, step=step),
        *bands(phantom, anatomy, step),
        *pleural_lines(phantom, anatomy, step),
    ]
    shadows = [part.cast(view) for part in parts]
    rng = np.random.default_rng([phantom.body.seed, 53])
    congested = max((0.14 + 0.12 * f.severity.level for f in phantom.of(Kind.EDEMA) if f.severity), default=0.0)
    pruned = 0.22 if phantom.of(Kind.EMPHYSEMA) else 0.0
    wide = 1 + congested - pruned
    branches = trees(anatomy, rng, wide=wide, step=1.3 * step)
    for side in LUNGS:
        vessels: list[Matter] = [*central(anatomy, side, 1.4 * step, wide=wide), branches[side]]
        shadows += [_seen(part.cast(view), lungs[side], view.pixel / coarse.pixel) for part in vessels]
    return splat(shadows, view)


def _seen(vessels: Shadow, lung: Lung, shrink: float) -> Shadow:
    """Hide vessels where there is no air: in consolidated lung, in fluid, or where a pneumothorax has no lung. A pixel
    of theirs is `shrink` pixels of the lung's."""
    if lung.even:
        return replace(vessels, mass=vessels.mass * _contrast(lung.density[0, 0, 0]))
    slabs, rows, columns = lung.density.shape
    slab = _index((vessels.depth - np.float32(lung.near)) * np.float32(1 / lung.thick), slabs)
    down = _index(vessels.row * np.float32(shrink) - np.float32(lung.rows.start), rows)
    over = _index(vessels.column * np.float32(shrink) - np.float32(lung.columns.start), columns)
    return replace(vessels, mass=vessels.mass * _contrast(lung.density[slab, down, over]))


def _index(place: F32, count: int) -> NDArray[np.intp]:
    return np.minimum(np.maximum(place, 0), count - 1).astype(np.intp)


def _contrast(density: F32) -> F32:
    """Return what remains of a vessel's own density, which healthy lung around it shows whole."""
    return np.where(density > 0.02, np.clip((1 - density) / np.float32(1 - _HEALTHY), 0, 1.2), np.float32(0))
