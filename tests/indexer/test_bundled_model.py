"""The model that ships: whole, small, the same in open_clip as in its graphs, and with an ear for words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.measured import measured_here
from filmroom.indexer.models.model_folder import CONFIG, WEIGHTS, faults, read_facts
from filmroom.indexer.models.preprocess import Preprocess

FOLDER = Path(__file__).parents[2] / "assets" / "filmroom-mini"
_TEXTS = (
    "pleural effusion",
    "small LEFT pleural effusion",
    "no pneumothorax",
    "Chest, portable AP view. Tube tip 3.5 cm above the carina & well placed",
    "an unusually long sentence about the lungs and the heart " * 12,
)


@pytest.fixture(scope="module")
def towers() -> OnnxTowers:
    return OnnxTowers(FOLDER)


def test_its_files_are_the_published_ones_and_small() -> None:
    assert faults(FOLDER) == []
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= 40_000_000
    assert {CONFIG, WEIGHTS, "image.onnx", "text.onnx", "tokenizer.json"} <= set(read_facts(FOLDER).files)


def test_its_card_names_data_and_limits() -> None:
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    for said in ("NIH Clinical Center", "Research use only", "nDCG@5", "Known failures", "synthetic"):
        assert said in card


def test_its_figures_are_of_these_weights_and_those_of_its_card() -> None:
    """Weights that change are measured again: benchmarks/unseen_films.py --write."""
    known = measured_here("filmroom-mini")
    assert known is not None
    assert known.fingerprint == read_facts(FOLDER).fingerprint
    assert len(known.findings) >= 10
    card = (FOLDER / "MODEL_CARD.md").read_text(encoding="utf-8")
    assert known.data.split(" ", 1)[0] in card
    effusion = known.of("effusion")
    assert effusion is not None
    assert not effusion.weak
    assert f"| effusion | {effusion.films} |" in card


@pytest.mark.slow
def test_open_clip_loads_the_folder_and_gives_the_same_vectors(towers: OnnxTowers) -> None:
    import open_clip
    import torch

    model = open_clip.create_model(f"local-dir:{FOLDER}").eval()
    tokenizer = open_clip.get_tokenizer(f"local-dir:{FOLDER}")
    facts = read_facts(FOLDER)
    grey = np.random.default_rng(0).integers(
        0, 65535, (3, facts.preprocess.size, facts.preprocess.size), dtype=np.uint16
    )
    batch = facts.preprocess.normalise(grey)
    with torch.inference_mode():
        films = model.encode_image(torch.from_numpy(batch), normalize=True).numpy()
        texts = model.encode_text(tokenizer(list(_TEXTS)), normalize=True).numpy()
    assert (films * towers.embed_prepared(batch)[:, 0]).sum(axis=1).min() > 0.999
    assert (texts * towers.embed_texts(_TEXTS)).sum(axis=1).min() > 0.999
    assert np.array_equal(tokenizer(list(_TEXTS)).numpy(), towers.tokenize(_TEXTS))


@pytest.mark.parametrize(
    ("text", "near", "far"),
    [
        ("fluid in the pleural space", "pleural effusion", "pulmonary edema"),
        ("enlarged heart", "cardiomegaly", "clear lungs"),
        ("big heart shadow", "cardiomegaly", "pleural effusion"),
        ("left pleural effusion", "effusion on the left side", "right pleural effusion"),
        ("no pleural effusion", "without effusion", "pleural effusion"),
        ("pacer wires", "pacemaker", "nasogastric tube"),
        ("Pleural Efusion", "pleural effusion", "cardiomegaly"),
        ("air in the pleural cavity", "pneumothorax", "lung mass"),
        ("bedside film", "AP portable view", "lateral chest view"),
    ],
)
def test_words_lie_near_what_they_mean(towers: OnnxTowers, text: str, near: str, far: str) -> None:
    asked, same, other = towers.embed_texts([text, near, far])
    assert float(asked @ same) > float(asked @ other) + 0.1


def test_sizes_are_told_apart(towers: OnnxTowers) -> None:
    asked, same, other = towers.embed_texts(["small pneumothorax", "tiny pneumothorax", "massive pneumothorax"])
    assert float(asked @ same) > float(asked @ other) + 0.03


def test_no_readable_character_is_unknown(towers: OnnxTowers) -> None:
    unknown = 1
    tokens = towers.tokenize(["0123456789 abcdefghijklmnopqrstuvwxyz .,;:()/+-%<>='\"&#@!?*"])
    assert not (tokens == unknown).any()


def test_patches_average_to_the_film(towers: OnnxTowers) -> None:
    import onnxruntime

    preprocess: Preprocess = read_facts(FOLDER).preprocess
    batch = preprocess.normalise(np.full((1, preprocess.size, preprocess.size), 30000, np.uint16))
    session = onnxruntime.InferenceSession(FOLDER / "image.onnx", providers=["CPUExecutionProvider"])
    embedding, patches = session.run(["embedding", "patches"], {"pixels": batch})
    middle = patches.mean(axis=(1, 2))[0]
    assert float(embedding[0] @ middle / np.linalg.norm(middle)) > 0.999
