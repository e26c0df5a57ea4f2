"""Find an open_clip model's configuration and weights without importing torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models.hub import CLIP_WEIGHTS
from filmroom.indexer.models.model_folder import (
    CONFIG,
    FACTS,
    TOKENIZER,
    WEIGHTS,
    ModelFacts,
    read_facts,
    read_json,
    sha256,
)

_TOKENIZER_FILES = (TOKENIZER, "tokenizer_config.json", "vocab.txt", "vocab.json", "spiece.model")


@dataclass(frozen=True)
class ClipSource:
    """An open_clip model on this disk.

    `model_cfg` and `preprocess_cfg` are open_clip's; `preprocess_cfg` is None for a bare architecture, whose
    preprocessing open_clip knows from the published weights. `folder` holds the tokenizer where the model has
    its own. `facts` are there when the folder is one of ours.
    """

    name: str
    architecture: str
    weights: Path
    model_cfg: Mapping[str, Any]
    preprocess_cfg: Mapping[str, Any] | None
    folder: Path | None = None
    prompt: str = "{}"
    licence: str = "unknown"
    facts: ModelFacts | None = field(default=None, compare=False)

    @cached_property
    def weights_digest(self) -> str:
        """The SHA-256 of the checkpoint (reads all of it)."""
        return sha256(self.weights)

    @property
    def tokenizer_digest(self) -> str | None:
        """The SHA-256 of the model's own tokenizer.json, if it has one."""
        path = self.folder / TOKENIZER if self.folder else None
        return sha256(path) if path and path.is_file() else None

    @property
    def tokenizer_folder(self) -> Path | None:
        """The folder of the model's own Hugging Face tokenizer, if it has one."""
        has_tokenizer = self.folder and any((self.folder / name).is_file() for name in _TOKENIZER_FILES)
        return self.folder if has_tokenizer else None


def from_folder(folder: Path, *, name: str | None = None, prompt: str = "{}", licence: str = "unknown") -> ClipSource:
    """Return a folder in open_clip's local-dir layout. Raises ModelUnavailable where something is missing."""
    config = read_json(folder / CONFIG)
    facts = read_facts(folder) if (folder / FACTS).is_file() else None
    return ClipSource(
        name=name or (facts.name if facts else folder.name),
        architecture=f"local-dir:{folder}",
        weights=_find_weights(folder),
        model_cfg=_checked(config.get("model_cfg"), folder / CONFIG),
        preprocess_cfg=config.get("preprocess_cfg") or {},
        folder=folder,
        prompt=facts.prompt if facts else prompt,
        licence=facts.licence if facts else licence,
        facts=facts,
    )


def from_architecture(
    architecture: str, weights: Path, *, name: str | None = None, prompt: str = "{}", licence: str = "unknown"
) -> ClipSource:
    """Return one of open_clip's architectures with a checkpoint of the user's. Raises ModelUnavailable."""
    path = architectures()[architecture]
    if not weights.is_file():
        raise ModelUnavailable("there is no such checkpoint", where=weights)
    return ClipSource(
        name=name or f"{architecture}:{weights.stem}",
        architecture=architecture,
        weights=weights.absolute(),
        model_cfg=_checked(json.loads(path.read_text(encoding="utf-8")), path),
        preprocess_cfg=None,
        prompt=prompt,
        licence=licence,
    )


def architectures() -> dict[str, Path]:
    """Return open_clip's architectures by name, with the file that describes each."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise ModelUnavailable("open_clip is not installed", fix="Install it with: pip install open-clip-torch")
    return {path.stem: path for path in Path(spec.submodule_search_locations[0], "model_configs").glob("*.json")}


def _find_weights(folder: Path) -> Path:
    for name in CLIP_WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    checkpoints = sorted(p for p in folder.iterdir() if p.suffix in {".safetensors", ".bin", ".pth", ".pt"})
    if len(checkpoints) == 1:
        return checkpoints[0]
    raise ModelUnavailable(
        "this folder holds several checkpoints" if checkpoints else "this folder holds no weights",
        where=folder,
        fix=f"Name the one to use {WEIGHTS}.",
    )


def _checked(model_cfg: object, path: Path) -> Mapping[str, Any]:
    keys = ("embed_dim", "vision_cfg", "text_cfg")
    if not isinstance(model_cfg, dict) or not all(key in model_cfg for key in keys):
        raise ModelUnavailable(
            f"it describes no open_clip model ({', '.join(keys)} are needed under model_cfg)", where=path
        )
    if (model_cfg["text_cfg"].get("tokenizer_kwargs") or {}).get("trust_remote_code"):
        raise ModelUnavailable("its tokenizer wants to run code of its own, which is refused", where=path)
    return model_cfg
