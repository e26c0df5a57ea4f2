"""Compute open_clip's two contrastive losses where a film has several true captions and some nobody can judge.

With one true caption a film and no unknown they are SigLIP's and CLIP's own (a test holds this).
"""

from __future__ import annotations

import torch
from torch.nn import functional


def sigmoid_loss(logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return SigLIP (Zhai et al. 2023): every pair by itself. `logits`, `truth`, `weights` (films, texts); NaN truth
    counts nothing. The sum over texts, the mean over films."""
    known = ~truth.isnan()
    losses = functional.binary_cross_entropy_with_logits(logits, truth.nan_to_num(0.0), reduction="none")
    return (losses * weights * known).sum() / len(logits)


def softmax_loss(logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Return the loss of CLIP (Radford et al. 2021): films against texts and texts against films; the right answer is
    spread evenly over what is true, and what is unknown competes with nothing. Rows and columns with no true pair are
    left out."""
    return (_one_way(logits, truth, weights) + _one_way(logits.T, truth.T, weights.T)) / 2


def _one_way(logits: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    right = (truth == 1).float() * weights
    rows = right.sum(1) > 0
    if not bool(rows.any()):
        return logits.sum() * 0
    odds = logits.masked_fill(truth.isnan(), float("-inf"))[rows].log_softmax(1)
    share = right[rows] / right[rows].sum(1, keepdim=True)
    return -(share * odds.masked_fill(share == 0, 0.0)).sum(1).mean()
