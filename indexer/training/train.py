"""Train: `adapt` takes films and a model folder, and leaves a better model folder.

Everything it needs to go on after a kill lies in `out/work`: the kept maps, the last checkpoint, the history.
"""

from __future__ import annotations

import json
import math
import os
import random
from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.db.errors import BadInput
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.training.data.films import (
    Statement,
    TrainingFilm,
    balance,
    split,
    statements_of,
    truths,
)
from filmroom.indexer.training.data.maps import Maps
from filmroom.indexer.training.data.validation import StatementVectors, Tokenize, Validation
from filmroom.indexer.training.losses import sigmoid_loss, softmax_loss
from filmroom.indexer.training.probe import fit_head
from filmroom.indexer.training.split_tower import quiet_norms, running_average, split_tower
from torch import nn
from torch.nn import functional


class Loss(StrEnum):
    """Of the labels' answers (`by_labels`), or of films beside words: open_clip's two."""

    LABELS = "labels"
    SIGLIP = "siglip"
    CLIP = "clip"


@dataclass(frozen=True)
class Options:
    """How to train. The defaults suit some hundred to some thousand films and a small tower.

    `loss`: where it is None, what suits the films and the tower (`run.settled`); `train` itself takes the sigmoid loss.

    `frozen`: stages of the image tower that stay as they are (0: all are trained; only EfficientNets are split).
    `views`: changed copies kept of each film. `ways`: ways of saying a statement. `held`: share of the patients for
    validation. `patience`: epochs without a better nDCG@5 before it stops (0: never). `pull`: how strongly weights are
    drawn back to where they began. `train_text`: train the text tower too. `probe`: begin with a
    linear head found on the features as they are (needs frozen stages and a head with a bias).
    """

    epochs: int = 20
    batch: int = 64
    rate: float = 1e-3
    tower_rate: float = 2e-4
    pull: float = 0.02
    frozen: int = 13
    views: int = 8
    ways: int = 16
    held: float = 0.15
    patience: int = 6
    loss: Loss | None = None
    train_text: bool = False
    strength: float = 1.0
    average: float = 0.98
    dropout: float = 0.5
    probe: bool = False
    seed: int = 0
    device: str = "cpu"


@dataclass(frozen=True)
class Progress:
    """What is told meanwhile: `stage` is `model`, `squares`, `maps` or `epochs`; nDCG is None if none is held out."""

    stage: str
    done: int
    total: int
    loss: float | None = None
    ndcg: float | None = None


@dataclass
class _State:
    epoch: int = 0
    best: float = -1.0
    best_epoch: int = 0
    history: list[dict[str, float | None]] = field(default_factory=list)


@dataclass(frozen=True)
class _Examples:
    """The `rows` of films to learn from; `truth` (all films, statements) and `weights` (rows, statements). Where maps
    are kept, a film has so many views; else each is another."""

    rows: list[int]
    truth: torch.Tensor
    weights: torch.Tensor
    kept_views: bool


@dataclass(frozen=True)
class Trained:
    """The trained model (open_clip's, in float32, with the best averaged weights), and how it went. `best_ndcg` is its
    nDCG@5 on the held-out films, `base_ndcg` that of the model it began as on the same films and questions."""

    model: Any
    history: list[dict[str, float | None]]
    best_ndcg: float | None
    base_ndcg: float | None
    training: int
    validation: int


def train(
    model: Any,
    tokenize: Tokenize,
    films: Sequence[TrainingFilm],
    preprocess: Preprocess,
    *,
    work: Path,
    options: Options,
    progress: Callable[[Progress], None] | None = None,
) -> Trained:
    """Train an open_clip model on films, in place; goes on where an earlier call with the same `work` was cut off.

    Raises BadInput when the films say nothing that could be learnt.
    """
    tell = progress or (lambda _: None)
    torch.manual_seed(options.seed)
    model.to(options.device).eval()
    learn, validation_rows, statements = _learnable(films, options)
    texts = StatementVectors(model, tokenize, statements, device=options.device, train_text=options.train_text)
    table = np.full((len(films), len(statements)), np.nan, np.float32)
    table[learn] = truths([films[n] for n in learn], statements, texts.likeness)
    weights = torch.from_numpy(balance(table[learn], [films[n] for n in learn], statements)).to(options.device)
    truth = torch.from_numpy(table).to(options.device)
    lower, upper = split_tower(model.visual, options.frozen)
    maps = Maps(
        films, _quick(lower, options.device), preprocess, folder=work, views=options.views, seed=options.seed,
        device=options.device, strength=options.strength,
    )  # fmt: skip
    maps.fill(lambda done, total: tell(Progress("maps", done, total)))
    validation = _validation(model, tokenize, films, validation_rows, statements, options)
    base = validation.ndcg(upper, maps) if validation else None
    if hasattr(getattr(model.visual, "head", None), "drop"):
        model.visual.head.drop.p = options.dropout
    examples = _Examples(learn, truth, weights, kept_views=lower is not None)
    if options.probe and lower is not None and not (work / "checkpoint.pt").is_file():
        _begin_head(model, upper, maps, texts, examples)
    run = _Run(model, upper, options, steps=options.epochs * math.ceil(len(learn) / options.batch))
    state = run.resume(work / "checkpoint.pt")
    while state.epoch < options.epochs:
        if options.patience and state.epoch - state.best_epoch >= options.patience and validation_rows:
            break
        loss = run.epoch(maps, texts, examples, seed=options.seed * 1000 + state.epoch)
        state.epoch += 1
        ndcg = run.measured(validation, maps) if validation else None
        state.history.append({"epoch": state.epoch, "loss": loss, "ndcg": ndcg})
        if ndcg is None or ndcg > state.best:
            state.best, state.best_epoch = ndcg if ndcg is not None else -1.0, state.epoch
            run.remember()
        run.save(work / "checkpoint.pt", state)
        tell(Progress("epochs", state.epoch, options.epochs, loss, ndcg))
    run.finish()
    best = state.best if validation_rows else None
    return Trained(model.float().eval(), state.history, best, base, len(learn), len(validation_rows))


def _learnable(films: Sequence[TrainingFilm], options: Options) -> tuple[list[int], list[int], list[Statement]]:
    """Return the rows to learn from, those to validate on, and the statements to learn. Raises BadInput where these are
    too few."""
    learn, validation_rows = split(films, share=options.held, seed=options.seed)
    statements = statements_of([films[n] for n in learn], ways=options.ways, seed=options.seed)
    if len(learn) < 2 or len(statements) < 2:
        raise BadInput(
            f"{len(films)} films with {len(statements)} usable statements are too few to train on",
            fix="Give more films a label or a report (filmroom label, filmroom report).",
        )
    return learn, validation_rows, statements


def _validation(
    model: Any, tokenize: Tokenize, films: Sequence[TrainingFilm], rows: list[int], statements: Sequence[Statement],
    options: Options,
) -> Validation | None:  # fmt: skip
    if not rows:
        return None
    return Validation(
        model, tokenize, films, rows, statements, device=options.device, train_text=options.train_text,
        seed=options.seed,
    )  # fmt: skip


def _begin_head(model: Any, upper: nn.Module, maps: Maps, texts: StatementVectors, examples: _Examples) -> None:
    """Begin with a linear head found on the features as they are, for the statements that deny nothing."""
    columns = [n for n, s in enumerate(texts.statements) if not (s.claim and s.claim.absent)]
    fit_head(
        model, upper, maps, examples.rows, texts=texts.middles(columns),
        truth=examples.truth[examples.rows][:, columns].nan_to_num(0.0), weights=examples.weights[:, columns],
    )  # fmt: skip


def _quick(lower: nn.Module | None, device: str) -> nn.Module | None:
    """Return the frozen part as a bfloat16 copy: three times as fast, and its outputs are kept in half precision
    anyway."""
    if lower is None:
        return None
    half: nn.Module = deepcopy(lower).eval().to(device, torch.bfloat16)
    return half.to(memory_format=torch.channels_last)


class _Run:
    """The optimiser, the running average of the weights, and the checkpoint."""

    def __init__(self, model: Any, upper: nn.Module, options: Options, *, steps: int) -> None:
        self.model, self.upper, self.options = model, upper, options
        self.device = options.device
        head, tower, text = [], [], []
        for name, p in model.named_parameters():
            mine = any(p is q for q in upper.parameters())
            if name.startswith("visual.head") or name in ("logit_scale", "logit_bias", "visual.proj"):
                head.append(p)
            elif mine:
                tower.append(p)
            elif options.train_text and not name.startswith("visual."):
                text.append(p)
        self.trained = [*head, *tower, *text]
        for p in model.parameters():
            p.requires_grad_(False)
        for p in self.trained:
            p.requires_grad_(True)
        groups = [(head, options.rate), (tower, options.tower_rate), (text, options.tower_rate)]
        self.optimiser = torch.optim.AdamW(
            [{"params": ps, "lr": lr} for ps, lr in groups if ps], weight_decay=0.0, betas=(0.9, 0.98)
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimiser, [lr for ps, lr in groups if ps], total_steps=steps + 1, pct_start=0.1
        )
        self.start = [p.detach().clone() for p in self.trained]
        self.average = running_average(nn.ParameterList(self.trained), options.average)
        self.best = [p.detach().clone() for p in self.trained]

    def epoch(self, maps: Maps, texts: StatementVectors, examples: _Examples, *, seed: int) -> float:
        """Learn from every film once; returns the mean loss."""
        rng = random.Random(seed)
        torch.manual_seed(seed)
        order = rng.sample(range(len(examples.rows)), len(examples.rows))
        total = 0.0
        quiet_norms(self.upper.train())
        for start in range(0, len(order), self.options.batch):
            picked = order[start : start + self.options.batch]
            rows = [examples.rows[n] for n in picked]
            most = self.options.views if examples.kept_views else 2**31
            views = [rng.randrange(0 if examples.kept_views else 1, most) for _ in rows]
            columns, vectors = texts.draw(rng, rows)
            truth, weights = examples.truth[rows][:, columns], examples.weights[picked][:, columns]
            total += self.step(maps.batch(rows, views), vectors, truth, weights) * len(rows)
        self.upper.eval()
        return total / len(order)

    def step(self, inputs: torch.Tensor, texts: torch.Tensor, truth: torch.Tensor, weights: torch.Tensor) -> float:
        """Take one step of the optimiser; returns the loss."""
        with torch.autocast(self.device, torch.bfloat16):
            features = self.upper(inputs.contiguous(memory_format=torch.channels_last))
        vectors = functional.normalize(features.float(), dim=-1)
        bias = self.model.logit_bias if getattr(self.model, "logit_bias", None) is not None else 0.0
        logits = self.model.logit_scale.exp() * vectors @ texts.T + bias
        loss = (softmax_loss if self.options.loss is Loss.CLIP else sigmoid_loss)(logits, truth, weights)
        self.optimiser.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.trained, 5.0)
        self.optimiser.step()
        self.schedule.step()
        self._pull()
        return float(loss.detach())

    @torch.no_grad()
    def _pull(self) -> None:
        """Draw the weights towards their start (L2-SP, Li et al. 2018), decoupled from the gradient; then average."""
        rate = self.schedule.get_last_lr()[0] * self.options.pull
        for p, start in zip(self.trained, self.start, strict=True):
            p.add_(start - p, alpha=rate)
        self.average.update_parameters(nn.ParameterList(self.trained))

    def measured(self, validation: Validation, maps: Maps) -> float:
        """Return nDCG@5 over the held-out films with the averaged weights."""
        now = [p.detach().clone() for p in self.trained]
        self._put(list(self.average.parameters()))
        ndcg = validation.ndcg(self.upper, maps)
        self._put(now)
        return ndcg

    @torch.no_grad()
    def _put(self, values: Sequence[torch.Tensor]) -> None:
        for p, value in zip(self.trained, values, strict=True):
            p.copy_(value)

    def remember(self) -> None:
        self.best = [p.detach().clone() for p in self.average.parameters()]

    def finish(self) -> None:
        self._put(self.best)

    def save(self, path: Path, state: _State) -> None:
        """Write the checkpoint aside and rename it: a kill leaves the last whole one."""
        path.parent.mkdir(parents=True, exist_ok=True)
        part = path.with_suffix(".tmp")
        torch.save(
            {
                "options": _plain(self.options), "state": asdict(state), "optimiser": self.optimiser.state_dict(),
                "schedule": self.schedule.state_dict(), "now": [p.detach() for p in self.trained],
                "average": self.average.state_dict(), "best": self.best, "start": self.start,
            },
            part,
        )  # fmt: skip
        os.replace(part, path)

    def resume(self, path: Path) -> _State:
        """Say where an earlier run stood, or the beginning. Raises BadInput when it had other options."""
        if not path.is_file():
            return _State()
        checkpoint = torch.load(path, map_location=self.device, weights_only=True)
        if checkpoint["options"] != _plain(self.options):
            raise BadInput(
                "a run with other options was begun here", where=path.parent, fix="Use another --out, or remove it."
            )
        self.optimiser.load_state_dict(checkpoint["optimiser"])
        self.schedule.load_state_dict(checkpoint["schedule"])
        self._put(checkpoint["now"])
        self.average.load_state_dict(checkpoint["average"])
        self.best, self.start = checkpoint["best"], checkpoint["start"]
        return _State(**checkpoint["state"])


def _plain(options: Options) -> dict[str, Any]:
    """Write options as JSON values; where it runs does not matter to what is learnt."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(replace(options, device=""))))
    return settings
