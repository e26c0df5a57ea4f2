"""Quantise an exported image tower to 8 bits after training, by ONNX Runtime's tools: static, weights by channel.

Products with weights (convolutions and matrix products) are quantised; the last one, which makes the vector, stays as
it is, and so do the first ones where a recipe says so. What is written runs in ONNX Runtime and in OpenVINO.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from filmroom.indexer.models.model_folder import ModelFacts, write_facts
from numpy.typing import NDArray

_PRODUCTS = ("Conv", "Gemm", "MatMul")


@dataclass(frozen=True)
class Recipe:
    """`spared`: share of the products, counted from the film, that stay in float32. `averaged`: the range of an
    activation is the mean over films of its extremes, instead of the extremes of all: rare values are cut."""

    spared: float = 0.0
    averaged: bool = False

    @property
    def name(self) -> str:
        part = "all layers" if not self.spared else f"all but the first {100 * self.spared:.0f} % of the layers"
        return f"{part}, {'mean' if self.averaged else 'widest'} ranges"


RECIPES = (
    Recipe(), Recipe(averaged=True), Recipe(0.1), Recipe(0.1, averaged=True), Recipe(0.25), Recipe(0.25, averaged=True),
)  # fmt: skip
"""From the fastest to the most alike."""


def folded(graph: Path, out: Path) -> None:
    """Write the graph with constants folded: weights kept in half precision become float32, normalisation a part of
    convolutions. Raises what ONNX Runtime raises."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    options.optimized_model_filepath = str(out)
    onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])


def quantise(graph: Path, out: Path, batches: Sequence[NDArray[np.float32]], recipe: Recipe) -> None:
    """Write the 8-bit form of a graph from `folded`, with ranges from `batches` (n, C, S, S) of films. Raises what ONNX
    Runtime raises."""
    from onnxruntime.quantization import CalibrationMethod, QuantFormat, QuantType, quantize_static

    spared = _spared(graph, recipe)
    with _quiet():
        quantize_static(
            str(graph),
            str(out),
            _Films(batches),
            quant_format=QuantFormat.QDQ,
            op_types_to_quantize=list(_PRODUCTS),
            nodes_to_exclude=spared,
            per_channel=True,
            activation_type=QuantType.QUInt8,
            weight_type=QuantType.QInt8,
            calibrate_method=CalibrationMethod.MinMax,
            extra_options={
                "CalibMovingAverage": recipe.averaged,
                "CalibMovingAverageConstant": 0.05,
                # What a product gives is cut by its activation first: before that its range is many times as wide.
                "OpTypesToExcludeOutputQuantization": list(_PRODUCTS),
            },
        )


def facts_of(known: ModelFacts, folder: Path, name: str, films: int) -> ModelFacts:
    """Write the description of the 8-bit form of a model that lies in `folder`, a space of its own."""
    return write_facts(
        folder, name=name, preprocess=known.preprocess, dim=known.dim, licence=known.licence, prompt=known.prompt,
        context_length=known.context_length, pad_id=known.pad_id, pad_to_longest=known.pad_to_longest,
        lower=known.lower, vectors=known.vectors,
        notes=f"{known.name} in 8 bits, ranges measured on {films} films. {known.notes}".strip(),
    )  # fmt: skip


class _Films:
    """Batches as ONNX Runtime's calibration reads them."""

    def __init__(self, batches: Sequence[NDArray[np.float32]]) -> None:
        self._left: Iterator[NDArray[np.float32]] = iter(batches)

    def get_next(self) -> dict[str, NDArray[np.float32]] | None:
        batch = next(self._left, None)
        return None if batch is None else {"pixels": batch}


def _spared(graph: Path, recipe: Recipe) -> list[str]:
    """Name the products that stay in float32: the first ones, the last one before the vector, and those that do not
    lead to it (the map of patches)."""
    import onnx

    nodes = list(onnx.load(graph, load_external_data=False).graph.node)
    makers = {name: node for node in nodes for name in node.output}
    leading: set[str] = set()  # by first outputs: a node need not have a name
    last = ""
    waiting = ["embedding"]
    while waiting:
        node = makers.get(waiting.pop(0))
        if node is None or node.output[0] in leading:
            continue
        leading.add(node.output[0])
        if node.op_type in _PRODUCTS and not last:
            last = node.output[0]
        waiting += node.input
    products = [node for node in nodes if node.op_type in _PRODUCTS]
    inner = [node for node in products if node.output[0] in leading and node.output[0] != last]
    outer = [node for node in products if node not in inner]
    return [node.name for node in (*inner[: round(recipe.spared * len(inner))], *outer)]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Silence the tools, which advise through the root logger."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)
