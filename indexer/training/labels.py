"""Build the table of label training: films against claims, each true, false or unknown, and each answer's weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from filmroom.indexer.radiology.captions import Claim, truth
from filmroom.indexer.training.data.films import TrainingFilm
from numpy.typing import NDArray

F32 = NDArray[np.float32]
FEWEST = 8
"""Films that support, and films that deny, a claim that is worth a column of its own."""
_ASIDE = frozenset({"view PA", "view AP", "male", "elderly", "child"})
_SKIPPED = frozenset({"frontal", "female"})  # what "view PA or AP" and "male" say already


@dataclass(frozen=True)
class LabelTable:
    """`truth` (films, claims): 1 true, 0 false, NaN unknown; `weights` alike; `group` a film's collection's number."""

    claims: tuple[Claim, ...]
    truth: F32
    weights: F32
    groups: tuple[str, ...]
    group: NDArray[np.int64]


def label_table(films: Sequence[TrainingFilm]) -> LabelTable:
    """Make the columns of everything that some films support and some deny, sides, sizes and places included."""
    known = {claim for film in films for claim in film.facts.present}
    claims = {Claim(c.idea) for c in known}
    claims |= {Claim(c.idea, side=c.side) for c in known if c.side}
    claims |= {Claim(c.idea, severity=c.severity) for c in known if c.severity}
    claims |= {Claim(c.idea, place=c.place) for c in known if c.place}
    claims |= {Claim(c.idea, side=c.side, severity=c.severity) for c in known if c.side and c.severity}
    columns, learnable = [], []
    for claim in sorted((c for c in claims if c.idea not in _SKIPPED), key=repr):
        answers = [truth(claim, film.facts) for film in films]
        if min(answers.count(True), answers.count(False)) >= FEWEST:
            learnable.append(claim)
            columns.append([np.nan if answer is None else float(answer) for answer in answers])
    table = np.array(columns, np.float32).T if learnable else np.empty((len(films), 0), np.float32)
    groups = tuple(sorted({film.group for film in films}))
    group = np.array([groups.index(film.group) for film in films], np.int64)
    return LabelTable(tuple(learnable), table, answer_weights(tuple(learnable), table, group), groups, group)


def answer_weights(claims: tuple[Claim, ...], table: F32, group: NDArray[np.int64]) -> F32:
    """Return (films, claims): within each collection a rare yes weighs up to 3.5 times a no, and the finding with
    another side, size or place more than no such finding. A collection that knows one answer alone teaches nothing: it
    would teach where a film comes from."""
    weights = np.zeros_like(table)
    column = {claim: n for n, claim in enumerate(claims)}
    for number in np.unique(group):
        of = group == number
        for n, claim in enumerate(claims):
            yes, no = of & (table[:, n] == 1), of & (table[:, n] == 0)
            if not yes.any() or not no.any():
                continue
            rare = min(3.5, max(1.0, float(no.sum() / yes.sum()) ** 0.5))
            weights[yes, n], weights[no, n] = rare, 1.0
            plain = column.get(Claim(claim.idea))
            if plain is not None and plain != n:
                other = no & (table[:, plain] == 1)
                if other.any():
                    weights[other, n] = min(4.0, max(1.0, 0.6 * rare * float(yes.sum() / other.sum())))
            if claim.idea in _ASIDE:
                weights[of, n] *= 0.3
    return weights
