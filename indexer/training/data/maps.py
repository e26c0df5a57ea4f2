"""Keep the training inputs: `views` changed copies of every film, as far as the frozen stages take them, in one file.

What is kept survives a kill: each block of films is marked done once it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.training.data.augment import augment
from filmroom.indexer.training.data.films import TrainingFilm
from torch import nn

_BLOCK = 16


class Maps:
    """`views` x films inputs for the trained part. View 0 is the film unchanged; the rest are augmented.

    With no frozen part the films are read and changed anew every time, and nothing is kept.
    """

    def __init__(
        self,
        films: Sequence[TrainingFilm],
        lower: nn.Module | None,
        preprocess: Preprocess,
        *,
        folder: Path,
        views: int,
        seed: int,
        device: str,
        strength: float = 1.0,
    ) -> None:
        self.films, self.lower, self.preprocess = films, lower, preprocess
        self.views, self.seed, self.device, self.strength = views, seed, device, strength
        self._folder = folder
        self._maps: np.memmap[Any, np.dtype[np.float16]] | None = None

    def fill(self, progress: Callable[[int, int], None] | None = None) -> None:
        """Compute what is not kept yet."""
        if self.lower is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        shape = tuple(self._lower([0], 0).shape[1:])
        path, marks = self._folder / "maps.npy", self._folder / "maps.done"
        full_shape = (self.views, len(self.films), *shape)
        if path.is_file() and np.load(path, mmap_mode="r").shape == full_shape:
            self._maps = np.lib.format.open_memmap(path, "r+")
        else:
            marks.unlink(missing_ok=True)
            self._maps = np.lib.format.open_memmap(path, "w+", np.float16, full_shape)
        done = set(marks.read_text().split()) if marks.is_file() else set()
        blocks = [(v, s) for v in range(self.views) for s in range(0, len(self.films), _BLOCK)]
        with marks.open("a") as log:
            for number, (view, start) in enumerate(blocks):
                if f"{view}:{start}" not in done:
                    rows = list(range(start, min(start + _BLOCK, len(self.films))))
                    self._maps[view, rows] = self._lower(rows, view).float().cpu().numpy().astype(np.float16)
                    self._maps.flush()
                    log.write(f"{view}:{start}\n")
                    log.flush()
                if progress:
                    progress(number + 1, len(blocks))

    def batch(self, rows: Sequence[int], views: Sequence[int]) -> torch.Tensor:
        """Return inputs of the trained part for these films, each in the view named beside it."""
        if self._maps is not None:
            picked = np.stack([self._maps[v % self.views, r] for r, v in zip(rows, views, strict=True)])
            return torch.from_numpy(picked.astype(np.float32)).to(self.device)
        return self._pixels(rows, views)

    def _pixels(self, rows: Sequence[int], views: Sequence[int]) -> torch.Tensor:
        grey = [
            augment(
                self.films[r].read(),
                self.preprocess.size,
                np.random.default_rng((self.seed, v, r)),
                strength=self.strength if v else 0.0,
            )
            for r, v in zip(rows, views, strict=True)
        ]
        return torch.from_numpy(self.preprocess.normalise(np.stack(grey))).to(self.device)

    @torch.inference_mode()
    def _lower(self, rows: Sequence[int], view: int) -> torch.Tensor:
        assert self.lower is not None  # noqa: S101 - only called with a frozen part
        kind = next(self.lower.parameters()).dtype
        x = self._pixels(rows, [view] * len(rows)).to(kind)
        features: torch.Tensor = self.lower(x.contiguous(memory_format=torch.channels_last))
        return features
