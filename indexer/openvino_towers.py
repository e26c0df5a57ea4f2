"""OpenVINO in the place of ONNX Runtime for an image tower on a processor: where it is installed, faster and alike.

It computes in bfloat16 where the processor can. It takes seconds to start, so it is asked only when many films are
embedded, and judged on the films at hand.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.999
"""The least cosine, film by film, between its vectors and ONNX Runtime's."""

_FASTER = 0.8
"""It must take less than this share of ONNX Runtime's time to be worth another computation."""


class OpenVinoSession:
    """As much of an ONNX Runtime session as a tower calls."""

    def __init__(self, graph: Path, precision: str) -> None:
        import openvino

        core = openvino.Core()
        settings = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        self._model = core.compile_model(core.read_model(str(graph)), "CPU", settings)
        self.precision = precision

    def run(self, names: Sequence[str], given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        found = self._model(given)
        return [np.array(found[name], np.float32) for name in names]


def quicker(session: Any, graph: Path, batch: NDArray[np.float32]) -> OpenVinoSession | None:
    """The tower in OpenVINO where that gives the vectors of `session` for `batch` (N, C, S, S) in less time, else
    None. bfloat16 first, float32 where bfloat16 is not alike."""
    try:
        wanted, slow = _timed(session, batch)
        for precision in ("bf16", "f32"):
            other = OpenVinoSession(graph, precision)
            found, fast = _timed(other, batch)
            if _cosines(wanted, found).min() >= ALIKE:
                return other if fast < _FASTER * slow else None
    except Exception:  # not installed, or a graph it cannot run: ONNX Runtime can
        return None
    return None


def _timed(session: Any, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    session.run(["embedding"], {"pixels": batch})
    started = time.perf_counter()
    (found,) = session.run(["embedding"], {"pixels": batch})
    return found.reshape(len(batch), -1), time.perf_counter() - started


def _cosines(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.float32]:
    lengths = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    found: NDArray[np.float32] = (one * other).sum(axis=1) / np.maximum(lengths, 1e-12)
    return found
