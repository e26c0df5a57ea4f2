"""Bend a query's vector by films that were judged for it: the words blended with a probe of the judged films.

    score = z(words) + weight * z(probe),   weight = MOST * m / (m + HALF),   m = the smaller of the two kinds

z scales a score to deviation 1 over the archive. The probe is a ridge regression on the films' vectors in which films
that show it and films that do not weigh the same in all. Both are linear in a film's vector, so that their sum is one
vector and one search of the index answers. From CHECKED films of each kind on, an out-of-fold check by patient decides
whether the probe counts at all. The constants were chosen by benchmarks/judged_films.py.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from filmroom.search.evaluation.statistics import auc
from numpy.typing import NDArray

MOST, HALF = 0.5, 10
RIDGE = 1.0
CHECKED = 10
FOLDS = 5

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Learned:
    """What judged films did to a query: how many `show` it and how many do not (`lack`), the probe's weight beside the
    words' 1, and the out-of-fold AUC of words and blend where it was checked."""

    show: int
    lack: int
    weight: float = 0.0
    auc_words: float | None = None
    auc_blend: float | None = None

    @property
    def sentence(self) -> str:
        """One line on what the ranking learned."""
        films = f"{self.show + self.lack:,} judged or labelled films ({self.show:,} show it, {self.lack:,} do not)"
        if not self.show or not self.lack:
            return (
                "The words alone rank: to learn, films that show it and films that do not must be judged, voted on or "
                f"labelled ({self.show:,} and {self.lack:,} so far)."
            )
        if not self.weight:
            return (
                f"The words alone rank: with {films} the out-of-fold AUC is {self.auc_blend:.2f}, {self.auc_words:.2f} "
                "without."
            )
        return f"Ranked with {films}; they weigh {self.weight:.2f} beside the words' 1."

    def to_json(self) -> dict[str, Any]:
        return asdict(self)


def teach(
    words: NDArray[np.floating],
    films: NDArray[np.floating],
    shows: Bools,
    patients: Sequence[str],
    sample: NDArray[np.floating],
) -> tuple[NDArray[np.float32], Learned]:
    """Blend the query `words` (D,) with the judged `films` (N, D), which show it or not (N,).

    `sample` (M, D) are vectors of the archive, to scale both scores by. Gives the vector (D,) of unit length, the words
    as they were where nothing was learned, and what was done.
    """
    m = int(min(shows.sum(), (~shows).sum()))
    counts = int(shows.sum()), int((~shows).sum())
    unchanged = np.asarray(words, np.float32)
    if not m or len(sample) < 2:
        return unchanged, Learned(*counts)
    centre = sample.mean(axis=0, dtype=np.float64)
    spread = float(np.sqrt(np.mean((sample - centre) ** 2))) or 1.0
    everyone, judged = (sample - centre) / spread, (films - centre) / spread
    base = _scaled(np.asarray(words, np.float64), everyone)
    weight = MOST * m / (m + HALF)
    checked: tuple[float | None, float | None] = (None, None)
    if m >= CHECKED:
        checked = _out_of_fold(base, judged, shows, patients, everyone, weight)
        if checked[0] is not None and checked[1] is not None and checked[1] < checked[0]:
            return unchanged, Learned(*counts, 0.0, *checked)
    blend = base + weight * _scaled(ridge(judged, shows), everyone)
    length = float(np.linalg.norm(blend))
    return (blend / length).astype(np.float32), Learned(*counts, weight, *checked)


def ridge(films: Floats, shows: Bools) -> Floats:
    """Return the direction (D,) that tells films (N, D) that show it from those that do not, each kind weighing
    half."""
    weights = np.where(shows, 0.5 / shows.sum(), 0.5 / (~shows).sum())
    target = np.where(shows, 1.0, -1.0)
    roots = np.sqrt(weights)[:, None]
    rows = roots * (films - weights @ films)
    aims = roots[:, 0] * (target - weights @ target)
    count, dim = rows.shape
    if count <= dim:
        in_samples: Floats = rows.T @ np.linalg.solve(rows @ rows.T + RIDGE * np.eye(count), aims)
        return in_samples
    in_dimensions: Floats = np.linalg.solve(rows.T @ rows + RIDGE * np.eye(dim), rows.T @ aims)
    return in_dimensions


def _scaled(direction: Floats, everyone: Floats) -> Floats:
    """Return the direction whose scores have deviation 1 over the archive."""
    deviation = float(np.std(everyone @ direction))
    scaled: Floats = direction / deviation if deviation > 0 else direction
    return scaled


def _out_of_fold(
    base: Floats, judged: Floats, shows: Bools, patients: Sequence[str], everyone: Floats, weight: float
) -> tuple[float | None, float | None]:
    """Compute the AUC over the judged films of the words, and of the blend with probes that did not see the film's
    patient."""
    _, whose = np.unique(np.asarray(patients), return_inverse=True)
    folds = np.random.default_rng(0).permutation(int(whose.max()) + 1)[whose] % FOLDS
    probe_scores = np.full(len(shows), np.nan)
    for fold in range(FOLDS):
        inside = folds != fold
        if (~inside).any() and 0 < shows[inside].sum() < inside.sum():
            probe = _scaled(ridge(judged[inside], shows[inside]), everyone)
            probe_scores[~inside] = judged[~inside] @ probe
    known = ~np.isnan(probe_scores)
    if not 0 < shows[known].sum() < known.sum():
        return None, None
    by_words = judged[known] @ base
    return auc(by_words, shows[known]), auc(by_words + weight * probe_scores[known], shows[known])
