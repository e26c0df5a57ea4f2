"""Another runtime is used only where it is installed, alike and faster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from indexer import onnx_towers, openvino_towers
from indexer.onnx_towers import OnnxTowers
from indexer.openvino_towers import quicker

BATCH = np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32)


@dataclass(frozen=True)
class Runtime:
    """A tower that takes `seconds`, and gives vectors `off` from those of the first."""

    seconds: float
    off: float = 0.0


def timed(tower: Runtime, batch: NDArray[np.float32]) -> tuple[NDArray[np.float32], float]:
    rows = np.ones((len(batch), 16), np.float32)
    rows[:, ::2] += tower.off
    return rows, tower.seconds


@pytest.mark.parametrize(
    ("brief", "exact", "chosen"),
    [
        (Runtime(0.5), Runtime(0.5), "bf16"),
        (Runtime(0.5, off=0.5), Runtime(0.5), "f32"),
        (Runtime(0.5, off=0.5), Runtime(0.5, off=0.5), None),
        (Runtime(0.9), Runtime(0.5), None),
    ],
)
def test_it_must_be_alike_and_faster(
    monkeypatch: pytest.MonkeyPatch, brief: Runtime, exact: Runtime, chosen: str | None
) -> None:
    built = {"bf16": brief, "f32": exact}
    monkeypatch.setattr(openvino_towers, "OpenVinoSession", lambda _graph, precision: built[precision])
    monkeypatch.setattr(openvino_towers, "_timed", timed)
    assert quicker(Runtime(1.0), Path("image.onnx"), BATCH) is (built[chosen] if chosen else None)


def test_what_cannot_run_the_graph_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> Any:
        raise RuntimeError("an operation it does not know")

    monkeypatch.setattr(openvino_towers, "OpenVinoSession", fail)
    monkeypatch.setattr(openvino_towers, "_timed", timed)
    assert quicker(Runtime(1.0), Path("image.onnx"), BATCH) is None


def test_it_is_asked_once_and_only_for_many_films(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_towers, "_MANY", 8)
    asked: list[int] = []
    monkeypatch.setattr(onnx_towers, "quicker", lambda _session, _graph, batch: asked.append(len(batch)))
    towers = OnnxTowers(tiny)
    batch = np.random.default_rng(1).random((4, 3, towers.preprocess.size, towers.preprocess.size), dtype=np.float32)
    batch = batch[:, : towers.preprocess.channels]
    first = towers.embed_prepared(batch)
    for _ in range(4):
        assert np.array_equal(towers.embed_prepared(batch), first)
    assert asked == [4]


def test_openvino_gives_the_same_vectors(tiny: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO is not installed: pip install 'filmroom[openvino]'")
    towers = OnnxTowers(tiny)
    rng = np.random.default_rng(1)
    batch = rng.random((4, towers.preprocess.channels, towers.preprocess.size, towers.preprocess.size), np.float32)
    (found,) = openvino_towers.OpenVinoSession(tiny / "image.onnx", "f32").run(["embedding"], {"pixels": batch})
    found = found.reshape(4, -1)
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    assert np.allclose(found, towers.embed_prepared(batch)[:, 0], atol=1e-4)
