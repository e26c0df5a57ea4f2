"""Where an open_clip model lies: its configuration and its weights, found without importing torch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from db.errors import ModelUnavailable
from indexer.model_folder import CONFIG, FACTS, TOKENIZER, WEIGHTS, ModelFacts, read_facts, read_json, sha256

# open_clip's own order of preference, safetensors first.
_WEIGHTS = (
    WEIGHTS,
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
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
        held = self.folder and any((self.folder / name).is_file() for name in _TOKENIZER_FILES)
        return self.folder if held else None


def from_folder(folder: Path, *, name: str | None = None, prompt: str = "{}", licence: str = "unknown") -> ClipSource:
    """A folder in open_clip's local-dir layout. Raises ModelUnavailable where something is missing."""
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
    """One of open_clip's architectures with a checkpoint of the user's. Raises ModelUnavailable."""
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


def hub_snapshot(repository: str) -> Path | None:
    """The folder where a Hugging Face model was downloaded to, with its weights, or None. Asks no network."""
    folder = hub_folder(repository)
    return folder if folder and any((folder / name).is_file() for name in _WEIGHTS) else None


def hub_folder(repository: str) -> Path | None:
    """The newest snapshot of a repository in the Hugging Face cache, or None.

    Reads the cache by its documented layout: huggingface_hub's own function takes half a second to import.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    held = Path(HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    try:
        folder = held / "snapshots" / (held / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder if folder.is_dir() else None


def fetch(repository: str) -> Path:
    """Download what open_clip needs of a repository, resuming a broken download, and return its folder.

    Raises ModelUnavailable, which says how to carry the model over from elsewhere, where the network fails.
    """
    from huggingface_hub import HfApi, snapshot_download

    try:
        held = set(HfApi().list_repo_files(repository))
        weights = [name for name in _WEIGHTS if name in held][:1]
        if CONFIG not in held or not weights:
            raise ModelUnavailable("this repository holds no open_clip model", where=f"hf-hub:{repository}")
        texts = ["*.json", "*.txt", "*.model"]
        folder = Path(snapshot_download(repository, allow_patterns=[*texts, *weights]))
        text_cfg = read_json(folder / CONFIG).get("model_cfg", {}).get("text_cfg", {})
        for other in {text_cfg.get("hf_model_name"), text_cfg.get("hf_tokenizer_name")} - {None, "", repository}:
            snapshot_download(other, allow_patterns=texts)
    except ModelUnavailable:
        raise
    except Exception as fault:  # the hub, its transport and the disk each have their own errors
        raise ModelUnavailable(
            f"it cannot be downloaded ({type(fault).__name__})",
            where=f"hf-hub:{repository}",
            fix=f"With a network elsewhere: hf download {repository} --local-dir FOLDER; "
            "bring the folder here; filmroom models add FOLDER",
        ) from None
    return folder


def architectures() -> dict[str, Path]:
    """open_clip's architectures by name, with the file that describes each."""
    spec = find_spec("open_clip")
    if spec is None or not spec.submodule_search_locations:
        raise ModelUnavailable("open_clip is not installed", fix="Install it with: pip install open-clip-torch")
    return {path.stem: path for path in Path(spec.submodule_search_locations[0], "model_configs").glob("*.json")}


def _find_weights(folder: Path) -> Path:
    for name in _WEIGHTS:
        if (folder / name).is_file():
            return folder / name
    others = sorted(p for p in folder.iterdir() if p.suffix in {".safetensors", ".bin", ".pth", ".pt"})
    if len(others) == 1:
        return others[0]
    raise ModelUnavailable(
        "this folder holds several checkpoints" if others else "this folder holds no weights",
        where=folder,
        fix=f"Name the one to use {WEIGHTS}.",
    )


def _checked(model_cfg: object, path: Path) -> Mapping[str, Any]:
    wanted = ("embed_dim", "vision_cfg", "text_cfg")
    if not isinstance(model_cfg, dict) or not all(key in model_cfg for key in wanted):
        raise ModelUnavailable(
            f"it describes no open_clip model ({', '.join(wanted)} are needed under model_cfg)", where=path
        )
    if (model_cfg["text_cfg"].get("tokenizer_kwargs") or {}).get("trust_remote_code"):
        raise ModelUnavailable("its tokenizer wants to run code of its own, which is refused", where=path)
    return model_cfg
