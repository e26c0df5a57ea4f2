"""SigLIP and DINOv2 in transformers: vectors of the class itself, pixels as the makers have them, and bad folders."""

from __future__ import annotations

import json
import pickle
import shutil
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.errors import FilmroomError, ModelUnavailable
from filmroom.db.records import Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models import registry
from filmroom.indexer.models.preprocess import Preprocess, Resize
from filmroom.indexer.models.transformers import HfTowers

from tests.indexer.hf_folders import dinov2_folder, siglip_folder


@pytest.fixture(scope="module")
def siglip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return siglip_folder(tmp_path_factory.mktemp("medsiglip"))


@pytest.fixture(scope="module")
def dinov2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return dinov2_folder(tmp_path_factory.mktemp("rad-dino"))


def _film(height: int = 60, width: int = 40, seed: int = 0) -> Radiograph:
    return Radiograph(np.random.default_rng(seed).random((height, width), dtype=np.float32), Tags())


def test_medsiglip_gives_the_vectors_of_its_class(siglip: Path) -> None:
    import torch
    from transformers import SiglipModel

    towers = registry.load_towers(str(siglip))
    assert isinstance(towers, HfTowers)
    assert (towers.space.dim, towers.space.vectors, towers.space.has_text) == (32, 1, True)
    assert towers.preprocess == Preprocess(448, (0.5,) * 3, (0.5,) * 3, Resize.SAMPLED)
    film, texts = _film(), ["Small LEFT pleural effusion.", "no pneumothorax"]
    model = SiglipModel.from_pretrained(siglip).eval()
    with torch.inference_mode():
        pixels = torch.from_numpy(towers.preprocess.apply(film.pixels)[None])
        image = model.get_image_features(pixel_values=pixels)
        said = model.get_text_features(input_ids=torch.from_numpy(towers.tokenize(texts)))
    for found, wanted in ((towers.embed_images([film])[:, 0], image), (towers.embed_texts(texts), said)):
        rows = getattr(wanted, "pooler_output", wanted).numpy()
        np.testing.assert_allclose(found, rows / np.linalg.norm(rows, axis=1, keepdims=True), atol=1e-5)


def test_its_texts_are_64_tokens_in_lower_case_without_punctuation(siglip: Path) -> None:
    towers = registry.load_towers(str(siglip))
    assert isinstance(towers, HfTowers)
    tokens = towers.tokenize(["Pleural EFFUSION!", "pleural effusion", "effusion " * 200])
    assert tokens.shape == (3, 64)
    assert (tokens[0] == tokens[1]).all()
    assert (tokens[0, -10:] == 1).all(), "padded with the end of the sentence, as it was trained"
    assert tokens[2, -1] == 1, "the end stays when a text is cut"


def test_rad_dino_is_its_class_token_and_reads_no_words(dinov2: Path) -> None:
    import torch
    from transformers import Dinov2Model

    towers = registry.load_towers(str(dinov2))
    assert towers.space.has_text is False
    assert towers.preprocess == Preprocess(518, (0.5307,) * 3, (0.2583,) * 3, Resize.BICUBIC)
    film = _film()
    with torch.inference_mode():
        pixels = torch.from_numpy(towers.preprocess.batch([towers.preprocess.shrink(film.pixels)]))
        wanted = Dinov2Model.from_pretrained(dinov2).eval()(pixel_values=pixels).last_hidden_state[:, 0].numpy()
    np.testing.assert_allclose(towers.embed_images([film])[:, 0], wanted / np.linalg.norm(wanted), atol=1e-5)
    with pytest.raises(ModelUnavailable, match="has no text tower") as fault:
        towers.embed_texts(["effusion"])
    assert "--model filmroom-mini" in str(fault.value)


def test_no_film_is_an_empty_answer(dinov2: Path) -> None:
    towers = registry.load_towers(str(dinov2))
    assert towers.embed_images([]).shape == (0, 1, 32)


# Expected by hand: from 6 to 4 the centres lie at 0.25, 1.75, 3.25 and 4.75.
def test_medsiglips_resize_samples_and_does_not_average() -> None:
    ramp = np.broadcast_to(np.arange(6, dtype=np.float32) / 10, (6, 6))
    found = Preprocess(4, (0.0,), (1.0,), Resize.SAMPLED).apply(ramp)[0]
    np.testing.assert_allclose(found, np.broadcast_to([0.025, 0.175, 0.325, 0.475], (4, 4)), atol=2e-5)
    spike = np.zeros((60, 60), np.float32)
    spike[5, 5] = 1.0
    sampled = Preprocess(4, (0.0,), (1.0,), Resize.SAMPLED).apply(spike)
    assert sampled.max() == 0.0, "between the points that are sampled nothing is seen"
    assert Preprocess(4, (0.0,), (1.0,), Resize.BILINEAR).apply(spike).max() > 0.0


def _copy(folder: Path, to: Path) -> Path:
    return Path(shutil.copytree(folder, to))


def _edit(path: Path, **changes: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def _pickled(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "pytorch_model.bin").write_bytes(pickle.dumps({"weights": 1}))


FAULTS = {
    "pickled weights": (_pickled, r"its weights are pickled \(pytorch_model.bin\), which is code and is not loaded"),
    "a pickle by another name": (
        lambda folder: (folder / "model.safetensors").write_bytes(pickle.dumps({"weights": 1})),
        "damaged or no checkpoint",
    ),
    "no weights": (lambda folder: (folder / "model.safetensors").unlink(), "it has no weights"),
    "no tokenizer": (lambda folder: (folder / "spiece.model").unlink(), "the model's tokenizer is missing"),
    "a torn tokenizer": (lambda folder: (folder / "spiece.model").write_bytes(b"x"), "tokenizer cannot be read"),
    "a torn configuration": (lambda folder: (folder / "config.json").write_text("{"), "cannot be read as JSON"),
    "another size": (
        lambda folder: _edit(folder / "preprocessor_config.json", size={"height": 384, "width": 384}),
        "makes films of 384 pixels, and the image tower takes 448",
    ),
    "another class": (
        lambda folder: _edit(folder / "config.json", model_type="llava"),
        "transformers' models of type llava are not known here",
    ),
    "a part is missing": (
        lambda folder: (
            (folder / "model.safetensors").unlink(),
            (folder / "model.safetensors.index.json").write_text('{"weight_map": {"a": "model-1.safetensors"}}'),
        ),
        r"a part of the weights is missing \(model-1.safetensors\)",
    ),
}


@pytest.mark.parametrize("kind", FAULTS)
def test_a_bad_folder_is_one_clear_line_and_is_not_added(
    kind: str, siglip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    spoil, wanted = FAULTS[kind]
    folder = _copy(siglip, tmp_path / "model")
    spoil(folder)
    with pytest.raises(FilmroomError, match=wanted) as fault:
        registry.add_model(str(folder), name="spoilt")
    assert "\n" not in str(fault.value)
    assert str(folder) in str(fault.value)
    assert "spoilt" not in {card.name for card in registry.list_models()}


def test_weights_of_another_architecture_are_refused(
    siglip: Path, dinov2: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    folder = _copy(siglip, tmp_path / "model")
    shutil.copy(dinov2 / "model.safetensors", folder / "model.safetensors")
    with pytest.raises(ModelUnavailable, match=r"of another architecture than config\.json says"):
        registry.add_model(str(folder))


def test_a_folder_takes_the_name_of_the_model_that_it_is(
    siglip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    card = registry.add_model(str(siglip), name="medsiglip")
    assert card.licence == "Health AI Developer Foundations"
    assert registry.describe("medsiglip").ready
    assert registry.load_towers("medsiglip").space.model == "medsiglip"
    registry.remove_model("medsiglip")
    assert registry.describe("medsiglip").load == "hf-hub:google/medsiglip-448"
