"""Run an image tower by OpenVINO instead of ONNX Runtime on a processor, where it is installed, faster and alike.

It computes in bfloat16 where the processor can. It takes a second or two to start, so it is asked only when a run has
embedded for as long, and judged on the films at hand.
"""

from __future__ import annotations

import functools
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

ALIKE = 0.999
"""The least cosine, film by film, between its vectors and ONNX Runtime's."""

_FASTER = 0.8
"""It must take less than this share of ONNX Runtime's time to be worth another computation."""


_PRECISIONS = ("bf16", "f32")

_HALVES = 2
"""Parts of a batch that are computed side by side, each by its share of the processors: threads that work on one
part wait for each other after every layer, and waiting takes processor time too."""


class OpenVinoSession:
    """As much of an ONNX Runtime session as a tower calls."""

    def __init__(self, graph: Path, precision: str) -> None:
        core = _core()
        settings = {"INFERENCE_PRECISION_HINT": precision, "NUM_STREAMS": _HALVES}
        model = core.compile_model(core.read_model(str(graph)), "CPU", settings)
        self._requests = [model.create_infer_request() for _ in range(_HALVES)]
        self.precision = precision

    def run(self, names: Sequence[str], inputs: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        """Return the outputs `names` for inputs that have as many rows each, at least one."""
        count = len(next(iter(inputs.values())))
        busy = self._requests[:count]
        for number, request in enumerate(busy):
            part = slice(count * number // len(busy), count * (number + 1) // len(busy))
            request.start_async({name: rows[part] for name, rows in inputs.items()})
        for request in busy:
            request.wait()
        return [np.concatenate([request.get_tensor(name).data for request in busy], dtype=np.float32) for name in names]


@functools.cache
def _core() -> Any:
    """Return OpenVINO's one core of this process, which is never freed.

    Each gives its thread a stack for signals and takes it away at its end. Of two, one put back the stack of the other
    that was gone already: the next Ctrl-C found none, and the kernel ended the process by SIGSEGV.
    """
    # Its model converter, which nobody needs here, brings along what can report to its maker.
    sys.modules.setdefault("openvino.tools.ovc", None)  # type: ignore[arg-type]
    import openvino

    return openvino.Core()


@dataclass(frozen=True)
class Embedded:
    """What ONNX Runtime made of `films` (N, C, S, S): rows (N, ...), in `seconds`."""

    films: NDArray[np.float32]
    rows: NDArray[np.float32]
    seconds: float


def quicker(graph: Path, known: Embedded) -> OpenVinoSession | None:
    """Return the tower in OpenVINO where that gives the `known` vectors in less time, else None. bfloat16 first,
    float32 where bfloat16 is not alike, or not to be had."""
    for precision in _PRECISIONS:
        try:
            session = OpenVinoSession(graph, precision)
            embedded(session, known.films[:_HALVES])  # the first time takes longer
            result = embedded(session, known.films)
        except Exception:  # not installed, or a graph or a precision it cannot run: ONNX Runtime can
            result = None
        if result is not None and _cosines(known.rows, result.rows).min() >= ALIKE:
            return session if result.seconds < _FASTER * known.seconds else None
    return None


def embedded(session: Any, films: NDArray[np.float32]) -> Embedded:
    """Embed by a session of either runtime."""
    started = time.perf_counter()
    (rows,) = session.run(["embedding"], {"pixels": films})
    return Embedded(films, rows, time.perf_counter() - started)


def _cosines(rows: NDArray[np.float32], expected: NDArray[np.float32]) -> NDArray[np.float32]:
    rows, expected = rows.reshape(len(rows), -1), expected.reshape(len(expected), -1)
    lengths = np.linalg.norm(rows, axis=1) * np.linalg.norm(expected, axis=1)
    cosines: NDArray[np.float32] = (rows * expected).sum(axis=1) / np.maximum(lengths, 1e-12)
    return cosines
