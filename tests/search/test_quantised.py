"""The 8-bit form of a model: what is compared, when it is kept, and that it is a space of its own."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.indexer.models.exported import quantise
from filmroom.indexer.models.model_folder import IMAGE_GRAPH, faults, fingerprint_folder, read_facts, write_facts
from filmroom.search.classification import quantised
from filmroom.search.classification.quantised import Quantised, RankedAlike, Tried, quantise_model
from filmroom.search.evaluation.statistics import Interval
from onnx import TensorProto, helper, load, numpy_helper, save

from tests.indexer.clip_folders import vit_folder
from tests.terminal import Terminal
from tests.tiny_model import DIM, SIZE, make_model

Films = Callable[..., Path]


@pytest.fixture
def layered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A model whose image tower has three convolutions before the product that makes the vector."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = make_model(tmp_path / "layered", name="layered")
    rng = np.random.default_rng(0)
    shapes = {"w0": (8, 1, 3, 3), "w1": (8, 8, 3, 3), "w2": (8, 8, 3, 3), "head": (8, DIM)}
    kept = [numpy_helper.from_array(rng.normal(size=s).astype(np.float32), n) for n, s in shapes.items()]
    nodes, last = [], "pixels"
    for n in range(3):
        nodes.append(helper.make_node("Conv", [last, f"w{n}"], [f"c{n}"], name=f"conv{n}", strides=[2, 2]))
        nodes.append(helper.make_node("Relu", [f"c{n}"], [f"r{n}"], name=f"relu{n}"))
        last = f"r{n}"
    nodes += [
        helper.make_node("ReduceMean", [last], ["pooled"], name="pool", axes=[2, 3], keepdims=0),
        helper.make_node("MatMul", ["pooled", "head"], ["raw"], name="head"),
        helper.make_node("LpNormalization", ["raw"], ["embedding"], name="unit", axis=1, p=2),
    ]
    given = [helper.make_tensor_value_info("pixels", TensorProto.FLOAT, ["n", 1, SIZE, SIZE])]
    made = [helper.make_tensor_value_info("embedding", TensorProto.FLOAT, ["n", DIM])]
    graph = helper.make_graph(nodes, "image", given, made, kept)
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), str(folder / IMAGE_GRAPH))
    facts = read_facts(folder)
    write_facts(
        folder, name="layered", preprocess=facts.preprocess, dim=DIM, context_length=facts.context_length,
        fingerprint=fingerprint_folder(folder, facts.preprocess),
    )  # fmt: skip
    return folder


@pytest.fixture
def lenient(monkeypatch: pytest.MonkeyPatch) -> None:
    """How long so small a tower takes says nothing."""
    monkeypatch.setattr(quantised, "FASTER", 0.0)


def products(folder: Path) -> list[str]:
    """The products of the image tower that take their activations from 8 bits."""
    graph = load(folder / IMAGE_GRAPH).graph
    eight = {name for node in graph.node if node.op_type == "DequantizeLinear" for name in node.output}
    return [node.name for node in graph.node if node.op_type in ("Conv", "MatMul") and node.input[0] in eight]


def test_what_passes_is_written_and_is_another_space(
    terminal: Terminal, films: Films, layered: Path, lenient: None, tmp_path: Path
) -> None:
    folder, out = films(40), tmp_path / "small"
    terminal("index", folder, "--model", layered)
    said = terminal("models", "quantise", layered, "--out", out)
    assert terminal.code == 0, terminal.err
    assert "8 bits, all layers" in said
    assert "Compared on 30 films, no labels to rank by." in said
    assert "kept" in said
    assert f"Next: filmroom index FOLDER --model {out}" in said
    assert products(out) == ["conv0", "conv1", "conv2"]
    assert faults(out) == []
    assert read_facts(out).space.fingerprint != read_facts(layered).space.fingerprint
    assert list(tmp_path.glob(".quantise-*")) == []
    terminal("index", folder, "--model", out)
    assert {one["name"]: one["films"] for one in terminal.json("models", "list") if one["films"]} == {  # type: ignore[attr-defined]
        "layered": 40,
        "small": 40,
    }
    assert terminal.json("search", "effusion", "--model", "small")["model"] == "small"  # type: ignore[index]
    terminal("models", "quantise", layered, "--out", out)
    assert "the folder holds something already" in terminal.err


def test_what_is_not_alike_is_not_written(
    terminal: Terminal, films: Films, layered: Path, lenient: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "ALIKE", 1.1)
    terminal("index", films(40), "--model", layered)
    said = terminal("models", "quantise", layered, "--out", tmp_path / "small")
    assert terminal.code == 1
    assert said.count("cosine below 1.1") == len(quantise.RECIPES)
    assert "Nothing was written: embed with layered as it is." in said
    assert not (tmp_path / "small").exists()
    found = terminal.json("models", "quantise", layered, "--out", tmp_path / "small")
    assert found["chosen"] is None  # type: ignore[index]


def test_what_is_no_faster_is_not_written_and_slower_recipes_are_not_tried(
    terminal: Terminal, films: Films, layered: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(quantised, "FASTER", 1e9)
    terminal("index", films(40), "--model", layered)
    done = quantise_model(Archive.open(terminal.archive), str(layered), tmp_path / "small")
    assert [done.faults(one) for one in done.tried] == [[f"not {1e9} times as fast"]]
    assert not (tmp_path / "small").exists()


def test_labels_say_how_both_rank(
    terminal: Terminal, films: Films, layered: Path, lenient: None, tmp_path: Path
) -> None:
    terminal("index", films(60), "--model", layered)
    rows = [f"film-{n:03}.png,{'effusion' if n % 3 else 'no finding'}\n" for n in range(60)]
    (tmp_path / "labels.csv").write_text("film,label\n" + "".join(rows))
    terminal("label", tmp_path / "labels.csv")
    done = quantise_model(Archive.open(terminal.archive), str(layered), tmp_path / "small")
    assert done.chosen is not None
    ranked = done.chosen.ranked
    assert ranked is not None
    assert "pleural effusion" in ranked.findings
    assert ranked.auc_difference.low <= 0 <= ranked.auc_difference.high
    assert ranked.auc[1] - ranked.auc[0] == pytest.approx(ranked.auc_difference.value)
    said = terminal("models", "quantise", layered, "--out", tmp_path / "again")
    assert f"by the labels of {len(ranked.findings)} findings" in said or "by the labels of 1 finding" in said


def test_too_few_films_and_models_without_a_graph_are_refused(
    terminal: Terminal, films: Films, layered: Path, tmp_path: Path
) -> None:
    terminal("index", films(6), "--model", layered)
    terminal("models", "quantise", layered, "--out", tmp_path / "small")
    assert "6 films of the archive can be decoded, and 20 are needed" in terminal.err
    (layered / IMAGE_GRAPH).write_bytes(b"no graph")
    terminal("models", "quantise", layered, "--out", tmp_path / "small")
    assert "Traceback" not in terminal.err


def test_a_recipe_spares_the_first_products_and_always_the_last(layered: Path, tmp_path: Path) -> None:
    films = [np.random.default_rng(n).normal(size=(1, 1, SIZE, SIZE)).astype(np.float32) for n in range(4)]
    flat = tmp_path / "flat.onnx"
    quantise.folded(layered / IMAGE_GRAPH, flat)
    for spared, wanted in ((0.0, 3), (0.34, 2), (1.0, 0)):
        (tmp_path / f"{spared}").mkdir()
        quantise.quantise(flat, tmp_path / f"{spared}" / IMAGE_GRAPH, films, quantise.Recipe(spared))
        assert products(tmp_path / f"{spared}") == ["conv0", "conv1", "conv2"][3 - wanted :]


def test_a_difference_within_noise_passes_and_one_beyond_does_not() -> None:
    def ranked(low: float, high: float) -> RankedAlike:
        change = Interval((low + high) / 2, low, high, 50)
        return RankedAlike(("effusion",), (0.5, 0.4), (0.8, 0.7), change, change)

    one = Tried("all layers", 0.995, 0.999, 200.0, ranked(-0.2, 0.0))
    done = Quantised("m", 300, 100.0, {}, (one,), None, "m8")
    assert done.faults(one) == []
    assert done.faults(replace(one, ranked=ranked(-0.2, -0.01))) == ["ranks worse"]
    assert done.faults(replace(one, cosine_least=0.98, films_a_second=110.0)) == [
        "cosine below 0.99",
        "not 1.2 times as fast",
    ]


@pytest.mark.slow
def test_a_model_of_open_clip_is_quantised_by_its_export(
    terminal: Terminal, films: Films, layered: Path, lenient: None, tmp_path: Path
) -> None:
    terminal("index", films(40), "--model", layered)
    folder = vit_folder(tmp_path / "vit")
    said = terminal("models", "quantise", folder, "--out", tmp_path / "vit-8bit")
    assert terminal.code == 0, said + terminal.err
    facts = read_facts(tmp_path / "vit-8bit")
    assert (facts.name, facts.space.has_text, facts.dim) == ("vit-8bit", True, 24)
    assert "vit in 8 bits, ranges measured on" in facts.notes
    assert terminal.json("index", tmp_path / "films", "--model", tmp_path / "vit-8bit")["indexed"] == 40  # type: ignore[index]
