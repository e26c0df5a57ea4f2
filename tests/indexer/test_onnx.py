"""Exported towers: unit vectors without torch, and one clear line for every way a folder can be wrong."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.db.records import Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models import model_folder
from filmroom.indexer.models.exported.onnx import OnnxTowers

from tests.tiny_model import make_model

ROOT = Path(__file__).resolve().parents[2]


def films(count: int) -> list[Radiograph]:
    rng = np.random.default_rng(1)
    return [Radiograph(rng.random((40, 50), dtype=np.float32), Tags()) for _ in range(count)]


def test_films_and_texts_are_unit_vectors_of_one_space(tiny: Path) -> None:
    towers = OnnxTowers(tiny)
    images, texts = towers.embed_images(films(3)), towers.embed_texts(["effusion", "edema"])
    assert images.shape == (3, 1, towers.space.dim)
    assert texts.shape == (2, towers.space.dim)
    assert np.allclose(np.linalg.norm(images, axis=-1), 1, atol=1e-5)
    assert np.allclose(np.linalg.norm(texts, axis=-1), 1, atol=1e-5)


def test_bulk_and_query_agree_and_nothing_makes_nothing(tiny: Path) -> None:
    towers = OnnxTowers(tiny)
    batch = towers.preprocess.normalise(np.stack([towers.preprocess.shrink(film.pixels) for film in films(2)]))
    assert np.array_equal(towers.embed_prepared(batch), towers.embed_images(films(2)))
    assert towers.embed_images([]).shape == (0, 1, towers.space.dim)
    assert towers.embed_texts([]).shape == (0, towers.space.dim)


def test_many_texts_are_what_each_is_alone(tiny: Path) -> None:
    towers = OnnxTowers(tiny)
    texts = [f"finding {number}" for number in range(130)]
    together = towers.embed_texts(texts)
    assert np.allclose(together[129], towers.embed_texts(texts[129:])[0], atol=1e-6)


def test_the_prompt_is_put_around_a_text_and_a_long_one_is_cut(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "prompted")
    said = json.loads((folder / "filmroom.json").read_text())
    (folder / "filmroom.json").write_text(json.dumps(said | {"prompt": "a film of {}"}))
    plain, prompted = OnnxTowers(tiny), OnnxTowers(folder)
    assert np.array_equal(prompted.tokenize(["edema"]), plain.tokenize(["a film of edema"]))
    assert np.array_equal(plain.tokenize(["EDEMA"]), plain.tokenize(["edema"]))
    assert plain.tokenize(["edema " * 500]).shape == (1, plain.facts.context_length)


def test_a_query_imports_no_torch_and_leaves_nothing_in_the_users_folders(tiny: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from filmroom.indexer.models.registry import load_towers; "
        f"assert load_towers({str(tiny)!r}).embed_texts(['edema']).shape == (1, 16); "
        "print(sorted({'torch', 'open_clip', 'transformers', 'faiss', 'streamlit'} & set(sys.modules)))"
    )
    homes = {name: str(tmp_path / name) for name in ("HOME", "XDG_CACHE_HOME", "XDG_CONFIG_HOME", "XDG_DATA_HOME")}
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=os.environ | homes, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    # ONNX Runtime's official builds write a device id and report to their maker unless they are told not to.
    assert list(tmp_path.rglob("*")) == []


def test_an_image_only_model_says_so(tmp_path: Path) -> None:
    towers = OnnxTowers(make_model(tmp_path / "mute", has_text=False))
    assert not towers.space.has_text
    with pytest.raises(ModelUnavailable, match="has no text tower") as fault:
        towers.embed_texts(["edema"])
    assert "filmroom-mini" in str(fault.value)


def test_patch_vectors_where_there_are_none(tiny: Path) -> None:
    with pytest.raises(ModelUnavailable, match="no patch vectors"):
        OnnxTowers(tiny).patch_vectors(films(1)[0])


def test_a_film_of_nothing_comes_back_as_not_finite(tiny: Path) -> None:
    towers = OnnxTowers(tiny)
    side = towers.preprocess.size
    nothing = np.full((1, 1, side, side), np.nan, np.float32)
    assert not np.isfinite(towers.embed_prepared(nothing)).any()


FAULTS = {
    "a graph is missing": ("image.onnx", None, "the model is incomplete: image.onnx missing"),
    "the description is missing": ("filmroom.json", None, "this folder has no filmroom.json"),
    "the description is no JSON": ("filmroom.json", b"{", "it is not a model's description"),
    "the description lacks a fact": ("filmroom.json", b'{"name": "x"}', "it is not a model's description"),
    "a torn graph": ("image.onnx", b"\x08\x08torn", "the graph cannot be loaded"),
}


@pytest.mark.parametrize("fault", FAULTS, ids=list(FAULTS))
def test_a_broken_folder_is_one_clear_line(fault: str, tiny: Path, tmp_path: Path) -> None:
    name, content, wanted = FAULTS[fault]
    folder = shutil.copytree(tiny, tmp_path / "broken")
    if content is None:
        (folder / name).unlink()
    else:
        (folder / name).write_bytes(content)
    with pytest.raises(ModelUnavailable) as raised:
        OnnxTowers(folder).embed_images(films(1))
    assert wanted in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("content", [b"{", b'{"version": "1.0"}'])
def test_a_broken_tokenizer_is_one_clear_line(content: bytes, tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "broken")
    (folder / "tokenizer.json").write_bytes(content)
    with pytest.raises(ModelUnavailable, match="the tokenizer cannot be read"):
        OnnxTowers(folder).embed_texts(["edema"])


def test_a_promise_of_another_dimension_is_found(tiny: Path, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny, tmp_path / "wrong")
    said = json.loads((folder / "filmroom.json").read_text())
    (folder / "filmroom.json").write_text(json.dumps(said | {"dim": 20}))
    with pytest.raises(ModelUnavailable, match=r"answers \(1, 16\) where filmroom.json promises \(1, 1, 20\)"):
        OnnxTowers(folder).embed_images(films(1))


def test_checksums_find_a_changed_and_a_missing_file(tiny: Path, tmp_path: Path) -> None:
    assert model_folder.faults(tiny) == []
    folder = shutil.copytree(tiny, tmp_path / "changed")
    with (folder / "image.onnx").open("ab") as file:
        file.write(b"\0")
    (folder / "tokenizer.json").unlink()
    assert sorted(model_folder.faults(folder)) == [
        "image.onnx is not the file that was published (its checksum differs)",
        "tokenizer.json is missing",
    ]


def test_the_description_reads_back_as_written_and_a_fingerprint_knows_every_part(tmp_path: Path) -> None:
    from dataclasses import replace

    folder = make_model(tmp_path / "one")
    facts = model_folder.read_facts(folder)
    assert model_folder.write_facts(
        folder,
        name=facts.name,
        preprocess=facts.preprocess,
        dim=facts.dim,
        fingerprint=facts.fingerprint,
        context_length=facts.context_length,
    ) == model_folder.read_facts(folder)
    first = model_folder.fingerprint_folder(folder, facts.preprocess)
    assert first == model_folder.fingerprint_folder(folder, facts.preprocess)
    assert first != model_folder.fingerprint_folder(folder, replace(facts.preprocess, size=33))
    (folder / "tokenizer.json").write_text("{}")
    assert first != model_folder.fingerprint_folder(folder, facts.preprocess)


def test_a_gpu_that_is_asked_for_and_not_there_is_one_clear_line(tiny: Path) -> None:
    import onnxruntime

    if "CUDAExecutionProvider" in onnxruntime.get_available_providers():
        pytest.skip("this ONNX Runtime has a GPU")
    with pytest.raises(ModelUnavailable, match="cannot use a GPU"):
        OnnxTowers(tiny, device="cuda").embed_images(films(1))
    assert OnnxTowers(tiny, device="cuda").embed_texts(["edema"]).shape == (1, 16)  # a text never needs one
