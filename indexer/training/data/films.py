"""Define what is trained on: films with what is known of them, and statements with the films they are true of."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import numpy as np
from filmroom.indexer.radiology.captions import Claim, Facts, phrase, truth
from filmroom.indexer.radiology.vocabulary import VIEWS
from numpy.typing import NDArray

Truth = NDArray[np.float32]
# Nobody writes "no male patient", and "no no abnormality" lies beside what it denies.
_NEVER_DENIED = frozenset({"no finding", "male", "female", "child", "elderly", *VIEWS})


@dataclass(frozen=True)
class TrainingFilm:
    """One film. `read` gives its presentation pixels (H, W) uint8, not padded; films of a `patient` stay together.

    `facts` come from labels, `sentences` from a report; either may be empty. `group` says where it comes from,
    `weight` how much it counts beside films of other groups. Without `patient_known` the patient stands for a study or
    for the film alone.
    """

    key: str
    patient: str
    read: Callable[[], NDArray[np.uint8]]
    facts: Facts = field(default_factory=Facts)
    sentences: tuple[str, ...] = ()
    group: str = ""
    weight: float = 1.0
    patient_known: bool = True


@dataclass(frozen=True)
class Statement:
    """Something that is true of some films, said in several ways. `claim` is None for a report's own sentence."""

    texts: tuple[str, ...]
    claim: Claim | None = None


def statements_of(films: Sequence[TrainingFilm], *, ways: int, seed: int) -> list[Statement]:
    """Return every claim that some film supports and some film denies, each said in `ways` ways, then the report
    sentences.

    Sides, sizes and places are asked where films tell them apart.
    """
    rng = random.Random(seed)
    known = {claim for film in films for claim in film.facts.present}
    plain = {Claim(c.idea) for c in known} | {Claim(i) for film in films for i in film.facts.absent}
    finer = {Claim(c.idea, side=c.side) for c in known if c.side}
    finer |= {Claim(c.idea, severity=c.severity) for c in known if c.severity}
    finer |= {Claim(c.idea, place=c.place) for c in known if c.place}
    finer |= {Claim(c.idea, side=c.side, severity=c.severity) for c in known if c.side and c.severity}
    denied = {Claim(c.idea, absent=True) for c in plain if c.idea not in _NEVER_DENIED}
    order = sorted(plain | finer | denied, key=repr)
    drawn = []
    for claim in order:
        answers = [truth(claim, film.facts) for film in films]
        yes, no = answers.count(True), answers.count(False)
        if (yes >= 2 and no >= 2) or (not claim.absent and claim in plain and no >= 20):
            drawn.append(Statement(tuple({phrase(claim, rng): None for _ in range(ways)}), claim))
    return drawn + sentences(films)


def sentences(films: Sequence[TrainingFilm]) -> list[Statement]:
    """Return the sentences of the films' reports, each once whatever its capitals and spaces."""
    return [Statement((text,)) for text in {_plain(text): text for film in films for text in film.sentences}.values()]


def _plain(sentence: str) -> str:
    return " ".join(sentence.lower().split())


def truths(
    films: Sequence[TrainingFilm], statements: Sequence[Statement], likeness: NDArray[np.float32] | None
) -> Truth:
    """Return (films, statements): 1 true, 0 false, NaN unknown - neither a positive nor a negative.

    `likeness` (M, M) are cosines between the report sentences, in their order among `said`: a sentence that means about
    what one of the film's own says is not held against it. Of a film whose own sentences are not among them nothing is
    known.
    """
    table = np.full((len(films), len(statements)), np.nan, np.float32)
    first = next((n for n, s in enumerate(statements) if s.claim is None), len(statements))
    places = {_plain(s.texts[0]): n for n, s in enumerate(statements[first:])}
    for row, film in zip(table, films, strict=True):
        for column, statement in enumerate(statements[:first]):
            answer = truth(statement.claim, film.facts) if statement.claim else None
            if answer is not None:
                row[column] = float(answer)
        sentence_rows = [places[plain] for plain in map(_plain, film.sentences) if plain in places]
        if sentence_rows and likeness is not None:
            alike = likeness[sentence_rows].max(axis=0)
            row[first:] = np.where(alike > 0.7, np.nan, 0.0)
            row[np.array(sentence_rows) + first] = 1.0
    return table


def balance(table: Truth, films: Sequence[TrainingFilm], statements: Sequence[Statement]) -> NDArray[np.float32]:
    """Return (films, statements) weights: within a group, yes and no of a statement weigh the same in all, rare
    statements less, unknown 0. So that where a film comes from never tells what it shows.

    The films that deny a side, size or place count half for the finding with another one, and half for no such finding:
    the second are many and easy, and would leave a large effusion the best answer to "small effusion".
    """
    weights = np.zeros_like(table)
    groups = [film.group for film in films]
    columns = {statement.claim: n for n, statement in enumerate(statements) if statement.claim}
    bare = [columns.get(Claim(s.claim.idea)) if s.claim and not s.claim.absent else None for s in statements]
    for group in sorted(set(groups)):
        rows = np.array([g == group for g in groups])
        for column, finding in enumerate(bare):
            yes, no = rows & (table[:, column] == 1), rows & (table[:, column] == 0)
            count = int(yes.sum())
            size = (min(max(count, 4), 60) / 60) ** 0.5
            if count:
                weights[yes, column] = 0.5 * size / count
            other = no & (table[:, finding] == 1) if finding is not None else np.zeros_like(no)
            kinds = [kind for kind in (other, no & ~other) if kind.any()]
            for kind in kinds:
                weights[kind, column] = (0.5 if count else 0.15) * size / len(kinds) / int(kind.sum())
    counted = np.array([film.weight for film in films], np.float32)
    return weights * counted[:, None] * np.float32(len(table))


def split(films: Sequence[TrainingFilm], *, share: float, seed: int) -> tuple[list[int], list[int]]:
    """Return row numbers for training and for validation, no patient in both."""
    patients = sorted({film.patient for film in films})
    random.Random(seed).shuffle(patients)
    validation = set(patients[: max(1, round(share * len(patients)))]) if share > 0 else set()
    training = [n for n, film in enumerate(films) if film.patient not in validation]
    return training, [n for n, film in enumerate(films) if film.patient in validation]


def patients_apart(films: Sequence[TrainingFilm]) -> str:
    """Say whether training and held-out films are of different patients, as far as that is known."""
    unknown = sum(not film.patient_known for film in films)
    if not unknown:
        return "no patient in both"
    share = "every film" if unknown == len(films) else f"{unknown} of {len(films)} films"
    return f"patients unknown for {share}, so that films of one patient may be in both"
