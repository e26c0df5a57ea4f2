"""Fit the linear map from pooled features into the space of words, in closed form: words then rank as labels do.

A label's answer on a film is a . f + b. Wanted is an e(f) = W f + c whose product with the text vector t of each claim
is that answer, as standardised over the real films: ridge regression in the space of words (M), so W = M A. Words that
mean alike share what they say; nothing is learnt from a film a second time. Synthetic films speak of sides, sizes,
places and devices, of which real labels say nothing: where they vary, W is bent towards a second such map, and the real
films hold it in place. A constant part, along a direction no words use, keeps the vectors of one length, so that an
unusual film is not pushed down by everything else that is unusual about it.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.indexer.radiology.captions import Claim, phrase
from numpy.typing import NDArray

F32 = NDArray[np.float32]
F64 = NDArray[np.float64]
EmbedTexts = Callable[[Sequence[str]], F32]
# Of these a synthetic film shows a likeness at most.
_REAL_ONLY = frozenset({
    "no finding", "bacterial pneumonia", "viral pneumonia", "pneumonia", "infiltration", "fibrosis", "elderly", "child"
})  # fmt: skip


@dataclass(frozen=True)
class Answers:
    """Linear answers on pooled features: `weight` (claims, C) and `bias` (claims,)."""

    claims: tuple[Claim, ...]
    weight: F32
    bias: F32

    def of(self, features: F32) -> F64:
        """Return (films, claims)."""
        return np.asarray(features @ self.weight.T + self.bias, np.float64)


@dataclass(frozen=True)
class AlignOptions:
    """`synthetic`: weight of synthetic films beside real ones; `plain` and `finer`: of what they say of findings and
    devices, and of sides, sizes and places; `held`: how strongly W stays where the real films put it."""

    ridge: float = 0.1
    synthetic: float = 0.3
    plain: float = 0.4
    finer: float = 0.2
    held: float = 3e-3
    constant: float = 1.0
    ways: int = 24
    seed: int = 0


def text_directions(claims: Sequence[Claim], embed_texts: EmbedTexts, options: AlignOptions) -> F64:
    """Return (claims, D) unit rows: the mean of several ways to say each."""
    rng = random.Random(options.seed)
    rows = []
    for claim in claims:
        phrasings = sorted({phrase(claim, rng, carrier=0.1) for _ in range(options.ways)})
        middle = np.asarray(embed_texts(phrasings), np.float64).mean(0)
        rows.append(middle / np.linalg.norm(middle))
    return np.stack(rows)


def align(
    answers: Answers, embed_texts: EmbedTexts, real: F32, reference: F32, synthetic: F32, asked_of_real: frozenset[str],
    options: AlignOptions | None = None,
) -> tuple[F32, F32]:  # fmt: skip
    """Return W (D, C) and c (D,), c's constant part scaled so that its length is 1.

    `real`, `reference` and `synthetic` are pooled features: of all real films, of those over which answers are
    standardised, and of synthetic films. `asked_of_real` names the ideas that real labels speak of.
    """
    options = options or AlignOptions()
    texts = text_directions(answers.claims, embed_texts, options)
    bare = np.array([claim == Claim(claim.idea) for claim in answers.claims])
    asked_real = np.array([claim.idea in asked_of_real for claim in answers.claims]) & bare
    drawn = np.array([claim.idea not in _REAL_ONLY for claim in answers.claims])
    spread, middle = answers.of(reference).std(0), answers.of(reference).mean(0)
    to_words = _into_words(texts[asked_real], np.ones(int(asked_real.sum())), options.ridge)
    weight = to_words @ (answers.weight[asked_real] / spread[asked_real, None])
    constant = to_words @ ((answers.bias[asked_real] - middle[asked_real]) / spread[asked_real])
    if len(synthetic):
        widths = answers.of(synthetic).std(0)
        say = np.where(bare[drawn], options.plain, options.finer)
        other = _into_words(texts[drawn], say, options.ridge) @ (answers.weight[drawn] / widths[drawn, None])
        films, phantoms = (part - part.mean(0) for part in (real.astype(np.float64), synthetic.astype(np.float64)))
        moved = options.synthetic * phantoms.T @ (phantoms @ (other - weight).T) / len(phantoms)
        stiff = films.T @ films / len(films) + options.synthetic * phantoms.T @ phantoms / len(phantoms)
        bend = np.linalg.solve(stiff + options.held * np.eye(len(stiff)), moved).T
        weight, constant = weight + bend, constant - bend @ reference.mean(0)
    unused = np.linalg.svd(texts, full_matrices=True)[2][-1]
    length = float(np.sqrt(np.square(reference @ weight.T + constant).sum(1).mean()))
    constant = constant + options.constant * length * unused
    scale = 1 / np.linalg.norm(constant)
    return (weight * scale).astype(np.float32), (constant * scale).astype(np.float32)


def _into_words(texts: F64, weights: F64, ridge: float) -> F64:
    """Return (D, claims): from answers to the vector that has them as its products with the texts."""
    gram: F64 = np.asarray(texts.T @ (weights[:, None] * texts), np.float64) + ridge * np.eye(texts.shape[1])
    return np.linalg.solve(gram, texts.T * weights).astype(np.float64)
