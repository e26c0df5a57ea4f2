"""Draw synthetic films for training: everything about them is known, side, size and place too."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from filmroom.indexer.phantom import Kind, describe, render, sample
from filmroom.indexer.radiology.captions import Claim, Facts
from filmroom.indexer.radiology.vocabulary import PARENTS, VIEWS, finding_of, view_finding
from filmroom.indexer.training.data.films import TrainingFilm
from numpy.typing import NDArray

_PLACES = {
    "upper lobe": "upper", "apical": "upper", "middle lobe": "middle", "lower lobe": "lower", "basal": "lower",
    "perihilar": "perihilar", "peripheral": "peripheral", "retrocardiac": "retrocardiac", "diffuse": "diffuse",
}  # fmt: skip
_HINTS = {
    "ground-glass": ("opacity",), "consolidation": ("opacity",), "pacemaker": ("device",), "tube": ("device",),
    "nasogastric": ("device",), "line": ("device",), "chest tube": ("device",),
}  # fmt: skip
# A phantom shows a pattern, never its cause: whether it is a pneumonia, nobody can say.
_PATTERNS = {"viral pneumonia": "ground-glass"}
_LYING_OR_NOT = {"view AP SUPINE", "view AP ERECT"}
_MAY_BE_OPACITY = frozenset({"mass", "nodule", "edema", "atelectasis"})


def phantom_film(seed: int, *, size: int = 320) -> TrainingFilm:
    """Return the film of one seed."""
    phantom = sample(seed)
    claims: list[Claim] = []
    for finding in describe(phantom):
        idea = finding_of(finding.label)
        idea = _PATTERNS.get(idea, idea)
        side = finding.side if finding.side in ("left", "right", "bilateral") else None
        claims.append(Claim(idea, side, finding.severity or None, _PLACES.get(finding.place)))
        claims += [Claim(hint, side) for hint in _HINTS.get(idea, ())]
    seen = {claim.idea for claim in claims}
    looked = {_PATTERNS.get(idea, idea) for idea in (finding_of(kind.value) for kind in Kind)} | {
        "device",
        "no finding",
    }
    if not seen:
        seen.add("no finding")
        claims.append(Claim("no finding"))
    if not seen & _MAY_BE_OPACITY:
        looked.add("opacity")
    # How a phantom is drawn lying is not how a patient lies: of an AP film it says no more than that.
    view = view_finding("AP" if phantom.view.value.startswith("AP") else phantom.view.value)
    shot = {view, *PARENTS.get(view, ())} if view else set()
    other = set() if view is None else set(VIEWS) - shot - (_LYING_OR_NOT if view == "view AP" else set())
    claims += [Claim(idea) for idea in sorted(shot)]
    sex = ("male", "female") if phantom.body.sex.value == "M" else ("female", "male")
    absent = frozenset((looked - seen) | other | {sex[1]})
    return TrainingFilm(
        key=f"phantom-{seed}", patient=f"phantom-{phantom.body.seed}", read=_reader(seed, size),
        facts=Facts((*claims, Claim(sex[0])), absent), group="phantom", weight=0.6,
    )  # fmt: skip


def _reader(seed: int, size: int) -> Callable[[], NDArray[np.uint8]]:
    def read() -> NDArray[np.uint8]:
        return (render(sample(seed), size) * 255 + 0.5).astype(np.uint8)

    return read
