"""Project an archive to a map: its vectors in two dimensions, and how far each lies from the others."""

from __future__ import annotations

import ctypes
import re
import sys
import time
from collections.abc import Callable
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import StrEnum
from importlib.util import find_spec
from multiprocessing.sharedctypes import Synchronized
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput, MissingExtra
from filmroom.indexer.child_processes import context
from numpy.typing import NDArray

MOST = 100_000
"""Films on a map; of a larger archive an even share, always the same."""

NEIGHBOURS, REFERENCE = 10, 2_000
"""Of an outlier score: the nearest films that count, and among how many they are sought."""


class Method(StrEnum):
    """PCA keeps distances as far as two dimensions can, and takes a moment; UMAP keeps neighbourhoods."""

    PCA = "PCA"
    UMAP = "UMAP"


def sample(ids: NDArray[np.int64], most: int = MOST) -> NDArray[np.int64]:
    """Return at most `most` of the ids, evenly spread."""
    if len(ids) <= most:
        return ids
    return ids[np.linspace(0, len(ids) - 1, most).astype(np.int64)]


class Projection:
    """A map that is being drawn: UMAP in a process of its own, which tells how far it is; PCA at once."""

    def __init__(self, vectors: NDArray[np.float32], method: Method) -> None:
        """Begin the projection of `vectors`, unit rows (N, T, D). Raises MissingExtra without umap-learn."""
        self._started = time.monotonic()
        self._pooled = vectors.mean(axis=1)
        self._pooled = self._pooled - self._pooled.mean(axis=0)
        self._share: Synchronized[float] | None = None
        self._future: Future[NDArray[np.float32]] | None = None
        self._flat: NDArray[np.float32] | None = None
        if method is Method.UMAP and len(vectors) > 15:
            if find_spec("umap") is None:
                raise MissingExtra("The UMAP map", extra="map")
            spawn = context("spawn")
            self._share = spawn.Value(ctypes.c_double, 0.0)
            alone = ProcessPoolExecutor(1, mp_context=spawn, initializer=_watch, initargs=(self._share,))
            self._future = alone.submit(_umap, self._pooled)
            alone.shutdown(wait=False)

    @property
    def done(self) -> bool:
        return self._future is None or self._future.done()

    @property
    def share(self) -> float:
        """The share of the steps of layout that are done, in [0, 1]; 0 while neighbours are sought."""
        return self._share.value if self._share else 1.0

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._started

    def seconds_left(self) -> float | None:
        """Estimate the time; None while there is nothing to estimate by."""
        return self.seconds * (1 - self.share) / self.share if self.share > 0.02 else None

    def places(self) -> NDArray[np.float32]:
        """Return (N, 2), centred, the longer axis from -1 to 1; waits until it is there. Raises BadInput where the
        system has ended the process."""
        if self._future is None:
            if self._flat is None:
                self._flat = _fitted(_pca(self._pooled))
            return self._flat
        try:
            return _fitted(self._future.result())
        except BrokenProcessPool:
            raise BadInput("The UMAP map was ended by the system, mostly for memory", fix="Choose PCA.") from None


def project(vectors: NDArray[np.float32], method: Method = Method.PCA) -> NDArray[np.float32]:
    """Turn (N, T, D) unit rows into (N, 2), centred, the longer axis from -1 to 1. Raises as a Projection."""
    return Projection(vectors, method).places()


def outlier_scores(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Measure how far each film (N, T, D) lies from its nearest: 1 - the mean cosine to NEIGHBOURS of REFERENCE films
    that are evenly chosen, all where there are no more. (N,) float32, the greater the odder."""
    pooled = vectors.mean(axis=1)
    pooled = pooled / np.maximum(np.linalg.norm(pooled, axis=1, keepdims=True), 1e-9)
    reference = sample(np.arange(len(pooled)), REFERENCE)
    nearest = min(NEIGHBOURS, len(reference) - 1)
    if nearest < 1:
        return np.zeros(len(pooled), np.float32)
    scores = np.empty(len(pooled), np.float32)
    for start in range(0, len(pooled), 4096):
        part = slice(start, start + 4096)
        cosines = pooled[part] @ pooled[reference].T
        itself = reference[None] == np.arange(len(pooled))[part, None]
        cosines[itself] = -np.inf  # a film is not its own neighbour
        scores[part] = 1 - np.partition(cosines, -nearest, axis=1)[:, -nearest:].mean(axis=1)
    return scores


def _pca(pooled: NDArray[np.float32]) -> NDArray[np.float32]:
    _, _, axes = np.linalg.svd(pooled.T @ pooled / max(1, len(pooled)), hermitian=True)
    flat = pooled @ axes[:2].T
    # The sign of an axis is arbitrary: fixed, so that the same archive always gives the same map.
    return np.asarray(flat * np.where(flat[np.abs(flat).argmax(axis=0), [0, 1]] < 0, -1, 1), np.float32)


def _fitted(flat: NDArray[np.float32]) -> NDArray[np.float32]:
    flat = flat - flat.mean(axis=0)
    return np.asarray(flat / max(float(np.abs(flat).max(initial=0)), 1e-6), np.float32)


_shared: Synchronized[float] | None = None


def _watch(share: Synchronized[float]) -> None:
    global _shared
    _shared = share


class _Steps:
    """A file for a progress bar's text, from which the share of steps that are done is read."""

    def __init__(self, tell: Callable[[float], None]) -> None:
        self._tell = tell

    def write(self, text: str) -> int:
        if counts := re.search(r"(\d+)\s*/\s*(\d+)", text):
            self._tell(int(counts[1]) / max(1, int(counts[2])))
        return len(text)

    def flush(self) -> None:
        pass


def _tell(share: float) -> None:
    if _shared is not None:
        _shared.value = share


def _umap(pooled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run UMAP in a process of its own: its compiler and TensorFlow's, which it loads where it finds one, end a process
    that has both."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    from umap import UMAP

    bar: dict[str, Any] = {"file": _Steps(_tell), "disable": False, "mininterval": 0.2}
    flat: NDArray[np.float32] = UMAP(
        n_components=2, metric="cosine", random_state=0, n_jobs=1, tqdm_kwds=bar
    ).fit_transform(pooled)
    return flat
