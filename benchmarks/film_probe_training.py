"""Train the network of the film probe: eight turns of a film compete, and made pictures are no chest films.

It is small, so that it is trained on a processor in ten minutes and asked about a film in milliseconds.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F  # noqa: N812 (its usual name)
from filmroom.search.checks.thumbnails.film_probe import SIDE
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from scipy.ndimage import gaussian_filter
from torch import Tensor, nn

Pixels = NDArray[Any]
_LARGE = 96
_BATCH = 96
_EPOCHS = 20
_MADE = 4_000
_RNG = np.random.default_rng(0)


def network() -> nn.Sequential:
    layers: list[nn.Module] = []
    before = 1
    for channels, kernel in zip((12, 24, 32, 48), (5, 3, 3, 3), strict=True):
        layers += [nn.Conv2d(before, channels, kernel, stride=2, padding=kernel // 2), nn.BatchNorm2d(channels)]
        layers.append(nn.ReLU())
        before = channels
    tail = [nn.Flatten(), nn.Dropout(0.2), nn.Linear(before * (SIDE // 16) ** 2, 32), nn.ReLU(), nn.Dropout(0.1)]
    return nn.Sequential(*layers, *tail, nn.Linear(32, 2))


def fit(frontal: list[bytes], lateral: list[bytes]) -> nn.Sequential:
    """Train on thumbnails of frontal films that lie right, and of lateral ones."""
    torch.manual_seed(0)
    films, others = (np.stack([_pixels(one) for one in some]) for some in (frontal, lateral))
    made = np.stack([_made(films) if at % 8 else _part(others, 0.9, 1.0) for at in range(_MADE)])
    net, known = network(), torch.from_numpy(films)
    steps = len(films) // _BATCH
    optimiser = torch.optim.AdamW(net.parameters(), 3e-3, weight_decay=0.03)
    rate = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=_EPOCHS * steps)
    right = torch.zeros(_BATCH, dtype=torch.long)
    for _ in range(_EPOCHS):
        order = _RNG.permutation(len(films))
        for step in range(steps):
            some = _turns(_normal(_varied(known[order[step * _BATCH : (step + 1) * _BATCH]])))
            chosen = [0, 4, *_RNG.choice([1, 2, 3, 5, 6, 7], 2, replace=False).tolist()]
            no_film = torch.from_numpy(made[_RNG.integers(0, _MADE, _BATCH // 2)].astype(np.float32))
            no_film = _turns(_normal(no_film))[:, int(_RNG.integers(8))]
            scores = net(torch.cat([some[:, chosen].reshape(-1, 1, SIDE, SIDE), no_film[:, None]]))
            lies = scores[: 4 * _BATCH, 0].reshape(_BATCH, 4)
            is_film = torch.cat([scores[: 4 * _BATCH : 4, 1], scores[4 * _BATCH :, 1]])
            truth = torch.cat([torch.ones(_BATCH), torch.zeros(_BATCH // 2)])
            loss = F.cross_entropy(lies, right, label_smoothing=0.02)
            loss = loss + 0.5 * F.binary_cross_entropy_with_logits(is_film, truth)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            rate.step()
    return net.eval()


def export(net: nn.Sequential, to: Path) -> None:
    names = {"input_names": ["pictures"], "output_names": ["scores"]}
    axes = {"pictures": {0: "n"}, "scores": {0: "n"}}
    torch.onnx.export(
        net, (torch.zeros(8, 1, SIDE, SIDE),), str(to), dynamic_axes=axes, opset_version=17, dynamo=False, **names
    )


def _pixels(webp: bytes) -> Pixels:
    with Image.open(io.BytesIO(webp)) as picture:
        return np.asarray(picture.convert("L").resize((_LARGE, _LARGE), Image.Resampling.BILINEAR), np.float32)


def _turns(pictures: Tensor) -> Tensor:
    mirrored = torch.flip(pictures, (2,))
    return torch.stack([torch.rot90(one, turn, (1, 2)) for one in (pictures, mirrored) for turn in range(4)], 1)


def _normal(pictures: Tensor) -> Tensor:
    mean, spread = pictures.mean((1, 2), keepdim=True), pictures.std((1, 2), keepdim=True)
    return ((pictures - mean) / (spread + 4)).clamp(-3, 3)


def _varied(pictures: Tensor) -> Tensor:
    """Turn films by a few degrees, shift, stretch and window them, and put letters and shutters on them."""
    count = len(pictures)
    angle, stretch = np.deg2rad(_RNG.normal(0, 6, count)), _RNG.normal(0, 0.05, count)
    size = 1 + _RNG.normal(-0.04, 0.08, count)
    place = np.zeros((count, 2, 3), np.float32)
    place[:, 0, 0], place[:, 0, 1] = np.cos(angle) * size * (1 + stretch), -np.sin(angle) * size
    place[:, 1, 0], place[:, 1, 1] = np.sin(angle) * size, np.cos(angle) * size * (1 - stretch)
    place[:, :, 2] = _RNG.normal(0, 0.06, (count, 2))
    grid = F.affine_grid(torch.from_numpy(place), [count, 1, SIDE, SIDE], align_corners=False)
    varied = F.grid_sample(pictures[:, None], grid, align_corners=False)[:, 0]
    gamma, gain = np.exp(_RNG.normal(0, 0.3, count)), 1 + _RNG.normal(0, 0.2, count)
    curve, scale = (torch.from_numpy(one.astype(np.float32))[:, None, None] for one in (gamma, gain))
    varied = ((varied / 255).clamp(0, 1) ** curve * 255 * scale).clamp(0, 255)
    for one in varied:
        for _ in range(_RNG.integers(0, 4)):
            (tall, wide), grey = _RNG.integers(2, 14, 2), float(_RNG.choice([0, 255, _RNG.integers(255)]))
            top, left = _RNG.integers(0, SIDE - tall), _RNG.integers(0, SIDE - wide)
            one[top : top + tall, left : left + wide] = grey
        for edge in (one, one.T, one.flip(0), one.T.flip(0)):
            if _RNG.random() < 0.15:
                edge[: int(_RNG.integers(1, 8))] = 0
    return varied


def _made(films: Pixels) -> Pixels:
    """Make a picture that is no chest film."""
    kind = _RNG.choice(6, p=[0.13, 0.17, 0.3, 0.1, 0.2, 0.1])
    makers = (_noise, _shapes, _limb, _text)
    made = makers[kind]() if kind < 4 else _part(films, 0.2, 0.42) if kind == 4 else _shuffled(films)
    return -made if _RNG.random() < 0.3 else made


def _resized(pixels: Pixels) -> Pixels:
    return np.asarray(Image.fromarray(pixels.astype(np.float32)).resize((SIDE, SIDE), Image.Resampling.BICUBIC))


def _noise() -> Pixels:
    cells = _RNG.choice([3, 5, 9, 17, 33, 96], _RNG.integers(1, 4), replace=False)
    return sum((_resized(_RNG.random((one, one))) * _RNG.uniform(0.3, 1) for one in cells), np.zeros((SIDE, SIDE)))


def _shapes() -> Pixels:
    picture = Image.new("L", (SIDE, SIDE), int(_RNG.integers(0, 120)))
    pen = ImageDraw.Draw(picture)
    for _ in range(_RNG.integers(1, 9)):
        a, b, c, d = (int(one) for one in _RNG.integers(-10, SIDE + 10, 4))
        box, grey = (min(a, c), min(b, d), max(a, c), max(b, d)), int(_RNG.integers(0, 256))
        draw = _RNG.choice(3)
        if draw == 2:
            pen.line((a, b, c, d), fill=grey, width=int(_RNG.integers(1, 14)))
        else:
            (pen.ellipse if draw else pen.rectangle)(box, fill=grey)
    return gaussian_filter(np.asarray(picture, float), _RNG.uniform(0.3, 3))


def _limb() -> Pixels:
    """Bars of bone in soft tissue, a joint or a skull among them."""
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    film, bars, angle = np.zeros((SIDE, SIDE)), int(_RNG.integers(1, 6)), _RNG.uniform(0, np.pi)
    for bar in range(bars):
        turn, at = angle + _RNG.normal(0, 0.15), (bar - (bars - 1) / 2) * _RNG.uniform(0.12, 0.22)
        across, along = np.abs(np.cos(turn) * x + np.sin(turn) * y - at), np.cos(turn) * y - np.sin(turn) * x
        width = _RNG.uniform(0.05, 0.13) if bars > 1 else _RNG.uniform(0.12, 0.3)
        end = np.clip((_RNG.uniform(0.2, 0.7) - np.abs(along)) * 12, 0, 1)
        for wide, dense in ((width, 0.6), (width * _RNG.uniform(0.3, 0.6), 1.0)):
            film += np.sqrt(np.clip(1 - (across / wide) ** 2, 0, 1)) * end * dense
    if _RNG.random() < 0.5:
        radius = np.hypot(x - _RNG.uniform(-0.2, 0.2), (y - _RNG.uniform(-0.2, 0.2)) * _RNG.uniform(0.7, 1.3))
        film += np.sqrt(np.clip(1 - (radius / _RNG.uniform(0.1, 0.4)) ** 2, 0, 1)) * _RNG.uniform(0.3, 1.2)
    return gaussian_filter(film, 1) * 150 + _RNG.normal(0, 3, (SIDE, SIDE)) + _noise() * _RNG.uniform(0, 20)


def _text() -> Pixels:
    ground = int(_RNG.choice([0, 235, 255]))
    picture = Image.new("L", (SIDE, SIDE), ground)
    pen = ImageDraw.Draw(picture)
    for line in range(2, SIDE - 6, 10):
        pen.text((2, line), "".join(chr(_RNG.integers(97, 123)) for _ in range(12)), fill=255 - ground)
    return np.asarray(picture, float)


def _part(films: Pixels, least: float, most: float) -> Pixels:
    film = films[_RNG.integers(len(films))]
    side = int(len(film) * _RNG.uniform(least, most))
    top, left = _RNG.integers(0, len(film) - side + 1, 2)
    return _resized(film[top : top + side, left : left + side])


def _shuffled(films: Pixels) -> Pixels:
    film, parts = films[_RNG.integers(len(films))], int(_RNG.choice([2, 3, 4]))
    side = len(film) // parts
    order = _RNG.permutation(parts * parts)
    tiles = [film[r * side : (r + 1) * side, c * side : (c + 1) * side] for r in range(parts) for c in range(parts)]
    return _resized(np.block([[tiles[order[r * parts + c]] for c in range(parts)] for r in range(parts)]))
