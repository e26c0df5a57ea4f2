"""Run REMEDIS and other TensorFlow image encoders: no text tower, so films like others and probes only."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models.base import Vectors, no_patches, no_text, prepare, unit_rows
from filmroom.indexer.models.checksums import digest_of
from filmroom.indexer.models.model_folder import fingerprint
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.models.tensorflow import saved_model
from filmroom.indexer.models.tensorflow.confined import Confined
from numpy.typing import NDArray

_SIDE = 448
_AT_ONCE = 8
_OUTPUTS = ("default", "final_avg_pool")


class SavedModelTowers:
    """An encoder float32 (B, S, S, 3) in [0, 1] -> (B, D), as a SavedModel in a local folder.

    Its signature says S and D where it fixes them, so that it is loaded at once, in a process of its own.
    """

    def __init__(self, folder: Path, *, name: str) -> None:
        files = saved_model.model_files(folder)
        self.folder = folder
        saved_model.check_installed()
        self._encoder = Confined(__name__, Encoder.__name__, folder)
        side, dim = self._encoder.call("facts")
        self.preprocess = Preprocess(side, (0.0,) * 3, (1.0,) * 3)
        weights = digest_of(folder, files)
        digest = fingerprint(weights, tokenizer=None, model_cfg={}, preprocess=self.preprocess)
        self.space = Space(name, digest, dim, has_text=False)

    def embed_prepared(self, batch: NDArray[np.float32]) -> Vectors:
        """Turn (N, 3, S, S) into (N, 1, D), rows of unit length."""
        batches = [self._encoder.call("run", batch[at : at + _AT_ONCE]) for at in range(0, len(batch), _AT_ONCE)]
        rows = np.concatenate(batches) if batches else np.empty((0, self.space.dim), np.float32)
        return unit_rows(rows)[:, None, :]

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, 1, D), rows of unit length."""
        return self.embed_prepared(prepare(batch, self.preprocess))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Raise ModelUnavailable always: it has no text tower."""
        raise no_text(self.space.model)

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Raise ModelUnavailable always: there is no joint space for patches to lie in."""
        raise no_patches(self.space.model)


class Encoder:
    """The SavedModel, in a process of its own."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._loaded = saved_model.load(folder)
        self._call, self._side = self._entry()

    def facts(self) -> tuple[int, int]:
        """Return the side of its films, and the dimension of its vectors."""
        side = self._side
        return side, int(self.run(np.zeros((1, 3, side, side), np.float32)).shape[1])

    def _entry(self) -> tuple[Callable[[Any], Any], int]:
        """Return what to call with films, and their side: the signature, or where there is none the model itself.

        Raises ModelUnavailable where it takes no films.
        """
        if "serving_default" in self._loaded.signatures:
            signature = saved_model.signature(self._loaded, self.folder)
            inputs, call = dict(signature.shapes), signature.call
        else:
            functions = self._loaded.__call__.concrete_functions if callable(self._loaded) else []
            if not functions:
                raise self._other("it has no signature and cannot be called")
            specs = functions[0].structured_input_signature[0]
            inputs, call = {"": saved_model.shape_of(specs[0])}, self._loaded
        if len(inputs) != 1:
            raise self._other(f"it has {len(inputs)} inputs")
        ((name, shape),) = inputs.items()
        if shape is None or len(shape) != 4 or shape[3] not in (3, None) or shape[1] != shape[2]:
            raise self._other(f"it takes {shape}")
        return (lambda films: call(**{name: films}) if name else call(films)), shape[1] or _SIDE

    def run(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Turn (N, 3, S, S) into (N, D)."""
        tf = saved_model.tensorflow()
        channels_last = tf.constant(np.ascontiguousarray(batch.transpose(0, 2, 3, 1)))
        output = self._call(channels_last)
        if isinstance(output, dict):
            candidates = [output[name] for name in _OUTPUTS if name in output]
            output = next(iter(output.values())) if len(output) == 1 else candidates[0] if candidates else None
        if output is None:
            raise self._other("none of its outputs is called default or final_avg_pool")
        if output.shape.rank != 2:
            raise self._other(f"it gives {tuple(output.shape)}")
        vectors: NDArray[np.float32] = output.numpy().astype(np.float32)
        return vectors

    def _other(self, reason: str) -> ModelUnavailable:
        return ModelUnavailable(
            f"this SavedModel is no image encoder: {reason}",
            where=self.folder,
            fix="Films go in as (batch, side, side, 3), one vector each comes out (batch, dimensions).",
        )
