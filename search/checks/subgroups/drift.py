"""Compare two sides of an archive, by vectors and by facts: years, sites, splits, runs, collections."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.search.checks.neighbours import centred_vectors, check_several
from filmroom.search.checks.result import Pick, Result
from filmroom.search.checks.subgroups.facts import MORE_FACTS, KnownFilms, known_films
from filmroom.search.checks.subgroups.moved_facts import ALPHA, MovedFact, moved_facts
from filmroom.search.checks.subgroups.named_sides import Side, two_sides
from filmroom.search.checks.subgroups.resampling import Cases, areas, patient_weights
from filmroom.search.checks.subgroups.two_sample import PERMUTATIONS, TwoSample, permuted_sides, two_sample
from filmroom.search.cli.counting import counted
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

LEAST_FILMS, LEAST_PATIENTS = 20, 10
"""Of each side."""
MOST_FILMS = 100_000
"""Of both sides together; of more, random patients are taken."""
TYPICAL = 20
"""Films of each side that are picked, each of another patient."""
STEPS = 3


def check_drift(
    searcher: Searcher, a: str, b: str, *, on_step: Callable[[int, int], None] = lambda done, total: None
) -> Result:
    """Compare two sides, each named as `named_sides.side_of` reads it. Films of both sides are left out.

    `on_step` is told how many steps of how many are done. Raises as `named_sides.two_sides` does, and BadInput where a
    side has too few films.
    """
    searcher.index.refresh()
    sides = two_sides(searcher.archive, a, b)
    overlap = np.intersect1d(sides[0].ids, sides[1].ids)
    films, rows, without, sampled = _compared(searcher, np.setxor1d(sides[0].ids, sides[1].ids))
    second = np.isin(films.ids, sides[1].ids)
    for side, inside in zip(sides, (~second, second), strict=True):
        _check_size(side, films, inside)
    on_step(1, STEPS)
    permuted = permuted_sides(second, films.patients)
    test = two_sample(rows, second, films.patients, permuted)
    on_step(2, STEPS)
    weights = patient_weights(int(films.patients.max()) + 1)
    moved = moved_facts(searcher.catalog, films, second, permuted, weights, but=sides[0].facts | sides[1].facts)
    low, high = _interval(test, films, second, weights)
    changed = test.p < ALPHA
    is_alike = not changed and not any(fact.moved for fact in moved)
    return Result(
        check="drift",
        model=searcher.model,
        films=len(films.ids),
        ok=is_alike,
        conclusion=_conclusion(moved) if is_alike else "",
        figures={
            f"films in {sides[0].name}": int((~second).sum()),
            f"films in {sides[1].name}": int(second.sum()),
            "AUC": test.auc,
            "AUC from": low,
            "AUC to": high,
            "p": test.p,
            "facts that moved": sum(fact.moved for fact in moved),
        },
        rows=tuple(fact.row for fact in moved),
        picks=tuple(_typical(sides, films, second, test)) if changed else (),
        notes=_notes(sides, films, test, overlap=len(overlap), without=without, sampled=sampled),
    )


def check_sides(archive: Archive, a: str, b: str, embedded: NDArray[np.int64]) -> None:
    """Raise at once what `check_drift` would end with, where the films `embedded` (N,) have a vector."""
    sides = two_sides(archive, a, b)
    check_several(embedded)
    ids = np.intersect1d(np.setxor1d(sides[0].ids, sides[1].ids), embedded)
    films, second = known_films(archive.catalog, ids, ()), np.isin(ids, sides[1].ids)
    for side, inside in zip(sides, (~second, second), strict=True):
        _check_size(side, films, inside)


def _conclusion(facts: Sequence[MovedFact]) -> str:
    """Say what it means that nothing differs: of how many facts it could be told."""
    tested = sum(not np.isnan(fact.p) for fact in facts)
    small = f" ({len(facts) - tested:,} too small)" if tested < len(facts) else ""
    return f"No difference is shown, by vectors or in the {tested:,} facts that were tested{small}."


def _compared(searcher: Searcher, ids: NDArray[np.int64]) -> tuple[KnownFilms, NDArray[np.float32], int, bool]:
    """Return the films that have a vector, at most MOST_FILMS, and their vectors (N, D); how many films have none, and
    whether films were left out for their number."""
    vectors = centred_vectors(searcher)
    places = vectors.places(ids)
    present = ids[places >= 0]
    films = known_films(searcher.catalog, present, MORE_FACTS)
    chosen = _at_most(films.patients, MOST_FILMS)
    if not chosen.all():
        films = known_films(searcher.catalog, present[chosen], MORE_FACTS)
    return films, vectors.rows[places[places >= 0][chosen]], int((places < 0).sum()), not chosen.all()


def _interval(
    test: TwoSample, films: KnownFilms, second: NDArray[np.bool_], weights: NDArray[np.uint8]
) -> tuple[float, float]:
    """Return the ends of the 95 % interval of the AUC, by patient."""
    one_group = Cases(np.zeros(len(films.ids), np.int64), 1, films.patients)
    low, high = areas(test.scores.astype(np.float64), second, one_group, weights)[0].intervals()
    return float(low[0]), float(high[0])


def _at_most(patients: NDArray[np.int64], most: int) -> NDArray[np.bool_]:
    """Tell which films to take, (N,): those of random patients, about `most`."""
    if len(patients) <= most:
        return np.ones(len(patients), bool)
    order = np.random.default_rng(0).permutation(int(patients.max()) + 1)
    filled = np.cumsum(np.bincount(patients)[order])
    chosen = np.zeros(len(order), bool)
    chosen[order[filled <= most]] = True
    return np.asarray(chosen[patients], bool)


def _check_size(side: Side, films: KnownFilms, inside: NDArray[np.bool_]) -> None:
    patients = len(np.unique(films.patients[inside]))
    if inside.sum() < LEAST_FILMS or patients < LEAST_PATIENTS:
        raise BadInput(
            f"{counted(int(inside.sum()), 'film')} of {counted(patients, 'patient')} with a vector of this model, and "
            "not on the other side, are too few to compare",
            where=side.name,
            fix=f"{LEAST_FILMS} films of {LEAST_PATIENTS} patients are the least.",
        )


def _typical(sides: Sequence[Side], films: KnownFilms, second: NDArray[np.bool_], test: TwoSample) -> list[Pick]:
    """Return the films that the classifier takes most surely for their own side, each of another patient."""
    place = np.argsort(np.argsort(test.scores)) / max(1, len(test.scores) - 1)
    picks = []
    for number, (side, inside, order) in enumerate(
        zip(sides, (~second, second), (np.argsort(test.scores), np.argsort(-test.scores)), strict=True), 1
    ):
        order = order[inside[order]]
        first = np.sort(np.unique(films.patients[order], return_index=True)[1])[:TYPICAL]
        picks += [
            Pick(int(films.ids[at]), "most typical of its side", number, {"side": side.name, "place": float(place[at])})
            for at in order[first]
        ]
    return picks


def _notes(
    sides: Sequence[Side], films: KnownFilms, test: TwoSample, *, overlap: int, without: int, sampled: bool
) -> tuple[str, ...]:
    verb = "can be" if test.p < ALPHA else "could not be"
    notes = [
        f"Films of the two sides {verb} told apart by their vectors. AUC is of films of patients that the classifier "
        f"has not seen, .5 is chance; p is of {PERMUTATIONS} permutations of patients.",
        f"A is {sides[0].name}, B is {sides[1].name}. A fact moved where p is under .05 after Holm over all of them.",
    ]
    if overlap:
        notes.append(f"{counted(overlap, 'film')} on both sides: left out.")
    if without:
        notes.append(f"{counted(without, 'film')} without a vector of this model: left out.")
    if sampled:
        notes.append(f"Only the films of random patients were compared, {len(films.ids):,} of both sides.")
    if films.alone:
        notes.append(f"{counted(films.alone, 'film')} without a patient key: each counts as a patient.")
    return tuple(notes)
