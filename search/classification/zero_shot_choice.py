"""Choose among candidates zero-shot: a softmax over them for each film, as the model card of WhyXrayCLIP does.

P(c | film) = softmax over the candidates of TEMPERATURE * cos(film, c). Unlike a score from prompts for and against, it
always chooses one: what none of the candidates names is forced into one of them.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.writes.annotations import label_values
from filmroom.search.classification.zero_shot import check_no_denial, known_truth, labels_of
from filmroom.search.classification.zero_shot_archive import BLOCK, filter_of, patients_of, stored_vectors
from filmroom.search.evaluation.statistics import FEWEST, Interval
from filmroom.search.exchange.delimited import cell
from filmroom.search.exchange.tables import write_aside
from filmroom.search.query.model_limits import limits_of_texts
from filmroom.search.query.reading import unknown_words_in
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

TEMPERATURE = 100.0
_DRAWS = 1_000


@dataclass(frozen=True)
class Choice:
    """`probabilities` (N, C) of the films `film_ids` (N,). The rest is over the films whose labels name exactly one
    candidate: `confusion` counts them, a row each true candidate and a column each chosen one; `several` films are
    labelled with more than one and left out. `accuracy` is None without any, `largest` the share of the most frequent
    candidate: what choosing it always would score. `weakness` is what `ModelLimits` says of the candidates,
    `unknown_words` what is to be said of words in them that nobody knows here."""

    model: str
    where: str
    candidates: tuple[str, ...]
    film_ids: NDArray[np.int64]
    probabilities: NDArray[np.float32]
    confusion: tuple[tuple[int, ...], ...]
    several: int
    accuracy: Interval | None
    largest: float | None
    weakness: str = ""
    unknown_words: tuple[str, ...] = ()

    @property
    def chosen(self) -> tuple[int, ...]:
        """How many films each candidate is the most probable of."""
        counts = np.bincount(self.probabilities.argmax(axis=1), minlength=len(self.candidates))
        return tuple(int(count) for count in counts)

    def to_json(self) -> dict[str, Any]:
        return {
            "model": self.model,
            "where": self.where,
            "films": len(self.film_ids),
            "candidates": list(self.candidates),
            "chosen": list(self.chosen),
            "labelled": sum(map(sum, self.confusion)),
            "labelled_with_several": self.several,
            "accuracy": asdict(self.accuracy) if self.accuracy else None,
            "largest_class": self.largest,
            "weakness": self.weakness,
            "unknown_words": list(self.unknown_words),
            "confusion": [list(row) for row in self.confusion],
        }


def choose_among(searcher: Searcher, candidates: Sequence[str], *, where: str = "") -> Choice:
    """Give every film that passes `where` a probability of each candidate.

    Raises BadInput for fewer than two candidates, for one that denies a finding, where no film passes, and where
    `where` has words to rank by.
    """
    names = tuple(dict.fromkeys(name.strip() for name in candidates if name.strip()))
    if len(names) < 2:
        raise BadInput("a choice needs two candidates", where=", ".join(names), fix='--among "enlarged heart, edema"')
    for name in names:
        check_no_denial(name)
    texts = searcher.towers.embed_texts(names)
    ids, parts = [], []
    for block, vectors in stored_vectors(searcher, films.select_ids(searcher.catalog, filter_of(where))):
        ids.append(block)
        parts.append(softmax(TEMPERATURE * (vectors @ texts.T).max(axis=1)))
    if not ids:
        raise BadInput("no film passes", where=where or None, fix="Loosen the filter, or index films with this model.")
    film_ids, probabilities = np.concatenate(ids), np.concatenate(parts)
    labels = label_values(searcher.catalog)
    present = np.stack([known_truth(labels_of(name), labels, film_ids.tolist()) for name in names], axis=1) > 0.5
    single = present.sum(axis=1) == 1
    true, predicted = present[single].argmax(axis=1), probabilities[single].argmax(axis=1)
    confusion = np.zeros((len(names), len(names)), int)
    np.add.at(confusion, (true, predicted), 1)
    patients = patients_of(searcher.catalog, film_ids[single].tolist())
    return Choice(
        searcher.model,
        where,
        names,
        film_ids,
        probabilities,
        tuple(tuple(int(count) for count in row) for row in confusion),
        int((present.sum(axis=1) > 1).sum()),
        _accuracy(true == predicted, patients) if single.any() else None,
        float(np.bincount(true).max() / len(true)) if single.any() else None,
        limits_of_texts(searcher.held.space, names).sentence,
        unknown_words_in(names, searcher.towers, searcher.catalog),
    )


def softmax(logits: NDArray[np.float32]) -> NDArray[np.float32]:
    """Turn (N, C) into (N, C), rows that sum to 1."""
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    shares: NDArray[np.float32] = (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
    return shares


def write_choice(path: Path, searcher: Searcher, choice: Choice) -> None:
    """Write CSV with a film a row: its id, its path, the candidate chosen, and a column of probabilities a
    candidate."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["id", "film", "chosen", *map(cell, choice.candidates)])
    for start in range(0, len(choice.film_ids), BLOCK):
        block = choice.film_ids[start : start + BLOCK].tolist()
        for at, film in enumerate(films.films(searcher.catalog, block), start):
            row = choice.probabilities[at]
            chosen = choice.candidates[int(row.argmax())]
            writer.writerow([film.id, cell(film.path), cell(chosen), *(f"{value:.6f}" for value in row)])
    write_aside(path, out.getvalue())


def _accuracy(right: NDArray[np.bool_], patients: Sequence[str]) -> Interval:
    """Return the share of films that are right, with an interval over patients; NaN bounds for fewer than FEWEST of
    them."""
    _, whose = np.unique(np.asarray(patients), return_inverse=True)
    count = int(whose.max()) + 1
    if count < FEWEST:
        return Interval(float(right.mean()), float("nan"), float("nan"), count)
    hits, films = np.bincount(whose, weights=right), np.bincount(whose)
    drawn = np.random.default_rng(0).integers(0, count, (_DRAWS, count))
    low, high = np.quantile(hits[drawn].sum(axis=1) / films[drawn].sum(axis=1), (0.025, 0.975))
    return Interval(float(right.mean()), float(low), float(high), count)
