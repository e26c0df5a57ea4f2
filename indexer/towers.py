"""What every model offers: films and texts as unit vectors of one space."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from db.records import Space
from indexer.radiograph import Radiograph

Vectors = NDArray[np.float32]


class Towers(Protocol):
    """A contrastive model. Loading one tower does not load the other."""

    space: Space

    def prepare(self, film: Radiograph) -> NDArray[np.float32]:
        """The tower's input (C, S, S) from one film: padded, resized, normalised; runs in decoding workers."""
        ...

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """(N, C, S, S) -> (N, T, D), rows of unit length."""
        ...

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """(N, T, D), rows of unit length."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """(N, D), rows of unit length. Raises ModelUnavailable where the model has no text tower."""
        ...

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """(h, w, D), unit rows: one vector a patch of the padded square, for heat maps.

        Raises ModelUnavailable where the tower has no patches in the joint space.
        """
        ...
