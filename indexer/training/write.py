"""Write a trained model as a folder: half-precision weights and graphs, tokenizer, description, plot and card."""

from __future__ import annotations

import json
import shutil
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.indexer.models.model_folder import (
    CONFIG,
    IMAGE_GRAPH,
    TEXT_GRAPH,
    TOKENIZER,
    WEIGHTS,
    ModelFacts,
    write_facts,
)
from filmroom.indexer.models.open_clip.towers import ClipTowers
from filmroom.indexer.models.open_clip.trace import trace_text
from filmroom.indexer.models.preprocess import Preprocess
from torch.nn import functional

_TOKENIZER_FILES = (
    TOKENIZER,
    "tokenizer_config.json",
    "special_tokens_map.json",
    "vocab.txt",
    "vocab.json",
    "merges.txt",
)


class _PatchTower(torch.nn.Module):
    """Image tower with average pooling and a linear head: the head on every place of the map is the patch output."""

    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.trunk, self.proj = visual.trunk, visual.head.proj

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        maps = self.trunk.forward_features(pixels)
        embedding = functional.normalize(self.proj(maps.mean((2, 3))), dim=-1)
        return embedding, self.proj(maps.permute(0, 2, 3, 1))


class _PlainTower(torch.nn.Module):
    def __init__(self, visual: Any) -> None:
        super().__init__()
        self.visual = visual

    def forward(self, pixels: torch.Tensor) -> torch.Tensor:
        return functional.normalize(self.visual(pixels), dim=-1)


def save_weights(model: Any, path: Path) -> None:
    """Write float16 safetensors of an open_clip model; the model is rounded too, so that graphs agree with the file."""
    from safetensors.torch import save_file

    rounded = {k: (v.half() if v.is_floating_point() else v).cpu().contiguous() for k, v in model.state_dict().items()}
    save_file({k: v.clone() for k, v in rounded.items()}, path, metadata={"format": "pt"})
    path.chmod(0o644)
    model.load_state_dict({k: v.float() if v.is_floating_point() else v for k, v in rounded.items()})


def save_config(folder: Path, *, model_cfg: Mapping[str, Any], preprocess: Preprocess) -> None:
    """Write `open_clip_config.json`, so that open_clip loads the folder with `local-dir:`."""
    picture = {
        "mean": list(preprocess.mean), "std": list(preprocess.std), "interpolation": preprocess.resize.value,
        "resize_mode": "longest", "fill_color": 0,
        **({"percentiles": list(preprocess.percentiles)} if preprocess.percentiles else {}),
    }  # fmt: skip
    config = {"model_cfg": dict(model_cfg), "preprocess_cfg": picture}
    (folder / CONFIG).write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")


def save_graphs(folder: Path, loaded: ClipTowers) -> None:
    """Write `image.onnx` (with `patches` where the pooling is linear) and `text.onnx`, weights in half precision."""
    visual, side = loaded.model.visual, loaded.preprocess.size
    linear = _is_linear(visual)
    tower = (_PatchTower if linear else _PlainTower)(visual).cpu().eval()
    names = ["embedding", "patches"] if linear else ["embedding"]
    fused = torch.backends.mha.get_fastpath_enabled()
    torch.backends.mha.set_fastpath_enabled(False)  # the fused attention of inference has no ONNX form
    try:
        with warnings.catch_warnings(), torch.no_grad():
            warnings.simplefilter("ignore")
            torch.onnx.export(
                tower,
                (torch.zeros(2, loaded.preprocess.channels, side, side),),
                str(folder / IMAGE_GRAPH),
                input_names=["pixels"],
                output_names=names,
                dynamic_axes={name: {0: "films"} for name in ["pixels", *names]},
                dynamo=False,
            )
    finally:
        torch.backends.mha.set_fastpath_enabled(fused)
    trace_text(loaded, folder / TEXT_GRAPH)
    for name in (IMAGE_GRAPH, TEXT_GRAPH):
        halve(folder / name)


def _is_linear(visual: Any) -> bool:
    trunk, head = getattr(visual, "trunk", None), getattr(visual, "head", None)
    pool = getattr(getattr(trunk, "global_pool", None), "pool_type", "")
    return pool == "avg" and hasattr(trunk, "forward_features") and hasattr(head, "proj") and not hasattr(head, "mlp")


def halve(path: Path) -> None:
    """Keep the large weights of a graph in float16 with a cast behind each: half the size, computed in float32."""
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    graph = onnx.load(path)
    initializers, casts = [], []
    for tensor in graph.graph.initializer:
        value = numpy_helper.to_array(tensor)
        if value.dtype == np.float32 and value.size > 256:
            initializers.append(numpy_helper.from_array(value.astype(np.float16), f"{tensor.name}_half"))
            casts.append(helper.make_node("Cast", [f"{tensor.name}_half"], [tensor.name], to=TensorProto.FLOAT))
        else:
            initializers.append(tensor)
    nodes = list(graph.graph.node)
    del graph.graph.initializer[:], graph.graph.node[:]
    graph.graph.initializer.extend(initializers)
    graph.graph.node.extend(casts + nodes)
    onnx.checker.check_model(graph)
    onnx.save(graph, path)


def write_model(
    model: Any, folder: Path, *, base: Path, name: str, model_cfg: Mapping[str, Any], preprocess: Preprocess,
    context_length: int, pad_id: int = 0, licence: str = "unknown", prompt: str = "{}", notes: str = "",
) -> ModelFacts:  # fmt: skip
    """Return the whole folder. The tokenizer's files are copied from `base`. Returns what `filmroom.json` says."""
    from filmroom.indexer.models.open_clip.source import from_folder

    folder.mkdir(parents=True, exist_ok=True)
    for file in _TOKENIZER_FILES:
        if (base / file).is_file() and base.resolve() != folder.resolve():
            shutil.copyfile(base / file, folder / file)
    save_config(folder, model_cfg=model_cfg, preprocess=preprocess)
    save_weights(model, folder / WEIGHTS)
    facts: dict[str, Any] = {
        "name": name, "preprocess": preprocess, "dim": int(model_cfg["embed_dim"]), "licence": licence,
        "prompt": prompt, "context_length": context_length, "pad_id": pad_id, "lower": False, "notes": notes,
    }  # fmt: skip
    (folder / "filmroom.json").unlink(missing_ok=True)
    save_graphs(folder, ClipTowers(from_folder(folder, name=name, prompt=prompt, licence=licence), device="cpu"))
    return write_facts(folder, **facts)


def draw_history(history: Sequence[Mapping[str, float | None]], path: Path) -> None:
    """Draw loss and nDCG@5 over the epochs, as a PNG."""
    import matplotlib as mpl

    mpl.use("Agg")
    from matplotlib import pyplot as plt

    figure, left = plt.subplots(figsize=(7, 4), layout="constrained")
    epochs, losses, ndcgs = (
        [float("nan") if row[name] is None else row[name] for row in history] for name in ("epoch", "loss", "ndcg")
    )
    left.plot(np.array(epochs, float), np.array(losses, float), color="tab:blue")
    left.set_xlabel("epoch")
    left.set_ylabel("training loss", color="tab:blue")
    if any(row["ndcg"] is not None for row in history):
        right = left.twinx()
        right.plot(np.array(epochs, float), np.array(ndcgs, float), color="tab:orange")
        right.set_ylabel("nDCG@5, held-out patients", color="tab:orange")
        right.set_ylim(0, 1)
    figure.savefig(path, dpi=120)
    plt.close(figure)
