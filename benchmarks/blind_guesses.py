"""Baselines for `unseen_films.py`: probes that see global grey statistics only, or features of ImageNet."""

from __future__ import annotations

import csv
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.indexer.models.exported.onnx import OnnxTowers
from model_card import Dev
from numpy.typing import NDArray
from PIL import Image

F32 = NDArray[np.float32]
Grey = NDArray[np.uint8]
Features = Callable[[Sequence[Grey]], F32]


def read_film(path: Path) -> Grey:
    """Return (H, W) uint8."""
    with Image.open(path) as picture:
        return np.asarray(picture.convert("L"))


def train_films(folders: Sequence[Path]) -> list[tuple[Path, set[str]]]:
    """Return the NIH films of the train splits with their labels."""
    films = []
    for data in folders:
        with (data / "manifest.csv").open(encoding="utf-8", newline="") as file:
            films += [
                (data / "images" / "train" / f"{row['image_id']}.jpg", set(row["labels"].split("|")))
                for row in csv.DictReader(file)
                if row["split"] == "train" and row["source"] == "nih"
            ]
    return films


def grey_statistics(films: Sequence[Grey], towers: OnnxTowers | None = None) -> F32:
    """Return (N, 17): mean, deviation, nine percentiles, the means of four borders, the middle's mean, the shape.

    With `towers`, of what its tower sees of the film instead of the film itself.
    """
    rows = []
    for film in films:
        shape = film.shape[1] / film.shape[0]
        value = film.astype(np.float32) / np.float32(255)
        if towers is not None:
            value = towers.preprocess.shrink(value).astype(np.float32) / np.float32(65535)
        h, w = (max(1, side // 12) for side in value.shape)
        middle = value[4 * h : 8 * h, 4 * w : 8 * w]
        borders = [value[:h].mean(), value[-h:].mean(), value[:, :w].mean(), value[:, -w:].mean()]
        percentiles = np.percentile(value, (1, 5, 10, 25, 50, 75, 90, 95, 99))
        rows.append([value.mean(), value.std(), *percentiles, *borders, middle.mean(), shape])
    return np.array(rows, np.float32)


def imagenet_features(films: Sequence[Grey]) -> F32:
    """Return (N, 1280): EfficientNet-lite0 as ImageNet left it, at 320 pixels, mean pooled."""
    import open_clip
    import torch
    from filmroom.indexer.models.preprocess import Preprocess
    from filmroom.indexer.training.bundled import config, start_image_tower

    visual: Any = open_clip.CLIP(**config(100)).visual.eval()
    start_image_tower(visual)
    half = (0.5, 0.5, 0.5)
    preprocess, parts = Preprocess(320, half, half), []
    for start in range(0, len(films), 16):
        batch = np.stack([preprocess.apply(f.astype(np.float32) / np.float32(255)) for f in films[start : start + 16]])
        with torch.inference_mode():
            parts.append(np.asarray(visual.trunk(torch.from_numpy(batch)), np.float32))
    return np.concatenate(parts)


def probe_scores(
    train: Sequence[tuple[Path, set[str]]], data: Path, dev: Dev, findings: Sequence[str], features: Features
) -> dict[str, F32]:
    """Return each finding's logistic regression, taught by the train films, on the development films."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.preprocessing import StandardScaler

    known = features([read_film(path) for path, _ in train])
    asked = features([read_film(data / "images" / "dev" / f"{row['image_id']}.jpg") for row in dev.rows])
    scale = StandardScaler().fit(known)
    share = 1.0 if known.shape[1] < 100 else 1e-3
    found = {}
    for finding in (*findings, "no finding"):
        truth = np.array([finding in labels for _, labels in train])
        probe = LogisticRegression(C=share, max_iter=400).fit(scale.transform(known), truth)
        found[finding] = probe.decision_function(scale.transform(asked)).astype(np.float32)
    return found
