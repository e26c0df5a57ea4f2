"""Small TensorFlow SavedModels with random weights: the signatures, names and shapes of the real ones."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

WORDS = ("pleural", "effusion", "edema", "no", "left", "##s", ".", ",")


def tensorflow() -> Any:
    """TensorFlow, or a skipped test that says so."""
    from filmroom.db.errors import MissingExtra
    from filmroom.indexer.models.tensorflow import saved_model

    try:
        return saved_model.tensorflow()
    except MissingExtra:
        pytest.skip("TensorFlow is not installed: pip install 'filmroom[elixr]'")


def elixr_folder(folder: Path, *, seed: int = 0, dim: int = 128) -> Path:
    """The layout of google/cxr-foundation with a BERT vocabulary beside it."""
    tf = tensorflow()
    rng = np.random.default_rng(seed)

    class Image(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mix = tf.Variable(rng.normal(size=(1, 1376)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None], tf.string, name="input_example")])
        def __call__(self, input_example: Any) -> Any:
            wanted = {name: tf.io.FixedLenFeature([], tf.string) for name in ("image/encoded", "image/format")}
            said = tf.io.parse_single_example(input_example[0], wanted)
            with tf.control_dependencies([tf.debugging.assert_equal(said["image/format"], "png")]):
                grey = tf.io.decode_png(said["image/encoded"], channels=1, dtype=tf.uint16)
            small = tf.image.resize(tf.cast(grey, tf.float32) / 65535.0, [8, 8], antialias=True)
            return {"feature_maps_0": tf.tanh(small[None] * self.mix)}

    class Joined(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.queries = tf.Variable(rng.normal(size=(64, 32)).astype(np.float32))
            self.project = tf.Variable(rng.normal(size=(1376, dim)).astype(np.float32))
            self.general = tf.Variable(rng.normal(size=(1376, 768)).astype(np.float32))
            self.table = tf.Variable(rng.normal(size=(len(vocabulary()), dim)).astype(np.float32))

        @tf.function(
            input_signature=[
                tf.TensorSpec([1, 8, 8, 1376], tf.float32, name="image_feature"),
                tf.TensorSpec([1, 1, 128], tf.int32, name="ids"),
                tf.TensorSpec([1, 1, 128], tf.float32, name="paddings"),
            ]
        )
        def __call__(self, image_feature: Any, ids: Any, paddings: Any) -> Any:
            seen = tf.transpose(self.queries) @ tf.reshape(image_feature, [64, 1376])
            weights = (1.0 - paddings)[0, 0][:, None]
            said = tf.reduce_sum(tf.gather(self.table, ids[0, 0]) * weights, axis=0)
            return {
                "all_contrastive_img_emb": (seen @ self.project)[None],
                "img_emb": (seen @ self.general)[None],
                "contrastive_txt_emb": said[None],
            }

    folder.mkdir(parents=True, exist_ok=True)
    for name, model in (("elixr-c-v2-pooled", Image()), ("pax-elixr-b-text", Joined())):
        tf.saved_model.save(model, str(folder / name), signatures=model.__call__)
    (folder / "vocab.txt").write_text("\n".join(vocabulary()) + "\n")
    return folder


def vocabulary() -> list[str]:
    """BERT's special words at their places, letters, and a few words."""
    held = [f"[unused{at}]" for at in range(103)]
    held[0], held[100], held[101], held[102] = "[PAD]", "[UNK]", "[CLS]", "[SEP]"
    letters = "abcdefghijklmnopqrstuvwxyz"
    return [*held, "[MASK]", *letters, *(f"##{letter}" for letter in letters), *WORDS]


def remedis_folder(folder: Path, *, side: int | None = 448, dim: int = 2048, seed: int = 0) -> Path:
    """An image encoder: float32 (B, 448, 448, 3) in [0, 1] -> (B, dim), by call and by signature."""
    tf = tensorflow()
    rng = np.random.default_rng(seed)

    class Encoder(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.mix = tf.Variable(rng.normal(size=(49 * 3, dim)).astype(np.float32))

        @tf.function(input_signature=[tf.TensorSpec([None, side, side, 3], tf.float32, name="inputs")])
        def __call__(self, inputs: Any) -> Any:
            small = tf.image.resize(inputs, [7, 7], antialias=True)
            return tf.reshape(small, [-1, 49 * 3]) @ self.mix

    encoder = Encoder()
    folder.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(encoder, str(folder), signatures=encoder.__call__)
    return folder


def reaching_folder(folder: Path, secret: Path) -> Path:
    """A SavedModel whose program reads a file of this machine."""
    tf = tensorflow()

    class Reader(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one = tf.Variable(1.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 448, 448, 3], tf.float32, name="inputs")])
        def __call__(self, inputs: Any) -> Any:
            length = tf.cast(tf.strings.length(tf.io.read_file(str(secret))), tf.float32)
            return tf.reduce_mean(inputs, axis=[1, 2]) * length * self.one

    reader = Reader()
    folder.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(reader, str(folder), signatures=reader.__call__)
    return folder


def writing_folder(folder: Path, target: Path, kind: str) -> Path:
    """A SavedModel whose program writes a file of this machine: as it is called, or as it is loaded."""
    tf = tensorflow()

    class Writer(tf.Module):  # type: ignore[misc, name-defined]
        def __init__(self) -> None:
            super().__init__()
            self.one = tf.Variable(1.0)

        @tf.function(input_signature=[tf.TensorSpec([None, 448, 448, 3], tf.float32, name="inputs")])
        def __call__(self, inputs: Any) -> Any:
            if kind == "PrintV2":
                tf.print("written", output_stream=f"file://{target}")
            elif kind == "SaveV2":
                tf.raw_ops.SaveV2(prefix=str(target), tensor_names=["x"], shape_and_slices=[""], tensors=[self.one])
            elif kind == "WriteFile":
                tf.io.write_file(str(target), "written")
            elif kind == "DebugIdentityV2":
                tf.raw_ops.DebugIdentityV2(input=inputs, debug_urls=[f"file://{target}"])
            elif kind == "in a branch":
                tf.cond(self.one > 0, lambda: tf.io.write_file(str(target), "written"), tf.no_op)
            return tf.reduce_mean(inputs, axis=[1, 2]) * self.one

    writer = Writer()
    folder.mkdir(parents=True, exist_ok=True)
    tf.saved_model.save(writer, str(folder), signatures=writer.__call__)
    return folder
