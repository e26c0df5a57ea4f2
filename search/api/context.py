"""Hold what every route needs: the archive, the models that answer, who is let in, and the limits."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from fastapi import Depends, Request
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.reads import films, spaces
from filmroom.db.records import Film
from filmroom.indexer.decoding.workers import usable_cpus
from filmroom.search.searcher import Searcher
from pydantic import Field

FilmId = Annotated[int, Field(ge=1, lt=2**63)]
ModelName = Annotated[str | None, Field(max_length=200, description="A model of the archive; default: the one in use.")]


@dataclass(frozen=True)
class Limits:
    """What one request may ask for: bytes of its body, seconds, films of an answer, texts or pictures of a batch; and
    requests under way at once and the bytes of their bodies, beyond which others are told to come again.

    `working` requests have a thread at a time; others wait for one. It is less than the threads of the server, so that
    the pages and /health answer whatever these do."""

    body: int = 64 << 20
    seconds: float = 60.0
    films: int = 10_000
    batch: int = 64
    texts: int = 256
    at_once: int = 256
    bodies: int = 1 << 30
    working: int = 32


@dataclass
class Context:
    """`searcher` opens one by the name of a model, None for the one in use; `admits` says whether a request without a
    token is let in, by its ASGI scope: where the page itself would be open to it; `names_folders`, whether it may then
    name folders of this machine, which is more than to look at films."""

    folder: Path
    archive: Callable[[], Archive]
    searcher: Callable[[str | None], Searcher]
    admits: Callable[[Any], bool]
    names_folders: Callable[[], bool] = lambda: True
    limits: Limits = field(default_factory=Limits)
    queries: Callable[[], None] = lambda: None

    def __post_init__(self) -> None:
        self.decoding = threading.BoundedSemaphore(max(1, usable_cpus()))

    def open(self, model: str | None) -> Searcher:
        """Return the searcher of a model that the archive holds vectors of: no other name is looked for on disks and
        hubs."""
        if model is not None:
            self.check_model(model)
        return self.searcher(model)

    def check_model(self, model: str) -> None:
        """Raise NotFound for a model that the archive holds no vectors of."""
        indexed = [space for space in spaces.spaces(self.archive().catalog) if space.films]
        models = list(dict.fromkeys(space.space.model for space in indexed))
        if model not in models:
            names = ", ".join(models) or "none"
            raise NotFound("no film of this archive is indexed with this model", where=model, fix=f"It has: {names}.")

    def film(self, film_id: int) -> Film:
        """Raise NotFound."""
        return films.get(self.archive().catalog, film_id)

    def check_films(self, ids: list[int]) -> None:
        """Raise NotFound for an id that no film has."""
        distinct = list(dict.fromkeys(ids))
        known = {film.id for film in films.films(self.archive().catalog, distinct)}
        for film_id in distinct:
            if film_id not in known:
                raise NotFound("no film has this id", where=film_id, fix="A search shows the ids of films.")


def context_of(request: Request) -> Context:
    context: Context = request.app.state.context
    return context


Here = Annotated[Context, Depends(context_of)]
