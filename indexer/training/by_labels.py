"""Teach an open_clip model what the labels of films say: its image tower by the labels, its last layer by the words.

The tower learns one answer a claim (`label_training`), synthetic films beside the real ones, so that what no label
speaks of (sides, sizes, devices) is not forgotten. A linear layer in closed form then lets words rank films as these
answers do (`word_alignment`); the text tower stays. This is how the bundled model was made.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filmroom.db.errors import BadInput
from filmroom.indexer.models.preprocess import Preprocess
from filmroom.indexer.radiology.captions import Claim
from filmroom.indexer.radiology.vocabulary import NORMAL, VIEWS
from filmroom.indexer.training.data.film_batches import keep_squares
from filmroom.indexer.training.data.films import TrainingFilm, split, statements_of
from filmroom.indexer.training.data.maps import Maps
from filmroom.indexer.training.data.open_collections import Boxes
from filmroom.indexer.training.data.phantoms import phantom_film
from filmroom.indexer.training.data.validation import Tokenize, Validation
from filmroom.indexer.training.label_training import PHANTOM, LabelOptions, pooled, train_on_labels
from filmroom.indexer.training.labels import FEWEST, LabelTable, label_table
from filmroom.indexer.training.train import Options, Progress, Trained
from filmroom.indexer.training.word_alignment import Answers, EmbedTexts, align
from numpy.typing import NDArray

F32 = NDArray[np.float32]
FIRST_PHANTOM = 200_000
PHANTOMS = 1000
PHANTOMS_AN_EPOCH = 400
EPOCHS = 8
FEWEST_FILMS = 300
"""With fewer labelled films the contrastive loss on the last stages loses less of what the model knew."""
FEWEST_FINDINGS = 2


def has_such_tower(visual: Any) -> bool:
    """Tell whether an image tower is a timm EfficientNet with average pooling and a linear layer with a bias."""
    trunk, head = getattr(visual, "trunk", None), getattr(visual, "head", None)
    stages = all(hasattr(trunk, name) for name in ("conv_stem", "bn1", "blocks", "conv_head", "bn2"))
    average = getattr(getattr(trunk, "global_pool", None), "pool_type", "") == "avg"
    return stages and average and getattr(getattr(head, "proj", None), "bias", None) is not None


def tells_findings_apart(films: Sequence[TrainingFilm]) -> bool:
    """Tell whether the labels of films say enough to teach an image tower."""
    labelled = [film for film in films if _ideas(film) - set(VIEWS)]
    if len(labelled) < FEWEST_FILMS:
        return False
    findings = {claim.idea for claim in _asked_of_real(label_table(labelled))} - {*VIEWS, NORMAL}
    return len(findings) >= FEWEST_FINDINGS


def teach(
    model: Any, embed_texts: EmbedTexts, films: Sequence[TrainingFilm], boxes: Sequence[Boxes], *, work: Path,
    options: LabelOptions, reference: NDArray[np.bool_] | None = None,
    progress: Callable[[Progress], None] = lambda progress: None,
) -> list[float]:  # fmt: skip
    """Teach `model` in place; return the mean loss of each epoch. Goes on where an earlier call with the same `work`
    was cut off.

    `reference` (films,) says over which films answers are standardised: all real ones where it is None. Raises
    BadInput where an earlier call had other options.
    """
    keys = blake2b("\n".join(film.key for film in films).encode(), digest_size=8).hexdigest()
    squares = keep_squares(
        films, options.preprocess, work / f"films-{keys}.npy",
        lambda done, total: progress(Progress("squares", done, total)),
    )  # fmt: skip
    table = label_table(films)
    net, losses = train_on_labels(
        model.visual.trunk, squares, boxes, table, work=work, options=options,
        progress=lambda done, total, loss: progress(Progress("epochs", done, total, loss)),
    )  # fmt: skip
    features = pooled(net, squares, options)
    synthetic = np.array([film.group == PHANTOM for film in films])
    weight, bias = (part.detach().cpu().numpy() for part in (net.answers.weight, net.answers.bias))
    projection, constant = align(
        Answers(table.claims, weight, bias), embed_texts, features[~synthetic],
        features[~synthetic if reference is None else reference], features[synthetic],
        frozenset(claim.idea for claim in _asked_of_real(table)),
    )  # fmt: skip
    model.visual.trunk.load_state_dict(net.trunk.state_dict())
    with torch.no_grad():
        model.visual.head.proj.weight.copy_(torch.from_numpy(projection))
        model.visual.head.proj.bias.copy_(torch.from_numpy(constant))
    return losses


def train_by_labels(
    model: Any, tokenize: Tokenize, films: Sequence[TrainingFilm], preprocess: Preprocess, *, work: Path,
    options: Options, progress: Callable[[Progress], None] | None = None,
) -> Trained:  # fmt: skip
    """Teach an open_clip model the labels of films, in place, and rank the held-out films before and after; goes on
    where an earlier call with the same `work` was cut off.

    Raises BadInput when the films say nothing that could be learnt.
    """
    tell = progress or (lambda progress: None)
    torch.manual_seed(options.seed)
    model.to(options.device).eval()
    learn, validation_rows = split(films, share=options.held, seed=options.seed)
    real = [films[n] for n in learn]
    if not any(claim.idea not in VIEWS for claim in _asked_of_real(label_table(real))):
        raise BadInput(
            f"no finding is said of {FEWEST} films and denied of {FEWEST} others, which is too little to train on",
            fix="Give more films a label (filmroom label), or learn from reports with --loss siglip.",
        )
    # The search scores what a query denies by the finding itself, so that no statement is learnt that denies one.
    stated = statements_of(real, ways=options.ways, seed=options.seed)
    statements = [statement for statement in stated if statement.claim and not statement.claim.absent]
    validation = None
    if validation_rows:
        validation = Validation(
            model, tokenize, films, validation_rows, statements, device=options.device, train_text=False,
            seed=options.seed,
        )  # fmt: skip
    maps = Maps(films, None, preprocess, folder=work, views=1, seed=options.seed, device=options.device)
    base = validation.ndcg(model.visual, maps) if validation else None
    taught = [*real, *(phantom_film(FIRST_PHANTOM + n, size=preprocess.size) for n in range(PHANTOMS))]
    losses = teach(
        model, embedder(model, tokenize, options.device), taught, [()] * len(taught), work=work, progress=tell,
        options=LabelOptions(
            preprocess, epochs=options.epochs, seed=options.seed, device=options.device,
            at_most={PHANTOM: PHANTOMS_AN_EPOCH},
        ),
    )  # fmt: skip
    model.to(options.device).eval()
    ndcg = validation.ndcg(model.visual, maps) if validation else None
    history = [{"epoch": n + 1.0, "loss": loss, "ndcg": None} for n, loss in enumerate(losses)]
    history[-1]["ndcg"] = ndcg
    return Trained(model.float().eval(), history, ndcg, base, len(learn), len(validation_rows))


def _ideas(film: TrainingFilm) -> set[str]:
    return {claim.idea for claim in film.facts.present} | film.facts.absent


def embedder(model: Any, tokenize: Tokenize, device: str) -> EmbedTexts:
    """Return what embeds texts with an open_clip model, as rows of unit length."""

    @torch.inference_mode()
    def embed(texts: Sequence[str]) -> F32:
        rows = model.encode_text(tokenize(texts).to(device)).float()
        vectors: F32 = torch.nn.functional.normalize(rows, dim=-1).cpu().numpy()
        return vectors

    return embed


def _asked_of_real(table: LabelTable) -> list[Claim]:
    """Return the plain claims that real films support and deny often enough."""
    truths = table.truth[[table.groups[group] != PHANTOM for group in table.group]]
    often = ((truths == 1).sum(0) >= FEWEST) & ((truths == 0).sum(0) >= FEWEST)
    return [claim for claim, enough in zip(table.claims, often, strict=True) if enough and claim == Claim(claim.idea)]
