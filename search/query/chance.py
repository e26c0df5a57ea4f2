"""How near a film comes to words that mean nothing here: what the best score of a query is held against.

A percentile says how a film stands among the archive's films, and the best of them is at the top whatever was typed.
The best score of made-up and everyday words, over the same films, says what a query reaches by chance. A cut-off says
how far down an answer goes.
"""

from __future__ import annotations

import random

import numpy as np
from filmroom.db.vector_index.index import VectorIndex
from filmroom.search.query.embedding import EmbedTexts, unit
from filmroom.search.request import SearchRequest
from numpy.typing import NDArray

COUNT = 48
QUANTILE = 0.95
"""Of a score as high as this, one in twenty random queries reaches more."""

_EVERYDAY = """
table bicycle invoice river music tax banana football kernel opera purple tuesday carpet democracy recipe guitar flight
weather poem chess volcano salad engine holiday castle pencil whisper planet ticket bridge candle market puzzle ocean
garden winter letter button window hammer
""".split()  # noqa: SIM905 (words are read as a text)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_texts() -> list[str]:
    """One to three words each, half of them of random letters and half everyday ones; always the same."""
    draw = random.Random(0)

    def gibberish() -> str:
        return "".join(draw.choice(_LETTERS) for _ in range(draw.randint(3, 9)))

    def everyday() -> str:
        return draw.choice(_EVERYDAY)

    return [" ".join(word() for _ in range(draw.randint(1, 3))) for word in (gibberish, everyday) * (COUNT // 2)]


def random_vectors(embed_texts: EmbedTexts) -> NDArray[np.float32]:
    """(COUNT, D), rows of unit length."""
    return np.stack([unit(row) for row in embed_texts(random_texts())])


def best_and_chance(
    index: VectorIndex, vector: NDArray[np.float32], random: NDArray[np.float32], within: NDArray[np.int64] | None
) -> tuple[float, float]:
    """The best score of the query (D,) over the films, of which there must be one, and what random words reach."""
    best = index.search(np.vstack([vector[None], random]), 1, within).scores[:, 0]
    return float(best[0]), float(np.quantile(best[1:], QUANTILE))


def above(
    index: VectorIndex, vector: NDArray[np.float32], request: SearchRequest, ids: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """Those of the films that reach the cut-off of the request."""
    if ids is None or not ids.size:
        return ids
    scores = index.scores(vector[None], ids)[0]
    reached = np.ones(ids.size, np.bool_)
    if request.least_score is not None:
        reached &= scores >= request.least_score
    if request.least_percentile is not None:
        reached &= index.percentiles(vector, scores) >= request.least_percentile
    return ids[reached]
