"""Find models of the Hugging Face hub on this disk, and download them only when asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from filmroom.db.errors import FilmroomError, ModelUnavailable
from filmroom.indexer.models.detect import ELIXR_PARTS, SAVED_GRAPH, TRANSFORMERS_CONFIG
from filmroom.indexer.models.model_folder import CONFIG, read_json, sha256

BERT = "google-bert/bert-base-uncased"
VOCABULARY = "vocab.txt"
_SAFE = "model.safetensors"
# open_clip's own order of preference, safetensors first.
CLIP_WEIGHTS = (
    "open_clip_model.safetensors",
    "open_clip_pytorch_model.safetensors",
    "open_clip_pytorch_model.bin",
    "open_clip_pytorch_model.pth",
    _SAFE,
    "pytorch_model.bin",
    "pytorch_model.pth",
    "model.pth",
)
_TEXTS = ("*.json", "*.txt", "*.model")


@dataclass(frozen=True)
class Offer:
    """What a download is: its repository, its size in megabytes, and the licence that its card names."""

    repository: str
    size_mb: int
    licence: str


def hub_snapshot(repository: str) -> Path | None:
    """Return the folder where a model was downloaded to, with its weights, or None. Asks no network."""
    folder = hub_folder(repository)
    if folder is None:
        return None
    elixr = all((folder / part / SAVED_GRAPH).is_file() for part in ELIXR_PARTS)
    weights = any((folder / name).is_file() for name in (*CLIP_WEIGHTS, f"{_SAFE}.index.json"))
    return folder if elixr or weights else None


def hub_folder(repository: str) -> Path | None:
    """Return the newest snapshot of a repository in the Hugging Face cache, or None.

    Reads the cache by its documented layout: huggingface_hub's own function takes half a second to import.
    """
    from huggingface_hub.constants import HF_HUB_CACHE

    cache = Path(HF_HUB_CACHE, f"models--{repository.replace('/', '--')}")
    try:
        folder = cache / "snapshots" / (cache / "refs" / "main").read_text(encoding="utf-8").strip()
    except OSError:
        return None
    return folder if folder.is_dir() else None


def fetch(repository: str, *, on_offer: Callable[[Offer], None] = lambda offer: None) -> Path:
    """Download what a tower needs of a repository, resuming a broken download, and return its folder.

    `on_offer` hears of size and licence before the first byte. Every large file is compared with the hub's SHA-256,
    and removed where it differs. Raises ModelUnavailable, which says how to carry the model over from elsewhere,
    where the network fails, and how to be let in where the model is gated.
    """
    from huggingface_hub import HfApi, snapshot_download
    from huggingface_hub.errors import GatedRepoError

    try:
        info = HfApi().model_info(repository, files_metadata=True)
        files = {file.rfilename: file for file in info.siblings or []}
        patterns = _wanted(set(files), repository)
        chosen = [file for name, file in files.items() if any(fnmatch(name, pattern) for pattern in patterns)]
        on_offer(Offer(repository, round(sum(file.size or 0 for file in chosen) / 1e6), _licence(info)))
        folder = Path(snapshot_download(repository, allow_patterns=patterns))
        for file in chosen:
            if file.lfs is not None:
                _check(folder / file.rfilename, file.lfs.sha256)
        for other in _others(folder) - {repository}:
            snapshot_download(other, allow_patterns=list(_TEXTS))
        if f"{ELIXR_PARTS[0]}/*" in patterns:
            snapshot_download(BERT, allow_patterns=[VOCABULARY])
    except FilmroomError:
        raise
    except GatedRepoError:
        raise ModelUnavailable(
            "its makers let in only those who accepted their terms",
            where=f"hf-hub:{repository}",
            fix=f"Accept them at https://huggingface.co/{repository}, run `hf auth login`, and try again.",
        ) from None
    except Exception as fault:  # the hub, its transport and the disk each have their own errors
        raise ModelUnavailable(
            f"it cannot be downloaded ({type(fault).__name__})",
            where=f"hf-hub:{repository}",
            fix=f"With a network elsewhere: hf download {repository} --local-dir FOLDER; "
            "bring the folder here; filmroom models add FOLDER",
        ) from None
    return folder


def _wanted(names: set[str], repository: str) -> list[str]:
    """Return patterns of the files that a tower needs. Raises ModelUnavailable where the repository holds none."""
    weights = [name for name in CLIP_WEIGHTS if name in names]
    if CONFIG in names and weights:
        return [*_TEXTS, weights[0]]
    if all(f"{part}/{SAVED_GRAPH}" in names for part in ELIXR_PARTS):
        return [f"{part}/*" for part in ELIXR_PARTS]
    if TRANSFORMERS_CONFIG in names and any(name.endswith(".safetensors") for name in names):
        return [*_TEXTS, "model*.safetensors"]
    raise ModelUnavailable("this repository holds no model that can be used here", where=f"hf-hub:{repository}")


def _others(folder: Path) -> set[str]:
    """Return the repositories that an open_clip model's text tower and tokenizer are described in."""
    if not (folder / CONFIG).is_file():
        return set()
    text_cfg = read_json(folder / CONFIG).get("model_cfg", {}).get("text_cfg", {})
    return {text_cfg.get("hf_model_name"), text_cfg.get("hf_tokenizer_name")} - {None, ""}


def _licence(info: Any) -> str:
    card = info.card_data
    name = (card.get("license_name") or card.get("license")) if card else None
    return str(name or "unknown")


def _check(path: Path, digest: str) -> None:
    if sha256(path) != digest:
        path.resolve().unlink()
        raise ModelUnavailable(
            f"{path.name} is not the file that was published (its checksum differs); it was removed",
            where=path.parent,
            fix="Run the same command again.",
        )
