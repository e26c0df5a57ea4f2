"""A model folder with real graphs and a real tokenizer, small enough to be made in every test run.

Its image tower projects an 8 x 8 picture of the film, its text tower averages word vectors: rankings are
meaningless but the same every time.
"""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
from filmroom.indexer.models.model_folder import IMAGE_GRAPH, TEXT_GRAPH, TOKENIZER, write_facts
from filmroom.indexer.models.preprocess import Preprocess
from onnx import TensorProto, helper, numpy_helper, save
from tokenizers import Tokenizer, models, pre_tokenizers

SIZE, DIM, WORDS = 32, 16, 512


def make_model(
    folder: Path, *, name: str = "tiny", seed: int = 0, has_text: bool = True, has_patches: bool = False
) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    _image_graph(folder / IMAGE_GRAPH, rng, has_patches=has_patches)
    if has_text:
        _text_graph(folder / TEXT_GRAPH, rng)
        vocabulary = {"[UNK]": 0, **{chr(letter): at + 1 for at, letter in enumerate(range(32, 127))}}
        tokenizer = Tokenizer(models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=200))
        tokenizer.pre_tokenizer = pre_tokenizers.Split("", "isolated")
        tokenizer.save(str(folder / TOKENIZER))
    write_facts(
        folder,
        name=name,
        preprocess=Preprocess(SIZE, (0.5,), (0.25,)),
        dim=DIM,
        fingerprint=hashlib.sha256(f"{name} {seed}".encode()).hexdigest(),
        context_length=64,
    )
    return folder


def _image_graph(path: Path, rng: np.random.Generator, *, has_patches: bool) -> None:
    weights = rng.normal(size=(64, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("AveragePool", ["pixels"], ["small"], kernel_shape=[4, 4], strides=[4, 4]),
        helper.make_node("Flatten", ["small"], ["flat"]),
        helper.make_node("MatMul", ["flat", "weights"], ["raw"]),
        helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1, p=2),
    ]
    outputs = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])]
    constants = [numpy_helper.from_array(weights, "weights")]
    if has_patches:
        filters = rng.normal(size=(DIM, 1, 4, 4)).astype(np.float32)
        constants.append(numpy_helper.from_array(filters, "filters"))
        nodes += [
            helper.make_node("Conv", ["pixels", "filters"], ["maps"], strides=[4, 4]),
            helper.make_node("Transpose", ["maps"], ["patches"], perm=[0, 2, 3, 1]),
        ]
        outputs.append(helper.make_tensor_value_info("patches", TensorProto.FLOAT, ["n", 8, 8, DIM]))
    graph = helper.make_graph(
        nodes,
        "image",
        [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, SIZE, SIZE])],
        outputs,
        constants,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))


def _text_graph(path: Path, rng: np.random.Generator) -> None:
    table = rng.normal(size=(WORDS, DIM)).astype(np.float32)
    nodes = [
        helper.make_node("Gather", ["table", "tokens"], ["words"], axis=0),
        helper.make_node("ReduceMean", ["words"], ["raw"], axes=[1], keepdims=0),
        helper.make_node("LpNormalization", ["raw"], ["embedding"], axis=1, p=2),
    ]
    graph = helper.make_graph(
        nodes,
        "text",
        [helper.make_tensor_value_info("tokens", TensorProto.INT64, ["n", "l"])],
        [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])],
        [numpy_helper.from_array(table, "table")],
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(path))
