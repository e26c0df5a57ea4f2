"""The archive as a map: its vectors in two dimensions."""

from __future__ import annotations

import sys
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from enum import StrEnum
from importlib.util import find_spec

import numpy as np
from filmroom.db.errors import BadInput, MissingExtra
from filmroom.indexer.child_processes import context
from numpy.typing import NDArray

MOST = 20_000
"""Films on a map; of a larger archive an even share, always the same."""


class Method(StrEnum):
    """PCA keeps distances as far as two dimensions can, and takes a moment; UMAP keeps neighbourhoods."""

    PCA = "PCA"
    UMAP = "UMAP"


def sample(ids: NDArray[np.int64]) -> NDArray[np.int64]:
    """At most MOST of the ids, evenly spread."""
    if len(ids) <= MOST:
        return ids
    return ids[np.linspace(0, len(ids) - 1, MOST).astype(np.int64)]


def project(vectors: NDArray[np.float32], method: Method = Method.PCA) -> NDArray[np.float32]:
    """(N, T, D) unit rows -> (N, 2), centred, the longer axis from -1 to 1. Raises MissingExtra without umap-learn,
    BadInput where the system ended the process of UMAP."""
    pooled = vectors.mean(axis=1)
    pooled = pooled - pooled.mean(axis=0)
    if method is Method.UMAP and len(pooled) > 15:
        if find_spec("umap") is None:
            raise MissingExtra("The UMAP map", extra="map")
        try:
            with ProcessPoolExecutor(1, mp_context=context("spawn")) as alone:
                flat = alone.submit(_umap, pooled).result()
        except BrokenProcessPool:
            raise BadInput("The UMAP map was ended by the system, mostly for memory", fix="Choose PCA.") from None
    else:
        _, _, axes = np.linalg.svd(pooled.T @ pooled / max(1, len(pooled)), hermitian=True)
        flat = pooled @ axes[:2].T
        # The sign of an axis is arbitrary: fixed, so that the same archive always gives the same map.
        flat = flat * np.where(flat[np.abs(flat).argmax(axis=0), [0, 1]] < 0, -1, 1)
    flat = flat - flat.mean(axis=0)
    return np.asarray(flat / max(float(np.abs(flat).max(initial=0)), 1e-6), np.float32)


def _umap(pooled: NDArray[np.float32]) -> NDArray[np.float32]:
    """Run UMAP in a process of its own: its compiler and TensorFlow's, which it loads where it finds one, end a process
    that has both."""
    sys.modules["tensorflow"] = None  # type: ignore[assignment]
    from umap import UMAP

    flat: NDArray[np.float32] = UMAP(n_components=2, metric="cosine", random_state=0, n_jobs=1).fit_transform(pooled)
    return flat
