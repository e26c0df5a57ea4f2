"""Split the image tower: early stages that stay as they are, whose output can be kept, and the rest."""

from __future__ import annotations

from typing import Any

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel


class Upper(nn.Module):
    """From the kept feature maps (N, C, h, w) to vectors (N, D), not normalised."""

    def __init__(self, stages: nn.Module, pool: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.stages, self.pool, self.head = stages, pool, head

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        output: torch.Tensor = self.head(self.pool(self.stages(x)))
        return output


def split_tower(visual: Any, frozen: int) -> tuple[nn.Module | None, nn.Module]:
    """Split after `frozen` stages from the film on: the stem is one, then each block of a timm EfficientNet.

    A tower of another kind is not split: (None, the whole). Parameters are shared with `visual`.
    """
    trunk = getattr(visual, "trunk", None)
    if frozen <= 0 or not all(hasattr(trunk, name) for name in ("conv_stem", "blocks", "conv_head", "global_pool")):
        return None, visual
    assert trunk is not None  # noqa: S101 - narrowed by the line above
    stages: list[nn.Module] = [nn.Sequential(trunk.conv_stem, trunk.bn1)]
    stages += [block for stage in trunk.blocks for block in stage]
    stages.append(nn.Sequential(trunk.conv_head, trunk.bn2))
    lower = nn.Sequential(*stages[:frozen])
    return lower.requires_grad_(False), Upper(nn.Sequential(*stages[frozen:]), trunk.global_pool, visual.head)


def quiet_norms(module: nn.Module) -> None:
    """Keep batch statistics as they are: batches are small, and the maps were kept with the old ones."""
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.eval()


def running_average(module: nn.Module, most: float, *, buffers: bool = False) -> AveragedModel:
    """Return a copy of `module` that follows its weights, by `update_parameters`: by a share of `most` in the end, and
    by less in the first steps, as it begins at a place that training leaves soon."""

    def follow(mean: torch.Tensor, now: torch.Tensor, steps: torch.Tensor | int) -> torch.Tensor:
        if not mean.is_floating_point():  # counts of batches are no weights
            return now
        return mean.lerp(now, 1 - min(most, (1 + int(steps)) / (10 + int(steps))))

    average = AveragedModel(module, avg_fn=follow, use_buffers=buffers)
    average.update_parameters(module)  # the first of them is a copy
    return average
