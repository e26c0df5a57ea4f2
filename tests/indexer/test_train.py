"""Training on one's own films: what counts as true, the losses, and a run that is cut off and goes on."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path

import numpy as np
import pytest
import torch
from filmroom.db.errors import BadInput
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.model_folder import ModelFacts
from filmroom.indexer.models.open_clip.source import from_folder
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.phantom import View, sample
from filmroom.indexer.radiology.captions import Claim, Facts, facts, truth
from filmroom.indexer.training.data.augment import augment
from filmroom.indexer.training.data.films import (
    Statement,
    TrainingFilm,
    balance,
    patients_apart,
    split,
    statements_of,
    truths,
)
from filmroom.indexer.training.data.phantoms import phantom_film
from filmroom.indexer.training.losses import sigmoid_loss, softmax_loss
from filmroom.indexer.training.run import Adapted, adapt
from filmroom.indexer.training.train import Loss, Options, Progress
from filmroom.search.cli import output_models
from torch.nn import functional

from tests.indexer.clip_folders import vit_folder
from tests.terminal import Terminal

LOOKED_FOR = ("effusion", "edema", "mass", "no finding")


@pytest.mark.parametrize(
    ("claim", "answer"),
    [
        (Claim("effusion"), True),
        (Claim("effusion", side="left"), True),
        (Claim("effusion", side="right"), False),
        (Claim("effusion", severity="large"), None),
        (Claim("effusion", absent=True), False),
        (Claim("edema"), False),
        (Claim("edema", absent=True), True),
        (Claim("fracture"), None),
        (Claim("fracture", absent=True), None),
    ],
)
def test_what_nobody_knows_is_neither_true_nor_false(claim: Claim, answer: bool | None) -> None:
    film = Facts((Claim("effusion", side="left"),), frozenset({"edema"}))
    assert truth(claim, film) is answer


def test_labels_imply_their_parents_and_what_was_looked_for_is_absent() -> None:
    known = facts(["COVID-19"], view="AP SUPINE", vocabulary=LOOKED_FOR)
    ideas = {claim.idea for claim in known.present}
    assert {"covid-19", "viral pneumonia", "pneumonia", "view AP SUPINE", "view AP"} <= ideas
    assert {"effusion", "edema", "no finding", "view PA", "view LATERAL"} <= known.absent


def test_an_ap_film_may_be_supine() -> None:
    assert truth(Claim("view AP SUPINE"), facts(["effusion"], view="AP")) is None


def test_a_film_with_no_findings_may_hold_tubes() -> None:
    known = facts(["no finding"], view="AP", vocabulary=LOOKED_FOR)
    assert truth(Claim("pneumothorax"), known) is False
    assert truth(Claim("line"), known) is None
    assert truth(Claim("pacemaker"), known) is None


def test_only_findings_are_denied() -> None:
    asked = [s.claim for s in statements_of([phantom_film(seed) for seed in range(60)], ways=1, seed=0) if s.claim]
    denied = {claim.idea for claim in asked if claim.absent}
    assert {"effusion", "pacemaker"} <= denied
    assert not denied & {"no finding", "male", "female", "frontal", "view PA", "view LATERAL"}


def test_a_phantom_says_nothing_of_lying() -> None:
    lying = next(seed for seed in range(200) if sample(seed).view is View.AP_SUPINE)
    said = phantom_film(lying).facts
    assert truth(Claim("view AP"), said) is True
    assert truth(Claim("view AP SUPINE"), said) is None


def test_films_with_the_same_sentence_are_not_each_others_negatives() -> None:
    films = [_said("Large mass."), _said("large  mass."), _said("Clear lungs.")]
    said = statements_of(films, ways=2, seed=0)
    table = truths(films, said, np.eye(len(said), dtype=np.float32))
    assert len(said) == 2
    assert table[:, 0].tolist() == [1, 1, 0]


def test_a_sentence_that_no_training_film_has_is_passed_over() -> None:
    said = statements_of([_said("Large mass.")], ways=2, seed=0)
    table = truths([_said("Small nodule."), _said("Large mass. ")], said, np.eye(1, dtype=np.float32))
    assert np.isnan(table[0, 0])
    assert table[1].tolist() == [1]


SIDES, PLACES = (
    ("left", "right"),
    ("apex", "base", "hilum", "mid zone", "lingula", "costophrenic angle", "apices", "root"),
)


def test_an_archive_of_reports_that_do_not_repeat_is_adapted_and_compared(
    terminal: Terminal, films: Callable[..., Path], tmp_path: Path
) -> None:
    folder = films(16)
    base = vit_folder(tmp_path / "base")
    terminal("index", folder, "--model", base)
    said = [f"film-{n:03}.png,Opacity number {n} at the {SIDES[n % 2]} {PLACES[n // 2]}." for n in range(16)]
    (tmp_path / "reports.csv").write_text("film,report\n" + "\n".join(said))
    terminal("report", tmp_path / "reports.csv")
    assert terminal.code == 0, terminal.err
    more = ("--base", base, "--epochs", 1, "--held", 0.4)
    out = terminal("adapt", "--out", tmp_path / "mine", *more)
    assert terminal.code == 0, terminal.err
    assert re.search(r"nDCG@5 on 6 held-out films: base 0\.\d{3}, mine 0\.\d{3}\.", out)
    done = terminal.json("adapt", "--out", tmp_path / "again", *more)
    assert isinstance(done, dict)
    assert "## Held-out films by slice" in (tmp_path / "mine" / "MODEL_CARD.md").read_text()
    assert 0 < done["base_ndcg"] < 1
    assert 0 < done["ndcg"] < 1
    assert done["worse"] == (done["ndcg"] < done["base_ndcg"])
    assert ("Warning: mine ranks these films worse than base" in out) == done["worse"]


@pytest.mark.parametrize(("ndcg", "warned"), [(0.31, True), (0.42, False)])
def test_a_model_that_got_worse_is_said(ndcg: float, warned: bool, capfd: pytest.CaptureFixture[str]) -> None:
    facts = ModelFacts("mine", Preprocess(8, (0.5,), (0.5,)), 16, "ab", {})
    output_models.print_adapted(Adapted(facts, "base", 0.4, ndcg, 7), Path("mine"), 40)
    said = capfd.readouterr().out
    assert f"on 7 held-out films: base 0.400, mine {ndcg:.3f}." in said
    assert ("Warning: mine ranks these films worse than base" in said) == warned


def test_a_sentence_that_means_nearly_the_same_is_not_held_against_a_film() -> None:
    films = [_said("Large mass."), _said("Big tumour."), _said("Clear lungs.")]
    said = statements_of(films, ways=2, seed=0)
    alike = np.array([[1, 0.9, 0.1], [0.9, 1, 0.1], [0.1, 0.1, 1]], np.float32)
    table = truths(films, said, alike)
    assert np.isnan(table[0, 1])
    assert np.isnan(table[1, 0])
    assert table[2].tolist() == [0, 0, 1]


def test_within_each_source_yes_and_no_weigh_the_same() -> None:
    table = np.array([[1], [0], [0], [1], [1], [0], [np.nan]], np.float32)
    films = [replace(_said("x"), group=group) for group in "aaabbbb"]
    weights = balance(table, films, [Statement(("mass",), Claim("mass"))])[:, 0]
    for rows in (slice(0, 3), slice(3, 7)):
        yes, no = table[rows, 0] == 1, table[rows, 0] == 0
        assert weights[rows][yes].sum() == pytest.approx(weights[rows][no].sum())
    assert weights[6] == 0


def test_the_other_size_of_a_finding_weighs_as_much_against_a_size_as_its_absence() -> None:
    sizes = ["small", "large", *[None] * 6]
    known = [
        Facts((Claim("effusion", severity=size),)) if size else Facts((), frozenset({"effusion"})) for size in sizes
    ]
    films = [replace(_said("x"), facts=one, sentences=()) for one in known]
    said = [Statement((str(n),), Claim("effusion", severity=size)) for n, size in enumerate((None, "small"))]
    weights = balance(truths(films, said, None), films, said)[:, 1]
    assert weights[1] == pytest.approx(weights[2:].sum())
    assert weights[0] == pytest.approx(weights[1:].sum())


def test_no_patient_is_on_both_sides() -> None:
    films = [replace(_said("x"), patient=f"p{n // 3}") for n in range(30)]
    training, held = split(films, share=0.3, seed=1)
    assert held
    assert sorted(training + held) == list(range(30))
    assert not {films[n].patient for n in training} & {films[n].patient for n in held}


def test_with_one_caption_each_the_losses_are_open_clips() -> None:
    from open_clip.loss import ClipLoss, SigLipLoss

    torch.manual_seed(0)
    films, texts = (functional.normalize(torch.randn(6, 8), dim=-1) for _ in range(2))
    scale, bias = torch.tensor(7.0), torch.tensor(-3.0)
    truth_table, weights = torch.eye(6), torch.ones(6, 6)
    ours = sigmoid_loss(scale * films @ texts.T + bias, truth_table, weights)
    assert float(ours) == pytest.approx(float(SigLipLoss()(films, texts, scale, bias)), rel=1e-5)
    ours = softmax_loss(scale * films @ texts.T, truth_table, weights)
    assert float(ours) == pytest.approx(float(ClipLoss()(films, texts, scale)), rel=1e-5)


@pytest.mark.parametrize("loss", [sigmoid_loss, softmax_loss])
def test_unknown_pairs_pull_nowhere(loss: type) -> None:
    logits = torch.zeros(2, 3, requires_grad=True)
    table = torch.tensor([[1.0, 0.0, float("nan")], [0.0, 1.0, float("nan")]])
    loss(logits, table, torch.ones(2, 3)).backward()
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())
    assert logits.grad[:, 2].tolist() == [0, 0]


def test_augmentation_never_swaps_left_and_right() -> None:
    film = np.zeros((90, 100), np.uint8)
    film[:, :40] = 220
    for seed in range(40):
        changed = augment(film, 64, np.random.default_rng(seed)).astype(np.float32)
        assert changed[16:48, 8:24].mean() > changed[16:48, 40:56].mean()


def test_without_strength_a_film_is_only_padded_and_resized() -> None:
    film = np.full((50, 100), 128, np.uint8)
    changed = augment(film, 100, np.random.default_rng(0), strength=0.0)
    assert changed[:20].max() == 0
    assert abs(int(changed[50, 50]) - 128 * 257) < 300


class _Killed(BaseException):
    pass


def test_a_run_that_is_cut_off_goes_on_to_the_same_model(tmp_path: Path) -> None:
    base = from_folder(vit_folder(tmp_path / "base"), name="base")
    drawn = [phantom_film(seed, size=64) for seed in range(16)]
    films = [replace(film, read=cache(film.read)) for film in drawn]  # every run looks at them time and again
    options = Options(epochs=3, batch=8, frozen=0, ways=2, held=0.25, patience=0, dropout=0.0)

    def kill(progress: Progress) -> None:
        if progress.stage == "epochs" and progress.done == 1:
            raise _Killed

    with pytest.raises(_Killed):
        adapt(films, base, tmp_path / "cut", options=options, progress=kill)
    seen: list[int] = []
    cut = adapt(
        films, base, tmp_path / "cut", name="mine", options=options,
        progress=lambda p: seen.append(p.done) if p.stage == "epochs" else None,
    )  # fmt: skip
    whole = adapt(films, base, tmp_path / "whole", name="mine", options=options)
    assert seen == [2, 3]
    assert cut.facts.fingerprint == whole.facts.fingerprint
    assert (cut.base_ndcg, cut.ndcg, cut.held) == (whole.base_ndcg, whole.ndcg, whole.held)
    assert (tmp_path / "cut" / "training.png").stat().st_size > 1000
    assert "nDCG@5" in (tmp_path / "cut" / "MODEL_CARD.md").read_text()
    towers = OnnxTowers(tmp_path / "cut")
    assert towers.embed_texts(["pleural effusion"]).shape == (1, 24)

    with pytest.raises(BadInput, match="other options"):
        adapt(films, base, tmp_path / "cut", options=replace(options, loss=Loss.CLIP))


def test_films_that_say_nothing_cannot_be_trained_on(tmp_path: Path) -> None:
    base = from_folder(vit_folder(tmp_path / "base"), name="base")
    films = [replace(phantom_film(seed), facts=Facts()) for seed in range(4)]
    with pytest.raises(BadInput, match="too few"):
        adapt(films, base, tmp_path / "out", options=Options(epochs=1, frozen=0))


def _said(sentence: str) -> TrainingFilm:
    return TrainingFilm("k", "p", lambda: np.zeros((8, 8), np.uint8), sentences=(sentence,))


def test_the_card_says_where_patients_are_unknown() -> None:
    film = TrainingFilm("k", "p", lambda: np.zeros((8, 8), np.uint8))
    unknown = replace(film, patient_known=False)
    assert patients_apart([film, film]) == "no patient in both"
    assert patients_apart([film, unknown]).startswith("patients unknown for 1 of 2 films")
    assert patients_apart([unknown]).startswith("patients unknown for every film")
