"""List the films whose picture contradicts how it is shown or what is known of it. Doubts for a person to look at."""

from __future__ import annotations

from collections.abc import Callable

from filmroom.db.archive import Archive
from filmroom.db.reads.film_table import film_columns
from filmroom.db.reads.filters import LATERALS
from filmroom.search.checks.result import Pick, Value
from filmroom.search.checks.thumbnails.film_probe import FILM_PROBE, LIES, looks
from filmroom.search.checks.thumbnails.measures import measured

MIRRORED, TURNED = "mirrored by its picture", "turned by its picture"
NO_CHEST = "no frontal chest film by its picture"
NOT_LATERAL = "lateral by its facts, frontal by its picture"
LINES = (TURNED, MIRRORED, NOT_LATERAL, NO_CHEST)
"""Every reason, in the order in which they are told."""

LEAST_ODDS = 2.0
"""From which a film is said to lie wrong; this and the next two were chosen on films that nothing was trained on."""
NO_FRONTAL = 2.0
"""Logit under which a film is said to be no frontal chest film."""
SURE_FRONTAL = 6.0
"""Logit from which a lateral film is said to be frontal."""


def contradictions(
    archive: Archive, *, on_films: Callable[[int, int], None] = lambda done, total: None
) -> tuple[list[Pick], int]:
    """Look at the pictures of all present films: those that contradict, the surest of each reason first, and how many
    films were looked at. Films of another part of the body than the chest, by their facts, are left out."""
    columns = film_columns(archive.catalog, ["view", "body_part"])
    facts = {
        film: view
        for film, view, part in zip(columns["id"], columns["view"], columns["body_part"], strict=True)
        if part is None or "CHEST" in part
    }
    scores = measured(archive, list(facts), FILM_PROBE, on_films=on_films)
    seen = looks(scores)
    picks: list[tuple[float, Pick]] = []
    for film, turn, odds, frontal in zip(
        scores.ids.tolist(), seen.turn.tolist(), seen.odds.tolist(), seen.frontal.tolist(), strict=True
    ):
        view = facts[film]
        lateral = view in LATERALS["LATERAL"]
        if lateral and frontal >= SURE_FRONTAL:
            picks.append((frontal, _pick(film, NOT_LATERAL, view, "frontal", frontal)))
        elif not lateral and frontal < NO_FRONTAL:
            picks.append((-frontal, _pick(film, NO_CHEST, view, "no frontal chest film", frontal)))
        elif not lateral and turn and odds >= LEAST_ODDS:
            picks.append((odds, _pick(film, MIRRORED if LIES[turn] == "mirrored" else TURNED, view, LIES[turn], odds)))
    order = sorted(picks, key=lambda pick: (LINES.index(pick[1].why), -pick[0], pick[1].film))
    return [pick for _, pick in order], len(scores.ids)


def evidence(view: str | None, seems: str | None = None, score: float | None = None) -> dict[str, Value]:
    """Say what is known of a film's view, what its picture seems to be, and by which logit or logarithm of odds."""
    return {"view": view, "seems": seems, "score": score}


def _pick(film: int, reason: str, view: str | None, seems: str, score: float) -> Pick:
    return Pick(film, reason, evidence=evidence(view, seems, round(score, 2)))
