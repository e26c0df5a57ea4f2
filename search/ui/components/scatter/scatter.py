"""Show the map of films as points that are coloured, looked at and drawn around."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
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
    not-a-number where it has none."""

    values: NDArray[np.float32]
    kinds: tuple[str, ...] = ()
    unit: str = ""

    @classmethod
    def of_kinds(cls, kinds: Sequence[str | None]) -> Colours:
        """Return the most frequent kinds by name, then what they are not, then what has none."""
        count = Counter(kind for kind in kinds if kind is not None)
        frequent = [kind for kind, _ in count.most_common(KINDS)]
        left = [OTHER] * (len(count) > len(frequent)) + [UNKNOWN] * (None in kinds)
        places = {kind: at for at, kind in enumerate([*frequent, *left])}
        values = [places[UNKNOWN] if kind is None else places.get(kind, len(frequent)) for kind in kinds]
        return cls(np.array(values, np.float32), (*frequent, *left))


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
    counts = np.bincount(colours.values.astype(np.int64), minlength=len(colours.kinds)).tolist()
    return [
        {"name": kind, "count": count, "plain": kind in (OTHER, UNKNOWN)}
        for kind, count in zip(colours.kinds, counts, strict=True)
    ]


def _read(region: object, opened: object, ids: NDArray[np.int64]) -> MapAct:
    """Read what the browser sent; anything else than films of this map is nothing."""
    known = set(ids.tolist())
    chosen = None
    if isinstance(region, list):
        chosen = tuple(dict.fromkeys(film_id for film_id in region if isinstance(film_id, int) and film_id in known))
    return MapAct(opened if isinstance(opened, int) and opened in known else None, chosen)
