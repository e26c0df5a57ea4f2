"""Write the towers of a loaded open_clip model as ONNX files, by torch's tracing exporter.

Tracing is deprecated in torch in favour of its newer exporter, which takes three times as long and needs two more
packages; where a later torch drops it, the model runs in open_clip.
"""

from __future__ import annotations

import contextlib
import io
import warnings
from pathlib import Path
from typing import Any

import torch
from filmroom.indexer.models.open_clip.towers import ClipTowers
from open_clip.hf_model import HFTextEncoder


def trace_text(towers: ClipTowers, path: Path) -> None:
    """Export tokens (N, L) int64 -> embedding (N, D), unit rows. Raises whatever torch raises where it cannot."""
    axes = {0: "texts", 1: "length"} if is_length_free(towers.model) else {0: "texts"}
    tokens = towers.tokenize(["pleural effusion", "no acute cardiopulmonary process"])
    _trace(_Text(towers.model), tokens.to(towers.device), path, name="tokens", axes=axes)


def trace_image(towers: ClipTowers, path: Path) -> None:
    """Export pixels (N, C, S, S) float32 -> embedding (N, D), unit rows. Raises whatever torch raises where it
    cannot."""
    side = towers.preprocess.size
    pixels = torch.zeros(2, towers.preprocess.channels, side, side, device=towers.device)
    _trace(_Image(towers.model), pixels, path, name="pixels", axes={0: "films"})


def is_length_free(model: Any) -> bool:
    """Tell whether the text tower masks its padding, so that a short text need not be padded to the full context."""
    return isinstance(getattr(model, "text", None), HFTextEncoder)


class _Text(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.encode_text(tokens, normalize=True)
        return vectors


class _Image(torch.nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        vectors: torch.Tensor = self.model.encode_image(pixels, normalize=True)
        return vectors


def _trace(tower: torch.nn.Module, example: torch.Tensor, path: Path, *, name: str, axes: dict[int, str]) -> None:
    # The fused attention of torch's inference path has no ONNX form.
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                tower.eval(),
                (example,),
                str(path),
                input_names=[name],
                output_names=["embedding"],
                dynamic_axes={name: axes, "embedding": {0: axes[0]}},
                dynamo=False,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
