"""Run CXR Foundation (ELIXR v2): two TensorFlow SavedModels that turn a film into 32 vectors and a text into one.

A film goes in as a 16-bit PNG within a tf.train.Example, one a call, so bulk indexing runs in several processes.
The folder is that of google/cxr-foundation, with BERT's vocabulary beside it:

    elixr-c-v2-pooled/   image -> feature maps (1, 8, 8, 1376)
    pax-elixr-b-text/    Q-former: feature maps -> (32, 128); token ids -> (128)
    vocab.txt            of google-bert/bert-base-uncased
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Space
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.decoding.workers import usable_cpus
from filmroom.indexer.models.base import Vectors, no_patches, prepare, unit_rows
from filmroom.indexer.models.checksums import digest_of
from filmroom.indexer.models.detect import ELIXR_PARTS
from filmroom.indexer.models.hub import BERT, VOCABULARY, hub_folder
from filmroom.indexer.models.tensorflow import elixr_text, saved_model
from filmroom.indexer.models.tensorflow.confined import Confined
from numpy.typing import NDArray
from PIL import Image

IMAGE_MODEL, TEXT_MODEL = ELIXR_PARTS
DIM, VECTORS = 128, 32
_MAPS = (1, 8, 8, 1376)
_MOST_WORKERS = 4


@dataclass(frozen=True)
class AsPng:
    """A film as the bytes of a grey 16-bit PNG, black 0 and its brightest pixel 65535, whatever its file's depth."""

    def shrink(self, pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
        """Turn (H, W) in [0, 1] into the bytes (B,) of its PNG, at its own size: the model resizes."""
        grey = pixels - pixels.min()
        top = float(grey.max())
        sixteen = np.rint(grey * np.float32(65535 / top if top > 0 else 0)).astype(np.uint16)
        out = io.BytesIO()
        Image.fromarray(sixteen).save(out, "PNG", compress_level=1)
        return np.frombuffer(out.getvalue(), np.uint8)

    def batch(self, shrunk: Sequence[NDArray[np.generic]]) -> list[bytes]:
        return [png.tobytes() for png in shrunk]


class ElixrTowers:
    """CXR Foundation from a local folder. Its programs run in processes of their own, once it is first used."""

    def __init__(self, folder: Path, *, name: str = "elixr", prompt: str = "{}") -> None:
        self.folder = folder
        self.prompt = prompt
        self.preprocess = AsPng()
        self.vocabulary = vocabulary_of(folder)
        files = [path for part in (IMAGE_MODEL, TEXT_MODEL) for path in saved_model.model_files(folder / part)]
        digest = digest_of(folder, files)
        self.space = Space(name, digest, DIM, VECTORS)

    def embed_prepared(self, batch: Sequence[bytes]) -> Vectors:
        """Turn N PNG files into (N, 32, 128), rows of unit length; in several processes where there is more than
        one."""
        workers = self._one if len(batch) < 2 else self._several
        vectors = workers.each("image", [(png,) for png in batch])
        return unit_rows(np.stack(vectors)) if vectors else np.empty((0, VECTORS, DIM), np.float32)

    def embed_images(self, batch: Sequence[Radiograph]) -> Vectors:
        """Return (N, 32, 128), rows of unit length."""
        return self.embed_prepared(prepare(batch, self.preprocess))

    def embed_texts(self, texts: Sequence[str]) -> Vectors:
        """Return (N, 128), rows of unit length; what is longer than 128 tokens is cut."""
        ids, paddings = elixr_text.encode(self._tokenizer, [self.prompt.replace("{}", text) for text in texts])
        vectors = self._one.each("text", [(ids[at : at + 1], paddings[at : at + 1]) for at in range(len(texts))])
        return unit_rows(np.stack(vectors)) if vectors else np.empty((0, DIM), np.float32)

    def patch_vectors(self, film: Radiograph) -> Vectors:
        """Raise ModelUnavailable always: its vectors belong to no place on the film."""
        raise no_patches(self.space.model)

    @cached_property
    def _tokenizer(self) -> Any:
        return elixr_text.read_vocabulary(self.vocabulary)

    @cached_property
    def _one(self) -> Confined:
        saved_model.check_installed()
        return Confined(__name__, Model.__name__, self.folder)

    @cached_property
    def _several(self) -> Confined:
        saved_model.check_installed()
        count = max(2, min(_MOST_WORKERS, usable_cpus() // 2))
        return Confined(__name__, Model.__name__, self.folder, count=count, threads=max(1, usable_cpus() // count))


class Model:
    """Both SavedModels in a process of their own, each loaded when it is first called."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def image(self, png: bytes) -> NDArray[np.float32]:
        """Return (32, 128); not-a-number where the model cannot read the picture."""
        tf = saved_model.tensorflow()
        example = tf.train.Example()
        example.features.feature["image/encoded"].bytes_list.value.append(png)
        example.features.feature["image/format"].bytes_list.value.append(b"png")
        try:
            maps = self._maps.call(input_example=tf.constant([example.SerializeToString()]))["feature_maps_0"]
        except tf.errors.InvalidArgumentError:
            return np.full((VECTORS, DIM), np.nan, np.float32)
        if tuple(maps.shape) != _MAPS:
            raise _other(self._folder / IMAGE_MODEL, "feature_maps_0", tuple(maps.shape), _MAPS)
        zeros = np.zeros((1, 1, elixr_text.LENGTH))
        vectors = self._qformer(maps, zeros.astype(np.int32), zeros.astype(np.float32))["all_contrastive_img_emb"]
        return self._shaped(vectors, "all_contrastive_img_emb", (VECTORS, DIM))

    def text(self, ids: NDArray[np.int32], paddings: NDArray[np.float32]) -> NDArray[np.float32]:
        """Return (128,) of token ids and paddings (1, 1, 128)."""
        vector = self._qformer(np.zeros(_MAPS, np.float32), ids, paddings)["contrastive_txt_emb"]
        return self._shaped(vector, "contrastive_txt_emb", (DIM,))

    def _qformer(self, maps: Any, ids: NDArray[np.int32], paddings: NDArray[np.float32]) -> Any:
        tf = saved_model.tensorflow()
        inputs = {"image_feature": maps, "ids": ids, "paddings": paddings}
        return self._joined.call(**{name: tf.constant(value) for name, value in inputs.items()})

    def _shaped(self, output: Any, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
        rows: NDArray[np.float32] = output.numpy().astype(np.float32)
        if rows.size != np.prod(shape):
            raise _other(self._folder / TEXT_MODEL, name, rows.shape, shape)
        return rows.reshape(shape)

    @cached_property
    def _maps(self) -> saved_model.Signature:
        folder = self._folder / IMAGE_MODEL
        loaded = saved_model.load(folder)
        return saved_model.signature(loaded, folder, needs=["input_example"], gives=["feature_maps_0"])

    @cached_property
    def _joined(self) -> saved_model.Signature:
        folder = self._folder / TEXT_MODEL
        return saved_model.signature(
            saved_model.load(folder),
            folder,
            needs=["image_feature", "ids", "paddings"],
            gives=["all_contrastive_img_emb", "contrastive_txt_emb"],
        )


def vocabulary_of(folder: Path) -> Path:
    """Return BERT's vocabulary: in the model's folder, or where the Hugging Face cache has it. Raises
    ModelUnavailable."""
    cached = hub_folder(BERT)
    for path in (folder / VOCABULARY, *([cached / VOCABULARY] if cached else [])):
        if path.is_file():
            return path
    raise ModelUnavailable(
        f"the model's text vocabulary is missing ({VOCABULARY})",
        where=folder,
        fix=f"Put {VOCABULARY} of {BERT} there.",
    )


def _other(folder: Path, name: str, shape: tuple[int, ...], expected: tuple[int, ...]) -> ModelUnavailable:
    return ModelUnavailable(
        f"this is another model: {name} has the shape {shape}, not {expected}",
        where=folder,
        fix="Give the folder of google/cxr-foundation (ELIXR v2).",
    )
