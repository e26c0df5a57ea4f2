"""Adapting by labels: when it is chosen, that it learns what labels say, and that a killed run goes on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.open_clip.source import ClipSource, from_folder
from filmroom.indexer.models.open_clip.towers import ClipTowers
from filmroom.indexer.radiology.captions import facts
from filmroom.indexer.training import by_labels
from filmroom.indexer.training.data.film_batches import plain_batch
from filmroom.indexer.training.data.films import TrainingFilm
from filmroom.indexer.training.label_training import LabelOptions
from filmroom.indexer.training.run import adapt, settled
from filmroom.indexer.training.train import Loss, Options, Progress
from numpy.typing import NDArray
from sklearn.metrics import roc_auc_score

from tests.indexer.clip_folders import VIT, vit_folder
from tests.terminal import Terminal

EFFICIENTNET = VIT | {
    "vision_cfg": {
        "timm_model_name": "tf_efficientnet_lite0", "timm_model_pretrained": False, "timm_pool": "avg",
        "timm_proj": "linear", "timm_proj_bias": True, "image_size": 64,
    }
}  # fmt: skip
VOCABULARY = ("mass", "effusion")


def _drawn(number: int) -> NDArray[np.uint8]:
    """Draw noise; each second film has a bright patch above (mass), each third a bright band below (effusion)."""
    film = np.random.default_rng(number).integers(20, 60, (64, 64)).astype(np.uint8)
    if number % 2:
        film[10:30, 34:54] = 240
    if number % 3 == 0:
        film[50:, :] = 240
    return film


def _films(count: int) -> list[TrainingFilm]:
    films = []
    for number in range(count):
        labels = ["mass"] * (number % 2) + ["effusion"] * (number % 3 == 0)
        known = facts(labels, vocabulary=VOCABULARY)
        films.append(TrainingFilm(str(number), str(number), partial(_drawn, number), known))
    return films


@pytest.fixture
def base(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ClipSource:
    monkeypatch.setattr(by_labels, "PHANTOMS", 16)
    return from_folder(vit_folder(tmp_path / "base", model_cfg=EFFICIENTNET), name="base")


def test_words_rank_films_as_their_labels_taught(tmp_path: Path) -> None:
    clip = ClipTowers(from_folder(ASSETS / "filmroom-mini", name="base"), device="cpu")
    preprocess = replace(clip.preprocess, size=64)
    embed = by_labels.embedder(clip.model.eval(), clip.tokenize, "cpu")
    numbers = np.arange(1000, 1024)
    pixels = plain_batch(np.stack([_drawn(number) for number in numbers]), preprocess)

    def areas() -> tuple[float, float]:
        with torch.inference_mode():
            vectors = torch.nn.functional.normalize(clip.model.eval().encode_image(pixels), dim=-1).numpy()
        mass, effusion = (vectors @ embed(["mass", "effusion"]).T).T
        return roc_auc_score(numbers % 2 == 1, mass), roc_auc_score(numbers % 3 == 0, effusion)

    assert max(areas()) < 0.7  # to words these drawings are no films
    options = LabelOptions(preprocess, epochs=4, batch=16, rate=1e-3, dropout=0.0, average=0.5)
    losses = by_labels.teach(clip.model, embed, _films(64), [()] * 64, work=tmp_path, options=options)
    assert losses[-1] < losses[0] / 2
    mass, effusion = areas()
    assert mass > 0.9
    assert effusion > 0.7


def test_a_killed_run_goes_on_to_the_same_model(base: ClipSource, tmp_path: Path) -> None:
    options = Options(loss=Loss.LABELS, epochs=3, held=0.25)
    films = _films(48)

    class Killed(BaseException):
        pass

    def kill(progress: Progress) -> None:
        if progress.stage == "epochs" and progress.done == 2:
            raise Killed

    with pytest.raises(Killed):
        adapt(films, base, tmp_path / "cut", options=options, progress=kill)
    epochs: list[int] = []
    cut = adapt(
        films, base, tmp_path / "cut", name="mine", options=options,
        progress=lambda step: epochs.append(step.done) if step.stage == "epochs" else None,
    )  # fmt: skip
    whole = adapt(films, base, tmp_path / "whole", name="mine", options=options)
    assert epochs == [3]
    assert cut.facts.fingerprint == whole.facts.fingerprint
    assert (cut.base_ndcg, cut.ndcg, cut.held) == (whole.base_ndcg, whole.ndcg, 12)
    assert OnnxTowers(tmp_path / "cut").embed_texts(["mass"]).shape == (1, 24)
    card = (tmp_path / "cut" / "MODEL_CARD.md").read_text()
    assert "one answer for each label" in card
    assert "measured once" in card
    with pytest.raises(BadInput, match="other options"):
        adapt(films, base, tmp_path / "cut", options=replace(options, epochs=2))


def test_labels_are_chosen_where_they_tell_findings_apart(base: ClipSource, tmp_path: Path) -> None:
    visual = ClipTowers(base, device="cpu").model.visual
    many, few = _films(by_labels.FEWEST_FILMS), _films(by_labels.FEWEST_FILMS - 1)
    one_finding = [replace(film, facts=facts(["mass"], vocabulary=["mass"])) for film in many]
    assert settled(Options(), visual, many, "base").loss is Loss.LABELS
    assert settled(Options(), visual, many, "base").epochs == by_labels.EPOCHS
    assert settled(Options(), visual, few, "base").loss is Loss.SIGLIP
    assert settled(Options(), visual, one_finding, "base").loss is Loss.SIGLIP
    views = [replace(film, facts=facts([], view="PA")) for film in few]
    assert settled(Options(), visual, [*few, *views], "base").loss is Loss.SIGLIP
    assert settled(Options(train_text=True), visual, many, "base").loss is Loss.SIGLIP
    assert settled(Options(loss=Loss.CLIP), visual, many, "base").loss is Loss.CLIP
    other = ClipTowers(from_folder(vit_folder(tmp_path / "vit"), name="vit"), device="cpu").model.visual
    assert settled(Options(), other, many, "vit").loss is Loss.SIGLIP
    with pytest.raises(BadInput, match="cannot be taught by labels"):
        settled(Options(loss=Loss.LABELS), other, many, "vit")
    with pytest.raises(BadInput, match="image tower alone"):
        settled(Options(loss=Loss.LABELS, train_text=True), visual, many, "base")


def test_what_labels_cannot_teach_is_said_in_the_terminal(
    terminal: Terminal, films: Callable[..., Path], tmp_path: Path
) -> None:
    terminal("index", films(9), "--model", vit_folder(tmp_path / "efficientnet", model_cfg=EFFICIENTNET))
    (tmp_path / "labels.csv").write_text("film,label\n" + "\n".join(f"film-{n:03}.png,mass" for n in range(9)))
    terminal("label", tmp_path / "labels.csv")
    terminal("adapt", "--out", tmp_path / "mine", "--base", tmp_path / "efficientnet", "--loss", "labels")
    assert terminal.code == 1
    assert "too little to train on" in terminal.err
    terminal("adapt", "--out", tmp_path / "mine", "--base", tmp_path / "efficientnet", "--loss", "words")
    assert "Use labels, siglip or clip." in terminal.err


def test_a_model_that_is_there_and_pixels_of_another_archive_are_left_alone(
    terminal: Terminal, films: Callable[..., Path], tmp_path: Path
) -> None:
    base = vit_folder(tmp_path / "vit")
    taken = vit_folder(tmp_path / "taken")
    before = sorted(path.name for path in taken.iterdir())
    terminal("adapt", "--out", taken, "--base", base)
    assert terminal.code == 1
    assert "holds something already" in terminal.err
    terminal("adapt", "--out", tmp_path / "mine", "--base", base, "--only", "effusion")
    assert "a filter has fields only" in terminal.err
    assert not (tmp_path / "mine").exists()
    assert sorted(path.name for path in taken.iterdir()) == before
    (tmp_path / "labels.csv").write_text("film,label\n" + "\n".join(f"film-{n:03}.png,mass" for n in range(3)))
    for name in ("first", "second"):
        archive = ("--archive", tmp_path / name)
        terminal("index", films(3), "--model", base, *archive)
        terminal("label", tmp_path / "labels.csv", *archive)
        terminal("adapt", "--out", tmp_path / "mine", "--base", base, *archive)
        assert terminal.code == 1  # three films of one label are too few
        assert ("another archive" in terminal.err) == (name == "second")
