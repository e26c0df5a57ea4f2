"""Combine concepts into one vector to rank by.

A film's score is the sum over the concepts: a positive one counts its similarity, cos(film, p); a negated one half the
difference of a pair, cos(film, "no x") - cos(film, x), because a raw "no x" prompt ranks at or below chance. Half, so
that what is denied weighs no more than what is asked for. All of it is linear in the film's vector f, so that one
vector ranks, and one search of the index is enough:

    sum_p f.t(p) + sum_x (f.t("no x") - f.t(x)) / 2  =  f.v,   v = sum_p t(p) + sum_x (t("no x") - t(x)) / 2

v is scaled to unit length, which changes no order; the score is then the cosine of film and v. A film with several
vectors is scored by the one nearest to v.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.search.query.parser import Query
from numpy.typing import NDArray

DENIED = 0.5

Vector = NDArray[np.float32]
EmbedTexts = Callable[[Sequence[str]], Vector]
"""Texts -> (N, D) float32, rows of unit length."""


def query_vector(query: Query, embed_texts: EmbedTexts, prompt: str = "{}") -> Vector:
    """Return (D,) float32 of unit length. `prompt` is the model's template, `{}` standing for the words.

    Raises BadInput when the query only filters, so that there is nothing to rank by.
    """
    if not query.concepts:
        raise BadInput("The query only filters", fix="Add words to rank by")
    signed: dict[str, float] = {}
    for words in map(_written_out, query.positive):
        text = prompted(words, prompt)
        signed[text] = signed.get(text, 0.0) + 1.0
    for words in map(_written_out, query.negated):
        for text, sign in zip((prompted(f"no {words}", prompt), prompted(words, prompt)), (1.0, -1.0), strict=True):
            signed[text] = signed.get(text, 0.0) + DENIED * sign
    signs = np.array(list(signed.values()), dtype=np.float32)
    vectors = np.asarray(embed_texts(list(signed)), dtype=np.float32)
    combined = signs @ vectors
    if np.linalg.norm(combined) < 1e-6:  # a text tower that does not see the "no": away from x is all that is left
        combined = np.where(signs < 0, signs, 0.0).astype(np.float32) @ vectors
    return unit(combined)


def _written_out(words: str) -> str:
    return spell_out(words).text


def prompted(words: str, prompt: str) -> str:
    """Return `words` in the model's template. Braces within the words stay as they are."""
    return prompt.replace("{}", words)


def unit(vector: Vector) -> Vector:
    """Return `vector` scaled to length 1; zeros stay zeros."""
    length = float(np.linalg.norm(vector))
    scaled: Vector = (vector / length if length > 0.0 else vector).astype(np.float32)
    return scaled
