"""Find which facts differ between two sides: the share of films of each group on either side, and of each label."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from filmroom.db.catalog import Catalog
from filmroom.db.writes.annotations import label_values
from filmroom.search.checks.result import Value
from filmroom.search.checks.subgroups.facts import Groups, KnownFilms
from filmroom.search.checks.subgroups.resampling import Cases, distributions
from filmroom.search.classification.zero_shot import known_truth
from filmroom.search.evaluation.statistics import holm
from numpy.typing import NDArray

ALPHA = 0.05
LEAST = 10
"""Films of a group, of both sides together, that a test needs."""
_AT_ONCE = 200
"""Permutations that are counted together."""
_KNOWN = ("known", "not known")


@dataclass(frozen=True)
class MovedFact:
    """The share of one group among the films of either side of which the fact is known, the difference with its 95 %
    interval, and p, adjusted for all facts that were compared; NaN where too few films are in the group."""

    fact: str
    name: str
    films: tuple[int, int]
    shares: tuple[float, float]
    low: float
    high: float
    p: float

    @property
    def moved(self) -> bool:
        return self.p < ALPHA

    @property
    def row(self) -> dict[str, Value]:
        """The fact as a row of a table."""
        state = "too small" if np.isnan(self.p) else "moved" if self.moved else "no difference shown"
        return {
            "fact": self.fact, "slice": self.name, "films A": self.films[0], "films B": self.films[1],
            "A": self.shares[0], "B": self.shares[1], "difference": self.shares[1] - self.shares[0],
            "low": self.low, "high": self.high, "p": self.p, "state": state,
        }  # fmt: skip


def moved_facts(
    catalog: Catalog,
    films: KnownFilms,
    second: NDArray[np.bool_],
    permuted: NDArray[np.uint8],
    weights: NDArray[np.uint8],
    *,
    but: Collection[str] = (),
) -> list[MovedFact]:
    """Compare the films of the second side, `second` (N,), with the others, the facts that moved most certainly first.

    `permuted` (N, P) are permutations of the sides, `weights` draws of patients; facts in `but` are left out.
    """
    facts = [
        moved
        for groups in (*_with_unknown(films.groups), *_labels(catalog, films))
        if groups.fact not in but
        for moved in _compared(groups, films.patients, second, permuted, weights)
    ]
    tested = [at for at, fact in enumerate(facts) if not np.isnan(fact.p)]
    for at, p in zip(tested, holm([facts[at].p for at in tested]), strict=True):
        facts[at] = replace(facts[at], p=p)
    return sorted(facts, key=lambda fact: (np.isnan(fact.p), fact.p, -abs(fact.shares[1] - fact.shares[0])))


def _with_unknown(facts: Sequence[Groups]) -> Iterator[Groups]:
    """Yield the facts, and of those that are known of some films alone whether they are."""
    for groups in facts:
        if len(groups.names) > 1:
            yield groups
        if (groups.codes < 0).any() and (groups.codes >= 0).any():
            yield Groups(groups.fact, _KNOWN, (groups.codes < 0).astype(np.int64))


def _labels(catalog: Catalog, films: KnownFilms) -> Iterator[Groups]:
    values = label_values(catalog)
    for name in sorted(values):
        truth = known_truth((name,), values, films.ids.tolist())
        if np.nansum(truth) >= LEAST:
            yield Groups(
                "label", (f"without {name}", name), np.where(np.isnan(truth), -1, truth > 0.5).astype(np.int64)
            )


def _compared(
    groups: Groups,
    patients: NDArray[np.int64],
    second: NDArray[np.bool_],
    permuted: NDArray[np.uint8],
    weights: NDArray[np.uint8],
) -> Iterator[MovedFact]:
    from scipy.sparse import csr_array  # type: ignore[import-untyped]
    from scipy.stats import norm  # type: ignore[import-untyped]

    known = groups.codes >= 0
    codes, side, count = groups.codes[known], second[known].astype(np.int64), len(groups.names)
    if len(np.unique(side)) < 2:
        return
    shares, drawn = distributions(codes, count, Cases(side, 2, patients[known]), weights)
    low, high = np.nanquantile(drawn[1] - drawn[0], (0.025, 0.975), axis=1)
    films = np.stack([np.bincount(codes[side == at], minlength=count) for at in (0, 1)])
    of_group = csr_array((np.ones(len(codes), np.float32), (codes, np.flatnonzero(known))), shape=(count, len(known)))
    blocks = [slice(start, start + _AT_ONCE) for start in range(0, permuted.shape[1], _AT_ONCE)]
    b = np.concatenate([of_group @ permuted[:, block].astype(np.float32) for block in blocks], axis=1)
    a = films.sum(axis=0)[:, None] - b
    with np.errstate(invalid="ignore", divide="ignore"):
        chance = b / b.sum(axis=0) - a / a.sum(axis=0)
        ratio = np.abs(shares[1] - shares[0] - np.nanmean(chance, axis=1)) / np.nanstd(chance, axis=1)
    p = np.where(films.sum(axis=0) >= LEAST, 2 * norm.sf(ratio), np.nan)
    # Of two groups one says it all; of a label and of what is known, the one that is named.
    for at in [1] if count == 2 else range(count):
        yield MovedFact(
            groups.fact, groups.names[at], (int(films[0, at]), int(films[1, at])),
            (float(shares[0, at]), float(shares[1, at])), float(low[at]), float(high[at]), float(p[at]),
        )  # fmt: skip
