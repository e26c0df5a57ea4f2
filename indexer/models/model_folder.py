"""Read a model's folder: what lies in it, what `filmroom.json` says, and whether the files are the right ones.

open_clip_config.json        architecture and preprocessing, open_clip's own format
open_clip_model.safetensors  the weights (a folder that only holds exported graphs has none)
tokenizer.json               the tokenizer, in the format of the `tokenizers` library
image.onnx, text.onnx        the exported towers; a model without text.onnx has no text tower
filmroom.json                name, licence, prompt, preprocessing, checksums, fingerprint
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.models.preprocess import Preprocess, Resize

FACTS = "filmroom.json"
CONFIG = "open_clip_config.json"
WEIGHTS = "open_clip_model.safetensors"
TOKENIZER = "tokenizer.json"
IMAGE_GRAPH = "image.onnx"
TEXT_GRAPH = "text.onnx"

_INCOMPLETE = "Fetch or export the model again."


@dataclass(frozen=True)
class ModelFacts:
    """The content of `filmroom.json`.

    `prompt` holds one `{}` for the text that is asked. `context_length` is L, the most tokens of a text;
    every text is padded to L with `pad_id`, or with `pad_to_longest` only to the longest of its batch.
    `lower`: texts are lower-cased before the tokenizer. `files` maps names to SHA-256; `fingerprint` is the
    space's.
    """

    name: str
    preprocess: Preprocess
    dim: int
    fingerprint: str
    files: Mapping[str, str]
    licence: str = "unknown"
    prompt: str = "{}"
    context_length: int = 77
    pad_id: int = 0
    pad_to_longest: bool = False
    lower: bool = True
    vectors: int = 1
    notes: str = ""

    @property
    def space(self) -> Space:
        return Space(self.name, self.fingerprint, self.dim, self.vectors, TEXT_GRAPH in self.files)


def read_facts(folder: Path) -> ModelFacts:
    """Return what `filmroom.json` says. Raises ModelUnavailable where it is missing or cannot be understood."""
    path = folder / FACTS
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        low_high = content.get("percentiles")
        preprocess = Preprocess(
            int(content["image_size"]), tuple(content["mean"]), tuple(content["std"]), Resize(content["resize"]),
            (float(low_high[0]), float(low_high[1])) if low_high else None,
        )  # fmt: skip
        return ModelFacts(
            name=str(content["name"]),
            preprocess=preprocess,
            dim=int(content["dim"]),
            fingerprint=str(content["fingerprint"]),
            files={str(name): str(digest) for name, digest in content["files"].items()},
            licence=str(content.get("licence", "unknown")),
            prompt=str(content.get("prompt", "{}")),
            context_length=int(content["context_length"]),
            pad_id=int(content.get("pad_id", 0)),
            pad_to_longest=bool(content.get("pad_to_longest", False)),
            lower=bool(content.get("lower", True)),
            vectors=int(content.get("vectors", 1)),
            notes=str(content.get("notes", "")),
        )
    except FileNotFoundError:
        raise ModelUnavailable(f"this folder has no {FACTS}", where=folder, fix=_INCOMPLETE) from None
    except OSError as fault:
        raise ModelUnavailable(f"it cannot be read ({fault.strerror})", where=path) from None
    except (ValueError, LookupError, TypeError, AttributeError) as fault:
        raise ModelUnavailable(
            f"it is not a model's description ({type(fault).__name__}: {fault})", where=path, fix=_INCOMPLETE
        ) from None


def write_facts(
    folder: Path,
    *,
    name: str,
    preprocess: Preprocess,
    dim: int,
    fingerprint: str | None = None,
    licence: str = "unknown",
    prompt: str = "{}",
    context_length: int = 77,
    pad_id: int = 0,
    pad_to_longest: bool = False,
    lower: bool = True,
    vectors: int = 1,
    notes: str = "",
) -> ModelFacts:
    """Write `filmroom.json` for the files that lie in `folder` and return what it says.

    The fingerprint is `fingerprint_folder`'s unless the folder holds graphs exported from weights elsewhere.
    """
    files = sorted(p for p in folder.iterdir() if p.is_file() and p.suffix in {".json", ".onnx", ".safetensors"})
    facts = ModelFacts(
        name=name,
        preprocess=preprocess,
        dim=dim,
        fingerprint=fingerprint or fingerprint_folder(folder, preprocess),
        files={p.name: sha256(p) for p in files if p.name != FACTS},
        licence=licence,
        prompt=prompt,
        context_length=context_length,
        pad_id=pad_id,
        pad_to_longest=pad_to_longest,
        lower=lower,
        vectors=vectors,
        notes=notes,
    )
    content = {
        "name": name,
        "licence": licence,
        "prompt": prompt,
        "context_length": context_length,
        "pad_id": pad_id,
        "pad_to_longest": pad_to_longest,
        "lower": lower,
        **preprocess.facts(),
        "dim": dim,
        "vectors": vectors,
        "files": dict(facts.files),
        "fingerprint": facts.fingerprint,
        "notes": notes,
    }
    part = folder / f"{FACTS}.tmp"
    part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
    os.replace(part, folder / FACTS)
    return facts


def fingerprint(weights: str, *, tokenizer: str | None, model_cfg: Mapping[str, Any], preprocess: Preprocess) -> str:
    """Return the name of a space: SHA-256 over the digests of weights and tokenizer, architecture and preprocessing.

    The prompt is left out: it changes what is asked, not the vectors that are kept.
    """
    parts = [weights, tokenizer, model_cfg, preprocess.facts()]
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def fingerprint_folder(folder: Path, preprocess: Preprocess) -> str:
    """Return the fingerprint of the model in `folder`; of its graphs where they came without weights."""
    weights = [folder / WEIGHTS] if (folder / WEIGHTS).is_file() else [folder / IMAGE_GRAPH, folder / TEXT_GRAPH]
    tokenizer = folder / TOKENIZER
    config = folder / CONFIG
    return fingerprint(
        "+".join(sha256(p) for p in weights if p.is_file()),
        tokenizer=sha256(tokenizer) if tokenizer.is_file() else None,
        model_cfg=read_json(config).get("model_cfg", {}) if config.is_file() else {},
        preprocess=preprocess,
    )


def faults(folder: Path) -> list[str]:
    """Return what is wrong with the files of a model folder by their checksums, one line each; empty when well.

    Reads every byte: for `doctor` and after a download, not for a query.
    """
    digests = read_facts(folder).files
    faults_found = []
    for name, digest in digests.items():
        path = folder / Path(name).name
        if not path.is_file():
            faults_found.append(f"{name} is missing")
        elif sha256(path) != digest:
            faults_found.append(f"{name} is not the file that was published (its checksum differs)")
    return faults_found


def read_json(path: Path) -> dict[str, Any]:
    """Return the object in a JSON file. Raises ModelUnavailable with one line where there is none."""
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelUnavailable(f"this folder has no {path.name}", where=path.parent, fix=_INCOMPLETE) from None
    except (OSError, ValueError):
        raise ModelUnavailable("it cannot be read as JSON", where=path, fix=_INCOMPLETE) from None
    if not isinstance(content, dict):
        raise ModelUnavailable("it holds no JSON object", where=path, fix=_INCOMPLETE)
    return content


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
