"""Show the map of films as points that are coloured, looked at and drawn around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import streamlit as st
from filmroom.search.ui import media
from numpy.typing import NDArray

HERE = Path(__file__).parent
_PICKS = HERE.parent / "grid" / "picks.js"

KINDS = 9
"""Colours that can be told apart; the rest is "other"."""
OTHER, UNKNOWN = "other", "none"

_component = st.components.v2.component(
    "filmroom.scatter",
    html=(HERE / "scatter.html").read_text("utf-8"),
    css=(HERE / "scatter.css").read_text("utf-8"),
    js="\n".join(path.read_text("utf-8") for path in (_PICKS, HERE / "points.js", HERE / "scatter.js")),
)


@dataclass(frozen=True)
class Colours:
    """A value a film (N,): the place of its kind among `kinds`, or, where there are none, a number of `unit`;
    not-a-number where it has none. Where a film may be of several kinds, `having` counts the films of each."""

    values: NDArray[np.float32]
    kinds: tuple[str, ...] = ()
    unit: str = ""
    having: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def of_kinds(cls, kinds: Sequence[str | None], having: Mapping[str, int] | None = None) -> Colours:
        """Return the most frequent kinds by name, then what they are not, then what has none. How frequent they are
        says `having` where a film may be of several kinds, of which `kinds` has one."""
        count = Counter(kind for kind in kinds if kind is not None) if having is None else Counter(having)
        frequent = [kind for kind, _ in count.most_common(KINDS)]
        left = [OTHER] * bool({*kinds} - {*frequent, None}) + [UNKNOWN] * (None in kinds)
        places = {kind: at for at, kind in enumerate([*frequent, *left])}
        values = [places[UNKNOWN] if kind is None else places.get(kind, len(frequent)) for kind in kinds]
        return cls(np.array(values, np.float32), (*frequent, *left), having=having or {})

    def counts(self) -> dict[str, tuple[int, int]]:
        """Return by kind how many films have its colour, and how many are of it."""
        counts = np.bincount(self.values.astype(np.int64), minlength=len(self.kinds)) if self.kinds else ()
        return {kind: (int(n), self.having.get(kind, int(n))) for kind, n in zip(self.kinds, counts, strict=True)}


@dataclass(frozen=True)
class MapAct:
    """What a reader did: opened a film, or selected these, in the order of the map."""

    opened: int | None = None
    region: tuple[int, ...] | None = None


def scatter(
    ids: NDArray[np.int64], places: NDArray[np.float32], colours: Colours, *, key: str, title: str, picks: str
) -> MapAct:
    """Show films (N,) at places (N, 2) in [-1, 1]. `picks` names the set of picked films, which the browser keeps."""
    parts = (ids.astype("<f8"), places[:, 0].astype("<f4"), places[:, 1].astype("<f4"), colours.values.astype("<f4"))
    raw = b"".join(np.ascontiguousarray(part).tobytes() for part in parts)
    known = colours.values[~np.isnan(colours.values)]
    data: dict[str, Any] = {
        "points": media.url(raw, "application/octet-stream", slot=f"{key}-points"),
        "count": len(ids),
        "title": title,
        "picks": f"filmroom-picks-{picks}",
        "thumbnails": media.base() + "/api/v1/films/ID/thumbnail",
        "kinds": _legend(colours) if colours.kinds else None,
        "low": float(known.min(initial=np.inf)) if known.size else 0.0,
        "high": float(known.max(initial=-np.inf)) if known.size else 1.0,
        "unit": colours.unit,
    }
    result = _component(key=key, data=data, on_region_change=lambda: None, on_open_change=lambda: None)
    return _read(result.region, result.open, ids)


def _legend(colours: Colours) -> list[dict[str, Any]]:
    return [
        {"name": kind, "count": count, "having": having, "plain": kind in (OTHER, UNKNOWN)}
        for kind, (count, having) in colours.counts().items()
    ]


def _read(region: object, opened: object, ids: NDArray[np.int64]) -> MapAct:
    """Read what the browser sent; anything else than films of this map is nothing."""
    known = set(ids.tolist())
    chosen = None
    if isinstance(region, list):
        chosen = tuple(dict.fromkeys(film_id for film_id in region if isinstance(film_id, int) and film_id in known))
    return MapAct(opened if isinstance(opened, int) and opened in known else None, chosen)
