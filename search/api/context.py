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
from filmroom.db.writes import tokens
from filmroom.db.writes.tokens import Scope
from filmroom.indexer.decoding.workers import usable_cpus
from filmroom.search.api.problems import Refused
from filmroom.search.searcher import Searcher
from pydantic import Field

FilmId = Annotated[int, Field(ge=1, lt=2**63)]
_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="filmroom"'}


@dataclass(frozen=True)
class Limits:
    """What one request may ask for: bytes of its body, seconds, films of an answer, texts or pictures of a batch; and
    requests under way at once, of which others are told to come again."""

    body: int = 64 << 20
    seconds: float = 60.0
    films: int = 10_000
    batch: int = 64
    texts: int = 256
    at_once: int = 256


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
        """The searcher of a model that the archive holds vectors of: no other name is looked for on disks and hubs."""
        if model is not None:
            held = list(dict.fromkeys(one.space.model for one in spaces.spaces(self.archive().catalog) if one.films))
            if model not in held:
                have = ", ".join(held) or "none"
                raise NotFound(
                    "no film of this archive is indexed with this model", where=model, fix=f"It has: {have}."
                )
        return self.searcher(model)

    def film(self, film_id: int) -> Film:
        """Raises NotFound."""
        return films.get(self.archive().catalog, film_id)

    def check_films(self, ids: list[int]) -> None:
        """Raises NotFound for an id that no film has."""
        wanted = list(dict.fromkeys(ids))
        found = {film.id for film in films.films(self.archive().catalog, wanted)}
        for one in wanted:
            if one not in found:
                raise NotFound("no film has this id", where=one, fix="A search shows the ids of films.")


def context_of(request: Request) -> Context:
    found: Context = request.app.state.context
    return found


Here = Annotated[Context, Depends(context_of)]


def caller(request: Request, context: Here) -> Scope:
    """Let a request in, and say what it may do. Raises Refused.

    A token decides where one is given. Without one a browser's request must come from a page of ours: another site's
    page may send requests here, too.
    """
    given = request.headers.get("authorization")
    if given is not None:
        kind, _, secret = given.partition(" ")
        known = tokens.recognise(context.archive().catalog, secret.strip()) if kind.lower() == "bearer" else None
        if known is None:
            raise Refused(401, "the token is not known or was revoked", fix="Ask for another one.", headers=_CHALLENGE)
        return known.scope
    if _from_elsewhere(request):
        raise Refused(403, "a page of another site may not ask here", fix="Send a token.")
    if not context.admits(request.scope):
        raise Refused(401, "a token is needed", fix="Make one: filmroom token add NAME", headers=_CHALLENGE)
    return Scope.WRITE


def reader(scope: Annotated[Scope, Depends(caller)]) -> Scope:
    """Every token may ask."""
    return scope


def writer(scope: Annotated[Scope, Depends(caller)]) -> Scope:
    """Raises Refused for a token that may only ask."""
    if scope is not Scope.WRITE:
        raise Refused(403, "this token may not change the archive", fix="Use one of the scope write.")
    return scope


def owner(request: Request, context: Here, scope: Annotated[Scope, Depends(writer)]) -> Scope:
    """Raises Refused for a request of which nobody knows who sends it."""
    if request.headers.get("authorization") is None and not context.names_folders():
        raise Refused(
            403, "folders of this machine need a token", fix="Make one: filmroom token add NAME --scope write"
        )
    return scope


MayRead, MayWrite, MayNameFolders = Depends(reader), Depends(writer), Depends(owner)


def _from_elsewhere(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")
