"""Fit a first head for the image tower, before the tower itself is touched: by linear algebra, not by steps.

Each statement gets a ridge classifier on the pooled features; the head is the linear map whose products with the
statements' text vectors come nearest to all those classifiers at once. A head that begins well distorts the tower less
(Kumar et al. 2022).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from filmroom.indexer.training.data.maps import Maps

_AXES = 500
_RIDGE = 10.0
_SPREAD = 0.3
_OFFSET = 4.0


@torch.no_grad()
def fit_head(
    model: Any, upper: Any, maps: Maps, rows: Sequence[int], *, texts: torch.Tensor, truth: torch.Tensor,
    weights: torch.Tensor,
) -> None:  # fmt: skip
    """Set `upper.head.proj` (a linear layer with a bias) and the model's scale and bias, in place.

    `texts` (S, D) are the statements' unit vectors; `truth` and `weights` (len(rows), S) theirs for the films `rows`.
    All vectors get one large part in common, at right angles to the statements, so that their length is about the same
    and cosines rank as the classifiers do.
    """
    views = range(min(4, maps.views))
    pooled = torch.stack(
        [torch.cat([_pooled(upper, maps, rows[n : n + 64], v) for n in range(0, len(rows), 64)]) for v in views]
    )
    middle, spread = pooled.mean((0, 1)), pooled.std((0, 1)) + 0.05
    pooled = (pooled - middle) / spread
    axes = torch.linalg.svd(pooled[0], full_matrices=False)[2][:_AXES].T
    inputs = (pooled @ axes).mean(0) if len(rows) > 20_000 else (pooled @ axes).flatten(0, 1)
    many = 1 if len(rows) > 20_000 else len(views)
    maps_to = torch.stack(
        [_classifier(inputs, truth[:, s].repeat(many), weights[:, s].repeat(many)) for s in range(texts.shape[0])]
    )
    scores = inputs @ maps_to.T
    maps_to = maps_to / (scores.std(0)[:, None] + 1e-6)
    gram = texts.T @ texts + _SPREAD * torch.eye(texts.shape[1], device=texts.device)
    joint = torch.linalg.solve(gram, texts.T @ maps_to)
    length = float((inputs @ joint.T).norm(dim=1).mean())
    common = torch.linalg.svd(texts, full_matrices=True)[2][-1] * _OFFSET * length
    proj = upper.head.proj
    weight = (joint @ axes.T) / spread
    proj.weight.copy_(weight)
    proj.bias.copy_(common - weight @ middle)
    cosines = (inputs @ joint.T) @ texts.T / (_OFFSET**2 + 1) ** 0.5 / length
    model.logit_scale.fill_(float(torch.log(1.5 / cosines.std())))
    model.logit_bias.zero_()


def _classifier(inputs: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Fit a weighted ridge regression of 0 and 1 on the inputs; zeros where a statement has only one answer."""
    known = weights > 0
    x, y, w = inputs[known], truth[known], weights[known]
    if not len(y) or bool((y == y[0]).all()):
        return torch.zeros(inputs.shape[1], device=inputs.device)
    w = w / w.sum()
    centre = w @ x
    x, y = x - centre, y - w @ y
    gram = (x * w[:, None]).T @ x + _RIDGE * torch.eye(x.shape[1], device=x.device)
    coefficients: torch.Tensor = torch.linalg.solve(gram, (w * y) @ x)
    return coefficients


def _pooled(upper: Any, maps: Maps, rows: Sequence[int], view: int) -> torch.Tensor:
    with torch.autocast(maps.device, torch.bfloat16):
        x = maps.batch(rows, [view] * len(rows)).contiguous(memory_format=torch.channels_last)
        pooled: torch.Tensor = upper.pool(upper.stages(x)).float()
    return pooled
