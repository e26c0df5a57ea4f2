"""Another runtime is used only where it is installed, alike and faster."""

from __future__ import annotations

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.models.exported import onnx, openvino
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.exported.openvino import Embedded, quicker
from numpy.typing import NDArray

ROOT = Path(__file__).resolve().parents[2]
BATCH = np.random.default_rng(0).random((4, 3, 8, 8), dtype=np.float32)


@dataclass(frozen=True)
class Runtime:
    """A tower that takes `seconds`, and gives vectors `off` from those of the first."""

    seconds: float
    off: float = 0.0


def embedded(tower: Runtime, films: NDArray[np.float32]) -> Embedded:
    rows = np.ones((len(films), 1, 16), np.float32)
    rows[..., ::2] += tower.off
    return Embedded(films, rows, tower.seconds)


@pytest.mark.parametrize(
    ("built", "chosen"),
    [
        ({"bf16": Runtime(0.5), "f32": Runtime(0.5)}, "bf16"),
        ({"bf16": Runtime(0.5, off=0.5), "f32": Runtime(0.5)}, "f32"),
        ({"bf16": Runtime(0.5, off=0.5), "f32": Runtime(0.5, off=0.5)}, None),
        ({"bf16": Runtime(0.9), "f32": Runtime(0.5)}, None),
        ({"f32": Runtime(0.5)}, "f32"),
        ({}, None),
    ],
)
def test_it_must_run_and_be_alike_and_faster(
    monkeypatch: pytest.MonkeyPatch, built: dict[str, Runtime], chosen: str | None
) -> None:
    monkeypatch.setattr(openvino, "OpenVinoSession", lambda _graph, precision: built[precision])
    monkeypatch.setattr(openvino, "embedded", embedded)
    found: object = quicker(Path("image.onnx"), embedded(Runtime(1.0), BATCH))
    assert found is (built[chosen] if chosen else None)


def films_for(towers: OnnxTowers, count: int) -> NDArray[np.float32]:
    shape = (count, towers.preprocess.channels, towers.preprocess.size, towers.preprocess.size)
    return np.random.default_rng(1).random(shape, np.float32)


def test_it_is_asked_once_and_only_after_a_while(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []
    monkeypatch.setattr(onnx, "quicker", lambda _graph, known: asked.append(len(known.films)))
    towers = OnnxTowers(tiny)
    batch = films_for(towers, 20)
    first = towers.embed_prepared(batch)
    assert not asked
    monkeypatch.setattr(onnx, "_PATIENCE", 0.0)
    for _ in range(3):
        assert np.array_equal(towers.embed_prepared(batch), first)
    assert asked == [4]  # the films that were embedded last
    assert not towers.quickened


class Other:
    """A runtime that gives the same row for every film."""

    def run(self, names: list[str], given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        assert names == ["embedding"]
        return [np.tile(np.arange(1, 17, dtype=np.float32), (len(given["pixels"]), 1))]


def test_what_is_found_embeds_the_films_that_follow(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx, "_PATIENCE", 0.0)
    monkeypatch.setattr(onnx, "quicker", lambda *_: Other())
    towers = OnnxTowers(tiny)
    batch = films_for(towers, 40)
    first = towers.embed_prepared(batch[:16])
    after = towers.embed_prepared(batch)
    wanted = np.arange(1, 17) / np.linalg.norm(np.arange(1, 17))
    assert towers.quickened
    assert not np.allclose(first, wanted)
    assert after.shape == (40, 1, 16)
    assert np.allclose(after, wanted)


class Alone(Other):
    """It can do one thing at a time, as an infer request can."""

    busy = False

    def run(self, names: list[str], given: dict[str, NDArray[np.float32]]) -> list[NDArray[np.float32]]:
        assert not self.busy
        self.busy = True
        time.sleep(0.01)
        self.busy = False
        return super().run(names, given)


def test_pages_that_embed_at_once_share_a_tower(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[int] = []

    def slowly(_graph: Path, known: Embedded) -> Alone:
        time.sleep(0.05)
        asked.append(len(known.films))
        return Alone()

    monkeypatch.setattr(onnx, "_PATIENCE", 0.0)
    monkeypatch.setattr(onnx, "quicker", slowly)
    towers = OnnxTowers(tiny)
    film = films_for(towers, 1)
    towers.embed_prepared(film)
    with ThreadPoolExecutor(4) as pages:
        found = list(pages.map(towers.embed_prepared, [film] * 12))
    assert asked == [1]
    assert np.ptp(found, axis=0).max() == 0


def test_openvino_gives_the_same_vectors(tiny: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO has no wheels for this machine")
    towers = OnnxTowers(tiny)
    session = openvino.OpenVinoSession(tiny / "image.onnx", "f32")
    for count in (1, 2, 5, 4):  # halves may differ, and one film has none
        batch = films_for(towers, count)
        (found,) = session.run(["embedding"], {"pixels": batch})
        found = found.reshape(count, -1)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        assert np.allclose(found, towers.embed_prepared(batch)[:, 0], atol=1e-4)


def test_openvino_takes_over_by_itself(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("openvino", reason="OpenVINO has no wheels for this machine")
    monkeypatch.setattr(onnx, "_PATIENCE", 0.0)
    monkeypatch.setattr(openvino, "_FASTER", float("inf"))
    towers = OnnxTowers(tiny)
    batch = films_for(towers, 20)
    exact = OnnxTowers(tiny).embed_prepared(batch[:16])
    towers.embed_prepared(batch[:16])
    found = towers.embed_prepared(batch)
    assert towers.quickened
    assert (found[:16] * exact).sum(axis=-1).min() >= openvino.ALIKE


def test_what_reports_to_its_maker_is_not_even_imported(tiny: Path) -> None:
    pytest.importorskip("openvino", reason="OpenVINO has no wheels for this machine")
    code = (
        "import sys; from pathlib import Path; from filmroom.indexer.models.exported.openvino import OpenVinoSession; "
        f"OpenVinoSession(Path({str(tiny)!r}) / 'image.onnx', 'f32'); "
        "print([name for name, module in sys.modules.items() if 'telemetry' in name and module])"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_an_interrupt_finds_its_stack_after_a_precision_that_was_not_taken(tiny: Path) -> None:
    """Where OpenVINO was tried in two precisions and neither was quicker, Ctrl-C was a segmentation fault."""
    pytest.importorskip("openvino", reason="OpenVINO has no wheels for this machine")
    code = (
        "import os, signal; from pathlib import Path\n"
        "import filmroom.indexer.models.exported.openvino as openvino\n"
        f"graph = Path({str(tiny)!r}) / 'image.onnx'\n"
        "session = openvino.OpenVinoSession(graph, 'bf16')\n"
        "session = openvino.OpenVinoSession(graph, 'f32')\n"
        "del session\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "except KeyboardInterrupt:\n"
        "    print('heard', flush=True)\n"
        "    os._exit(0)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout.strip()) == (0, "heard"), done.stderr
