"""Select the films of an export: those that a search request answers, a collection, or the whole archive, in order."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.reads import films
from filmroom.db.records import Filter
from filmroom.db.writes.annotations import collected
from filmroom.search.query.parser import parse_whole
from filmroom.search.request import SearchRequest
from filmroom.search.results import Hit, Ranking

if TYPE_CHECKING:
    from filmroom.search.searcher import Searcher


@dataclass(frozen=True)
class Chosen:
    """How films are chosen: by a request, of which the `best` or all that pass; by a collection; or, without both, all
    films of the archive."""

    request: SearchRequest | None = None
    collection: str | None = None
    best: int | None = None

    def to_json(self) -> dict[str, Any]:
        """Say it in plain values; `k` and `offset` of the request play no part in an export."""
        request = None if self.request is None else json.loads(self.request.to_json())
        if request is not None:
            request = {name: value for name, value in request.items() if name not in ("k", "offset")}
        return {"request": request, "collection": self.collection, "best": self.best}


def chosen_by(
    request: SearchRequest, *, collection: str | None = None, everything: bool = False, best: int | None = None
) -> Chosen:
    """Say which films. Raises BadInput unless it is exactly one of a request, a collection and everything, and for a
    query of which a sign is passed over."""
    parse_whole(request.query)
    if sum((request != SearchRequest(), collection is not None, everything)) != 1:
        raise BadInput(
            "say which films: a query, a collection or all, and only one of them",
            fix='For example: filmroom export table "effusion view:PA" --to films.csv',
        )
    return Chosen(None if request == SearchRequest() else request, collection, best)


@dataclass(frozen=True)
class Selection:
    """The films of an export in order, as they were when it began. `model` and `fingerprint` are those that ranked
    them, None where none did."""

    chosen: Chosen
    ranking: Ranking
    model: str | None = None
    fingerprint: str | None = None

    def __len__(self) -> int:
        return int(self.ranking.ids.size)


def select(archive: Archive, chosen: Chosen, searcher: Callable[[], Searcher]) -> Selection:
    """Rank or list the films. `searcher` is opened for a request alone.

    Raises BadInput where no film is chosen, NotFound for a collection that is not there, and what a search raises.
    """
    if chosen.best is not None and chosen.best < 1:
        raise BadInput("not a number of films", where=chosen.best, fix="Choose one or more of the best.")
    if chosen.request is not None:
        opened = searcher()
        ranking = opened.ranking(chosen.request, best=chosen.best)
        selection = Selection(chosen, ranking, opened.model, opened.held.space.fingerprint)
    else:
        if chosen.collection is None:
            ids = films.select_ids(archive.catalog, Filter())
        else:
            present = set(films.select_ids(archive.catalog, Filter()).tolist())
            members = collected(archive.catalog, chosen.collection)
            ids = np.array([film_id for film_id in members if film_id in present], np.int64)
        ids = ids[: chosen.best]
        empty = np.full(ids.size, np.nan)
        selection = Selection(chosen, Ranking(ids, empty, empty))
    if not len(selection):
        raise BadInput("no film is chosen", fix="Loosen the filter; `filmroom search` shows what passes.")
    return selection


def hits(archive: Archive, ranking: Ranking, start: int, stop: int) -> list[Hit | None]:
    """Read the films at the places `start` to `stop` of a ranking; None where one has left the archive since."""
    ids = ranking.ids[start:stop].tolist()
    known = {film.id: film for film in films.films(archive.catalog, ids)}
    scores = _numbers(ranking.scores[start:stop].tolist())
    percentiles = _numbers(ranking.percentiles[start:stop].tolist())
    return [
        Hit(start + at + 1, known[film_id], scores[at], percentiles[at]) if film_id in known else None
        for at, film_id in enumerate(ids)
    ]


def _numbers(values: Sequence[float]) -> list[float | None]:
    return [None if value != value else value for value in values]
