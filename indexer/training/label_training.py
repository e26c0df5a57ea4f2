"""Train an image tower on labels: one linear answer a claim on its mean pooled map, helped by boxes.

Each collection has offsets of its own, so that how often it shows a finding tells nothing about a film of it. The map
of a boxed finding is drawn into its boxes. What ships is the running average of the weights. A killed run goes on from
the last whole epoch.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from filmroom.db.errors import BadInput
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.radiology.captions import Claim
from filmroom.indexer.training.data.film_batches import changed_batch, plain_batch
from filmroom.indexer.training.data.open_collections import Boxes
from filmroom.indexer.training.labels import LabelTable
from filmroom.indexer.training.split_tower import running_average
from numpy.typing import NDArray
from torch import nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel

F32 = NDArray[np.float32]
PHANTOM = "phantom"
"""The group of synthetic films."""
_REAL_COLUMNS = 15.0
"""What the answers about a real film are divided by: about as many findings as its collection was looked at for."""


@dataclass(frozen=True)
class LabelOptions:
    """How to train. `preprocess` makes a tower's input of a film. `at_most` limits the films that one epoch takes of a
    collection, drawn anew for each. `frozen`: blocks of an EfficientNet that stay as they are. `boxes`: the weight of
    the maps beside the answers."""

    preprocess: Preprocess

    epochs: int = 12
    batch: int = 32
    rate: float = 3e-4
    decay: float = 0.05
    dropout: float = 0.2
    average: float = 0.99
    frozen: int = 2
    boxes: float = 0.1
    seed: int = 0
    at_most: Mapping[str, int] = field(default_factory=dict)
    device: str = "cpu"


class LabelledTower(nn.Module):
    """A timm EfficientNet, one linear answer a claim, and an offset for each collection and claim."""

    def __init__(self, trunk: Any, claims: int, groups: int, frozen: int) -> None:
        super().__init__()
        self.trunk, self.frozen = trunk, frozen
        self.answers = nn.Linear(int(trunk.num_features), claims)
        self.offsets = nn.Parameter(torch.zeros(groups, claims))
        nn.init.zeros_(self.answers.weight)
        nn.init.zeros_(self.answers.bias)
        for part in self.still():
            part.requires_grad_(False)

    def still(self) -> list[nn.Module]:
        """Return what is not trained: the stem and the first blocks."""
        return [self.trunk.conv_stem, self.trunk.bn1, *self.trunk.blocks[: self.frozen]] if self.frozen else []

    def maps(self, pixels: torch.Tensor) -> torch.Tensor:
        """Return (N, C, h, w) in float32, computed in bfloat16."""
        with torch.autocast(pixels.device.type, torch.bfloat16):
            with torch.set_grad_enabled(torch.is_grad_enabled() and not self.frozen):
                x = self.trunk.bn1(self.trunk.conv_stem(pixels))
            for number, block in enumerate(self.trunk.blocks):
                with torch.set_grad_enabled(torch.is_grad_enabled() and number >= self.frozen):
                    x = block(x)
            return torch.as_tensor(self.trunk.bn2(self.trunk.conv_head(x))).float()


class _Lesson:
    """The films with their answers and boxes, and the loss over some of them."""

    def __init__(
        self, squares: NDArray[np.uint8], boxes: Sequence[Boxes], table: LabelTable, options: LabelOptions
    ) -> None:
        self.squares, self.boxes, self.options = squares, boxes, options
        device = options.device
        self.columns = {claim.idea: n for n, claim in enumerate(table.claims) if claim == Claim(claim.idea)}
        self.group = torch.from_numpy(table.group).to(device)
        self.truth = torch.from_numpy(table.truth).to(device)
        self.weights = torch.from_numpy(table.weights).to(device)
        self.share = torch.tensor(
            [0.6 * len(table.claims) if name == PHANTOM else _REAL_COLUMNS for name in table.groups], device=device
        )

    def loss(self, net: LabelledTower, picked: NDArray[np.int64], rng: np.random.Generator) -> torch.Tensor:
        """Return the loss over the films `picked`: of their answers, and of maps that lie outside their boxes."""
        options = self.options
        cells = -(-options.preprocess.size // 32)
        pixels, places = changed_batch(
            self.squares[picked], [self.boxes[n] for n in picked], options.preprocess, cells, rng
        )
        maps = net.maps(pixels.to(options.device))
        group = self.group[picked]
        logits = net.answers(functional.dropout(maps.mean((2, 3)), options.dropout)) + net.offsets[group]
        known = self.truth[picked]
        film_losses = functional.binary_cross_entropy_with_logits(
            logits, known.nan_to_num(0.0), self.weights[picked] * ~known.isnan(), reduction="none"
        )
        loss = (film_losses.sum(1) / self.share[group]).mean()
        pairs = [(n, self.columns[name], inside) for n, name, inside in places if name in self.columns]
        if pairs and options.boxes:
            loss = loss + options.boxes * _outside(maps, net.answers.weight, pairs)
        return loss


def train_on_labels(
    trunk: Any, squares: NDArray[np.uint8], boxes: Sequence[Boxes], table: LabelTable, *, work: Path,
    options: LabelOptions, progress: Callable[[int, int, float], None] = lambda done, total, loss: None,
) -> tuple[LabelledTower, list[float]]:  # fmt: skip
    """Train `trunk` on films kept by `keep_squares`; return it with its averaged weights and answers, and the mean loss
    of each epoch. Raises BadInput where `work` holds a run with other options or other films."""
    torch.manual_seed(options.seed)
    net = LabelledTower(trunk, len(table.claims), len(table.groups), options.frozen)
    net.to(options.device).to(memory_format=torch.channels_last)
    with torch.no_grad():
        net.offsets.copy_(torch.from_numpy(_odds(table)))
    steps = options.epochs * (len(_epoch(table, options, np.random.default_rng(0))) // options.batch)
    optimiser = _optimiser(net, options)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: _rise_and_fall(step / max(1, steps)))
    mean = running_average(net, options.average, buffers=True).eval()
    run = _Run(net, mean, optimiser, schedule, options, _digest(table))
    losses = run.resume(work / "labels.pt")
    lesson = _Lesson(squares, boxes, table, options)
    for epoch in range(len(losses), options.epochs):
        rng = np.random.default_rng((options.seed, epoch))
        torch.manual_seed(options.seed * 1000 + epoch)
        rows = _epoch(table, options, rng)
        net.train()
        for part in net.still():
            part.eval()
        step_losses = []
        for start in range(0, len(rows) - options.batch + 1, options.batch):
            loss = lesson.loss(net, rows[start : start + options.batch], rng)
            optimiser.zero_grad(set_to_none=True)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_([p for p in net.parameters() if p.requires_grad], 5.0)
            optimiser.step()
            schedule.step()
            mean.update_parameters(net)
            step_losses.append(float(loss.detach()))
        losses.append(float(np.mean(step_losses)))
        run.save(work / "labels.pt", losses)
        progress(epoch + 1, options.epochs, losses[-1])
    return cast(LabelledTower, mean.module), losses


@torch.inference_mode()
def pooled(net: LabelledTower, squares: NDArray[np.uint8], options: LabelOptions) -> F32:
    """Return (N, C), the mean of each film's map, the films not changed."""
    net.eval()
    batches = (plain_batch(squares[n : n + 32], options.preprocess) for n in range(0, len(squares), 32))
    features: F32 = torch.cat([net.maps(batch.to(options.device)).mean((2, 3)).cpu() for batch in batches]).numpy()
    return features


def _outside(maps: torch.Tensor, answers: torch.Tensor, pairs: list[tuple[int, int, torch.Tensor]]) -> torch.Tensor:
    """Say how little of a finding's map lies in its boxes: -log of its share, the map made a distribution over
    places."""
    losses = [
        -((maps[n].flatten(1).T @ answers[column]).log_softmax(0)[inside].logsumexp(0)) for n, column, inside in pairs
    ]
    return torch.stack(losses).sum() / max(6, len(losses))


def _odds(table: LabelTable) -> F32:
    """Return (groups, claims): the logarithm of yes to no in each collection, as weighed."""
    rows = []
    for group in range(len(table.groups)):
        of = table.group == group
        yes, no = ((table.weights[of] * (table.truth[of] == answer)).sum(0) + 1 for answer in (1, 0))
        rows.append(np.log(yes / no))
    return np.array(rows, np.float32)


def _epoch(table: LabelTable, options: LabelOptions, rng: np.random.Generator) -> NDArray[np.int64]:
    parts = []
    for number, name in enumerate(table.groups):
        members = np.flatnonzero(table.group == number)
        most = options.at_most.get(name, len(members))
        parts.append(rng.choice(members, most, replace=False) if most < len(members) else members)
    return rng.permutation(np.concatenate(parts))


def _rise_and_fall(share: float) -> float:
    """Follow one cycle: a straight rise over the first tenth, then half a cosine."""
    rising = share / 0.1 if share < 0.1 else 0.5 * (1 + math.cos(math.pi * min(1.0, (share - 0.1) / 0.9)))
    return max(rising, 0.004)


def _optimiser(net: LabelledTower, options: LabelOptions) -> torch.optim.Optimizer:
    body = [p for p in net.trunk.parameters() if p.requires_grad]
    return torch.optim.AdamW([
        {"params": body, "lr": options.rate, "weight_decay": options.decay},
        {"params": [net.answers.weight], "lr": options.rate * 10, "weight_decay": options.decay},
        {"params": [net.answers.bias, net.offsets], "lr": options.rate * 3, "weight_decay": 0.0},
    ])  # fmt: skip


@dataclass(frozen=True)
class _Run:
    """All that a killed run needs to go on."""

    net: nn.Module
    mean: AveragedModel
    optimiser: torch.optim.Optimizer
    schedule: Any
    options: LabelOptions
    films: str

    def save(self, path: Path, losses: list[float]) -> None:
        """Write the checkpoint aside and rename it: a kill leaves the last whole one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".tmp")
        states = {name: module.state_dict() for name, module in self._parts().items()}
        torch.save({**states, "losses": losses, "options": _plain(self.options), "films": self.films}, part)
        os.replace(part, path)

    def resume(self, path: Path) -> list[float]:
        """Return the losses of the epochs that an earlier run finished."""
        if not path.is_file():
            return []
        checkpoint = torch.load(path, map_location=self.options.device, weights_only=True)
        if checkpoint["options"] != _plain(self.options):
            raise BadInput(
                "a run with other options was begun here", where=path.parent, fix="Use another --out, or remove it."
            )
        if checkpoint.get("films") != self.films:
            raise BadInput(
                "a run with other films or labels was begun here", where=path.parent,
                fix="Use another --out, or remove it.",
            )  # fmt: skip
        for name, module in self._parts().items():
            module.load_state_dict(checkpoint[name])
        return [float(loss) for loss in checkpoint["losses"]]

    def _parts(self) -> dict[str, Any]:
        return {"net": self.net, "mean": self.mean, "optimiser": self.optimiser, "schedule": self.schedule}


def _digest(table: LabelTable) -> str:
    """Tell films with their answers from others."""
    claims = repr((table.claims, table.groups, table.truth.shape)).encode()
    return blake2b(claims + table.truth.tobytes() + table.group.tobytes(), digest_size=16).hexdigest()


def _plain(options: LabelOptions) -> dict[str, Any]:
    """Write options as JSON values; where it runs does not matter to what is learnt."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(replace(options, device=""))))
    return settings
