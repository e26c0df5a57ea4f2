"""Put a film's labels into a radiologist's words, and tell whether a phrase is true of a film.

A `Claim` is one statement ("small left pleural effusion", "no pneumothorax"). `Facts` is what is known of a film.
`truth` keeps three answers apart: yes, no, and nobody knows - the last is neither a positive nor a negative, so that
training has no false negatives.
"""

from __future__ import annotations

import random
from collections.abc import Iterable
from dataclasses import dataclass, replace

from filmroom.indexer.radiology.lexicon import TERMS, term_of
from filmroom.indexer.radiology.qualifiers import ABSENT, CARRIERS, PLACE_TAILS, PLACES, SEVERITIES, SIDE_TAILS, SIDES
from filmroom.indexer.radiology.vocabulary import NORMAL, PARENTS, VIEWS, finding_of, view_finding


@dataclass(frozen=True)
class Claim:
    """One statement about a film: an idea of the lexicon, and what is said of it."""

    idea: str
    side: str | None = None
    severity: str | None = None
    place: str | None = None
    absent: bool = False


@dataclass(frozen=True)
class Facts:
    """What is known of a film: claims that hold, and ideas that certainly do not. Of all else nothing is known."""

    present: tuple[Claim, ...] = ()
    absent: frozenset[str] = frozenset()


def facts(labels: Iterable[str], *, view: str | None = None, vocabulary: Iterable[str] = ()) -> Facts:
    """Read the facts of a labelled film.

    `vocabulary` is what the film was looked at for: an idea of it that is not among the labels is absent. Labels
    imply their parents (covid-19 is a viral pneumonia). A film with no findings lacks every finding; of tubes and
    other devices that says nothing.
    """
    ideas = [idea for idea in map(finding_of, labels) if idea]
    seen = {parent for idea in ideas for parent in (idea, *PARENTS.get(idea, ()))}
    looked = {idea for idea in map(finding_of, vocabulary) if idea}
    absent = looked - seen
    if NORMAL in seen:
        absent |= {
            idea
            for idea, term in TERMS.items()
            if (term.sided or term.placed or "pneumonia" in term.meaning) and "device" not in term.meaning
        }
        absent |= {"ards", "edema", "effusion", "cardiomegaly", "interstitial"}
    elif seen:
        absent.add(NORMAL)
    shot = view_finding(view)
    if shot:
        seen |= {shot, *PARENTS.get(shot, ())}
        rest = set(VIEWS) - seen
        if shot == "view AP":
            rest -= {"view AP SUPINE", "view AP ERECT"}
        absent |= rest
    absent -= seen
    return Facts(present=tuple(Claim(idea) for idea in sorted(seen)), absent=frozenset(absent))


def truth(claim: Claim, about: Facts) -> bool | None:
    """Tell whether the claim holds of the film; None where that is not known."""
    if claim.absent:
        plain = truth(replace(claim, absent=False), about)
        return None if plain is None else not plain
    if claim.idea in about.absent:
        return False
    answers = [_matches(claim, known) for known in about.present if known.idea == claim.idea]
    if True in answers:
        return True
    return None if not answers or None in answers else False


def _matches(claim: Claim, known: Claim) -> bool | None:
    answer: bool | None = True
    for claimed, known_part in ((claim.side, known.side), (claim.severity, known.severity), (claim.place, known.place)):
        if claimed is None or claimed == known_part:
            continue
        if known_part is None:
            answer = None
        else:
            return False
    return answer


def phrase(claim: Claim, rng: random.Random, *, carrier: float = 0.25) -> str:
    """Draw one way to say it at random: name, order of the words and sentence around it differ."""
    term = term_of(claim.idea)
    described = bool(term.signs) and rng.random() < 0.35
    name = rng.choice(term.signs if described else term.names)
    tails = []
    if claim.place:
        if described or rng.random() < 0.4:
            tails.append(rng.choice(PLACE_TAILS[claim.place]))
        else:
            name = f"{rng.choice(PLACES[claim.place])} {name}"
    if claim.side:
        if described or rng.random() < 0.35:
            tails.append(rng.choice(SIDE_TAILS[claim.side]))
        else:
            name = f"{rng.choice(SIDES[claim.side])} {name}"
    if claim.severity:
        word = rng.choice(SEVERITIES[claim.severity])
        name = f"{name}, {word}" if described else f"{word} {name}"
    wording = " ".join((name, *tails))
    if claim.absent:
        return rng.choice(ABSENT).format(wording)
    return rng.choice(CARRIERS).format(wording) if rng.random() < carrier else wording
