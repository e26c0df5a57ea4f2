"""Make phrases that teach the text tower: generated from the lexicon, each with what it means."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

from filmroom.indexer.radiology.captions import Claim, phrase
from filmroom.indexer.radiology.lexicon import TERMS
from filmroom.indexer.radiology.qualifiers import PLACES, SEVERITIES, SIDES

Meaning = dict[str, float]


@dataclass(frozen=True)
class Phrase:
    """A text and the weight of each idea in it; negative where the idea is denied."""

    text: str
    meaning: Meaning


def meaning(claim: Claim) -> Meaning:
    """Return weights of ideas; `effusion@left` binds a side, a size or a place to its finding."""
    term = TERMS[claim.idea]
    sign = -0.8 if claim.absent else 1.0
    weights = {claim.idea: sign}
    for key, weight in term.meaning.items():
        weights[key.replace("%", " ")] = sign * weight
    for value, share in ((claim.side, 0.8), (claim.severity, 0.55), (claim.place, 0.6)):
        if value:
            weights[value] = weights.get(value, 0.0) + sign * share * 0.5
            weights[f"{claim.idea}@{value}"] = sign * share
    if claim.absent:
        weights["absent"] = 0.5
    return weights


def random_claim(rng: random.Random, idea: str | None = None) -> Claim:
    """Return a claim with side, size and place where the idea can have them."""
    idea = idea or rng.choice(tuple(TERMS))
    term = TERMS[idea]
    return Claim(
        idea,
        side=rng.choice(tuple(SIDES)) if term.sided and rng.random() < 0.4 else None,
        severity=rng.choice(tuple(SEVERITIES)) if term.graded and rng.random() < 0.35 else None,
        place=rng.choice(tuple(PLACES)) if term.placed and rng.random() < 0.3 else None,
        absent=idea != "no finding" and rng.random() < 0.12,
    )


def phrases(count: int, rng: random.Random) -> Iterator[Phrase]:
    """Yield `count` phrases: every idea equally often, one in eight says two things, one in twenty is mistyped."""
    ideas = tuple(TERMS)
    for number in range(count):
        claim = random_claim(rng, ideas[number % len(ideas)])
        text, weights = phrase(claim, rng), meaning(claim)
        if rng.random() < 0.12:
            other = random_claim(rng)
            text = f"{text}{rng.choice((' and ', ', ', ' with ', '. '))}{phrase(other, rng, carrier=0.0)}"
            weights = add(weights, meaning(other))
        yield Phrase(mistyped(text, rng) if rng.random() < 0.05 else text, weights)


def add(meaning: Meaning, other: Meaning) -> Meaning:
    return {key: meaning.get(key, 0.0) + other.get(key, 0.0) for key in {**meaning, **other}}


def mistyped(text: str, rng: random.Random) -> str:
    """Swap two neighbouring letters, or leave one out."""
    if len(text) < 6:
        return text
    at = rng.randrange(1, len(text) - 2)
    return text[:at] + text[at + 1] + text[at] + text[at + 2 :] if rng.random() < 0.5 else text[:at] + text[at + 1 :]
