"""Export the towers of open_clip models: once per model, checked against it, kept in the user's cache.

Importing torch and open_clip takes many seconds from cold, so neither a query nor a run over few films should need
them. The first load of a model exports both its towers as graphs; later loads answer texts and films from those. A
run over many films goes on in open_clip where that is faster. A tower whose export fails, or whose vectors are not the
model's, runs in open_clip for good.
"""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import re
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import platformdirs
from filmroom.db.errors import FilmroomError, ModelUnavailable
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Towers, Vectors, no_patches
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.model_folder import (
    IMAGE_GRAPH,
    TEXT_GRAPH,
    TOKENIZER,
    ModelFacts,
    read_facts,
    read_json,
    sha256,
    write_facts,
)
from filmroom.indexer.models.open_clip.source import ClipSource, architectures, from_architecture, from_folder
from numpy.typing import NDArray

if TYPE_CHECKING:
    from filmroom.indexer.models.open_clip.towers import ClipTowers

_ORIGIN = "source.json"
# An export by an older way of exporting is made again.
_VERSION = 1
_ALIKE = 0.999
# Seconds of a run's embedding after which torch and open_clip, which take about as long to import, are given a trial:
# where a GPU may be in reach of them, or nothing else made the graph faster.
_PATIENCE = 8.0
_TRIAL = 8
_PROBES = (
    "pleural effusion",
    "Small LEFT apical pneumothorax; no midline shift.",
    "cardiomegaly, 12 mm nodule in the right upper lobe (new since 2019)",
    "patient's tube tip: 3.5cm above the carina & well placed",
    "",
    "there is an opacity in the left lower zone " * 60,
)


class ClipModelTowers:
    """An open_clip model: texts through its exported graph; films, too, until it pays to look whether open_clip is
    faster."""

    def __init__(self, source: ClipSource, folder: Path, *, facts: ModelFacts, device: str | None) -> None:
        self.source = source
        self.facts = facts
        self.space = replace(facts.space, has_text=True)
        self.preprocess = facts.preprocess
        self._device = device
        self._graphs = OnnxTowers(folder, device=device, facts=facts)
        # A session of its own, which ends where open_clip takes over.
        self._films: OnnxTowers | None = None
        if IMAGE_GRAPH in facts.files and device != "cuda":
            self._films = OnnxTowers(folder, device=device, facts=facts)
        self._spent, self._settled = 0.0, False

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, C, S, S) into (N, T, D), rows of unit length."""
        if self._films is not None and not self._settled and self._spent > _PATIENCE:
            self._settled = True
            if not self._films.quickened or (self._device is None and _has_gpu()):
                self._films = self._faster(self._films, batch[:_TRIAL])
        started = time.perf_counter()
        vectors = (self._films or self._clip).embed_prepared(batch)
        self._spent += time.perf_counter() - started
        return vectors

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, T, D), rows of unit length."""
        return (self._films or self._clip).embed_images(batch)

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, D), rows of unit length, through the exported graph."""
        towers: Towers = self._graphs if TEXT_GRAPH in self.facts.files else self._clip
        return towers.embed_texts(texts)

    def known_words(self) -> frozenset[str]:
        """Return the whole words of the tokenizer's vocabulary, lower case; none where the texts are not exported."""
        return self._graphs.known_words() if TEXT_GRAPH in self.facts.files else frozenset()

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Raise ModelUnavailable always: the patches of these towers do not lie in the joint space."""
        raise no_patches(self.space.model)

    @cached_property
    def _clip(self) -> ClipTowers:
        from filmroom.indexer.models.open_clip.towers import ClipTowers

        loaded = ClipTowers(self.source, device=self._device)
        if loaded.space.fingerprint != self.space.fingerprint:
            raise ModelUnavailable(
                "the model was replaced while it was in use", where=self.source.weights, fix="Start again."
            )
        return loaded

    def _faster(self, graph: OnnxTowers, batch: NDArray[np.float32]) -> OnnxTowers | None:
        """Return the graph's tower where `batch` takes it no longer than open_clip, else None."""
        before = _seconds(graph, batch)
        if _seconds(self._clip, batch) < before:
            return None
        del self._clip
        return graph


def _has_gpu() -> bool:
    """Tell whether the driver of an NVIDIA GPU is installed, which is all that can be told without torch."""
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def _seconds(towers: Towers, batch: NDArray[np.float32]) -> float:
    towers.embed_prepared(batch)
    started = time.perf_counter()
    towers.embed_prepared(batch)
    return time.perf_counter() - started


def towers(source: ClipSource, *, device: str | None = None) -> Towers:
    """Return the towers of an open_clip model; its first load takes as long as torch and an export take.

    Raises ModelUnavailable where the model itself cannot be loaded.
    """
    folder = _folder(source)
    facts = _kept(source, folder)
    if facts is None:
        from filmroom.indexer.models.open_clip.towers import ClipTowers

        loaded = ClipTowers(source, device=device)
        facts = export(loaded, folder)
        if facts is None:
            return loaded
    facts = replace(facts, name=source.name, prompt=source.prompt)
    return ClipModelTowers(source, folder, facts=facts, device=device)


def graphs_of(towers: Towers) -> OnnxTowers | None:
    """Return the exported form of towers that embeds films; None where there is none."""
    graphs = towers._graphs if isinstance(towers, ClipModelTowers) else towers
    return graphs if isinstance(graphs, OnnxTowers) and IMAGE_GRAPH in graphs.facts.files else None


def find(fingerprint: str, *, device: str | None = None) -> Towers | None:
    """Return the towers of a space that were exported earlier, whatever the model was called; None where there are
    none."""
    for facts_path in sorted(_cache().glob("*/" + _ORIGIN)):
        folder = facts_path.parent
        try:
            facts, origin = read_facts(folder), read_json(folder / _ORIGIN)
            if facts.fingerprint != fingerprint:
                continue
            weights = Path(str(origin["weights"]))
            if weights.is_file():
                source_folder = origin.get("folder")
                settings: dict[str, Any] = {"name": facts.name, "prompt": facts.prompt, "licence": facts.licence}
                if source_folder and Path(source_folder).is_dir():
                    return towers(from_folder(Path(source_folder), **settings), device=device)
                if origin["architecture"] in architectures():
                    return towers(from_architecture(origin["architecture"], weights, **settings), device=device)
            return OnnxTowers(folder, device=device, facts=facts)
        except (FilmroomError, KeyError):
            continue
    return None


def forget(source: ClipSource) -> None:
    """Drop what was exported of a model."""
    shutil.rmtree(_folder(source), ignore_errors=True)


def export(loaded: ClipTowers, folder: Path) -> ModelFacts | None:
    """Write the exported towers of a loaded model to `folder`, whole or not at all, and return what was kept.

    A tower is kept only if its vectors are within a cosine of 0.999 of the model's on texts and films. None where
    the cache cannot be written.
    """
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        part = Path(tempfile.mkdtemp(prefix=".", dir=folder.parent))
    except OSError:
        return None
    try:
        facts = _export_into(loaded, part)
        stat = loaded.source.weights.stat()
        origin = {
            "version": _VERSION,
            "architecture": loaded.source.architecture,
            "folder": str(loaded.source.folder) if loaded.source.folder else None,
            "weights": str(loaded.source.weights),
            "digest": loaded.source.weights_digest,
            "size": stat.st_size,
            "mtime_ns": stat.st_mtime_ns,
        }
        (part / _ORIGIN).write_text(json.dumps(origin, indent=2) + "\n", encoding="utf-8")
        shutil.rmtree(folder, ignore_errors=True)
        os.rename(part, folder)
    except OSError:
        return None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return facts


def _export_into(loaded: ClipTowers, folder: Path) -> ModelFacts:
    """Export both towers, then keep those that agree with the model."""
    from filmroom.indexer.models.open_clip.tokenizer import as_tokenizers
    from filmroom.indexer.models.open_clip.trace import is_length_free, trace_image, trace_text

    source = loaded.source
    tokenizer = as_tokenizers(loaded.tokenizer)
    settings: dict[str, Any] = {
        "name": source.name,
        "preprocess": loaded.preprocess,
        "dim": loaded.space.dim,
        "fingerprint": loaded.space.fingerprint,
        "licence": source.licence,
        "prompt": source.prompt,
        "lower": False,
        "context_length": int(source.model_cfg["text_cfg"].get("context_length") or 77),
    }
    if tokenizer is not None:
        tokenizer[0].save(str(folder / TOKENIZER))
        settings |= {"pad_id": tokenizer[1], "pad_to_longest": is_length_free(loaded.model)}
        _keep(folder / TEXT_GRAPH, lambda path: trace_text(loaded, path))
    _keep(folder / IMAGE_GRAPH, lambda path: trace_image(loaded, path))
    facts = write_facts(folder, **settings)
    checks = ((TEXT_GRAPH, _texts_agree), (IMAGE_GRAPH, _films_agree))
    wrong = [
        name
        for name, agrees in checks
        if name in facts.files and not agrees(loaded, OnnxTowers(folder, device="cpu", facts=facts))
    ]
    for name in wrong:
        (folder / name).unlink()
    return write_facts(folder, **settings) if wrong else facts


def _keep(path: Path, trace: Callable[[Path], None]) -> None:
    """Trace a tower to a file, or leave none: torch's exporter fails in as many ways as there are models."""
    try:
        trace(path)
    except OSError:
        raise
    except Exception:
        path.unlink(missing_ok=True)


def _texts_agree(loaded: ClipTowers, graphs: OnnxTowers) -> bool:
    try:
        expected, by_graph = loaded.tokenize(_PROBES).numpy(), graphs.tokenize(_PROBES)
        cut = by_graph.shape[1]
        same = np.array_equal(expected[:, :cut], by_graph) and bool((expected[:, cut:] == graphs.facts.pad_id).all())
        return same and _alike(loaded.embed_texts(_PROBES), graphs.embed_texts(_PROBES))
    except ModelUnavailable:
        return False


def _films_agree(loaded: ClipTowers, graphs: OnnxTowers) -> bool:
    side = loaded.preprocess.size
    ramp = np.linspace(0, 65535, side, dtype=np.uint16)
    noise = np.random.default_rng(0).integers(0, 65535, (side, side), dtype=np.uint16)
    films = np.stack([np.broadcast_to(ramp, (side, side)), np.minimum(ramp[:, None], noise), noise])
    batch = loaded.preprocess.normalise(films)
    try:
        return _alike(loaded.embed_exactly(batch), graphs.embed_prepared(batch)[:, 0])
    except Exception:  # a graph that loads but cannot run fails with whatever its operator raises
        return False


def _alike(expected: Vectors, computed: Vectors) -> bool:
    return bool(((expected * computed).sum(axis=-1) >= _ALIKE).all())


def _kept(source: ClipSource, folder: Path) -> ModelFacts | None:
    """Return what was exported of these very weights, or None."""
    try:
        facts, origin = read_facts(folder), read_json(folder / _ORIGIN)
        stat = source.weights.stat()
    except (FilmroomError, OSError):
        return None
    if origin.get("version") != _VERSION or any(not (folder / name).is_file() for name in facts.files):
        return None
    if (origin.get("size"), origin.get("mtime_ns")) == (stat.st_size, stat.st_mtime_ns):
        return facts
    # Copied or touched: the same bytes are the same model.
    return facts if origin.get("digest") == source.weights_digest else None


def _cache() -> Path:
    return Path(platformdirs.user_cache_dir("filmroom", appauthor=False)) / "towers"


def _folder(source: ClipSource) -> Path:
    """Say where the exports of a model lie: by its configuration, its checkpoint's path and its tokenizer."""
    own_tokenizer = (source.folder / TOKENIZER) if source.folder else None
    parts = [
        source.architecture,
        str(source.weights),
        source.model_cfg,
        source.preprocess_cfg,
        source.facts.preprocess.facts() if source.facts else None,
        sha256(own_tokenizer) if own_tokenizer and own_tokenizer.is_file() else None,
    ]
    key = hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()[:16]
    return _cache() / f"{re.sub('[^A-Za-z0-9.-]+', '-', source.name)[:40]}-{key}"
