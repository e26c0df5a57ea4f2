"""Look who asks before anything of a request is read: nobody unknown fills memory or disk."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated

from anyio import to_thread
from fastapi import Depends, Request
from filmroom.db.errors import FilmroomError
from filmroom.db.writes import tokens
from filmroom.db.writes.tokens import Scope as Right
from filmroom.search.api.problems import Refused, problem, status_of

if TYPE_CHECKING:
    from filmroom.search.api.context import Context
    from starlette.types import ASGIApp, Receive, Scope, Send

_CHALLENGE = {"WWW-Authenticate": 'Bearer realm="filmroom"'}


@dataclass(frozen=True)
class Caller:
    """Who asks: what they may do, and whether they may name folders of the serving machine."""

    right: Right
    folders: bool


class Admission:
    """Every address but the open ones is for those whom `caller` knows; the routes find them in the request's state."""

    def __init__(self, app: ASGIApp, *, context: Context, opened: frozenset[str]) -> None:
        self.app = app
        self._context = context
        self._opened = opened

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] not in self._opened:
            try:
                known = await to_thread.run_sync(caller, Request(scope), self._context)
            except Refused as refused:
                answer = problem(refused.status, refused.what, fix=refused.fix, headers=refused.headers)
                return await answer(scope, receive, send)
            except FilmroomError as error:
                answer = problem(status_of(error), error.what, where=error.where, fix=error.fix)
                return await answer(scope, receive, send)
            # In the scope itself: what the routes note in it, the counters read there afterwards.
            scope["state"] = {**scope.get("state", {}), "caller": known}
        await self.app(scope, receive, send)
        return None


def caller(request: Request, context: Context) -> Caller:
    """Say who asks. Raises Refused.

    A token decides where one is given. Without one a browser's request must come from a page of ours: another site's
    page may send requests here, too.
    """
    header = request.headers.get("authorization")
    if header is not None:
        kind, _, secret = header.partition(" ")
        known = tokens.recognise(context.archive().catalog, secret.strip()) if kind.lower() == "bearer" else None
        if known is None:
            raise Refused(401, "the token is not known or was revoked", fix="Ask for another one.", headers=_CHALLENGE)
        return Caller(known.scope, folders=known.scope is Right.WRITE)
    if _from_elsewhere(request):
        raise Refused(403, "a page of another site may not ask here", fix="Send a token.")
    if not context.admits(request.scope):
        raise Refused(401, "a token is needed", fix="Make one: filmroom token add NAME", headers=_CHALLENGE)
    return Caller(Right.WRITE, folders=context.names_folders())


def writer(request: Request) -> Caller:
    """Give who asks. Raises Refused for a token that may only read."""
    known: Caller = request.state.caller
    if known.right is not Right.WRITE:
        raise Refused(403, "this token may not change the archive", fix="Use one of the scope write.")
    return known


def owner(known: Annotated[Caller, Depends(writer)]) -> Caller:
    """Give who asks. Raises Refused where nobody knows who it is, or the page lets them name no folders, either."""
    if not known.folders:
        raise Refused(
            403, "folders of this machine need a token", fix="Make one: filmroom token add NAME --scope write"
        )
    return known


MayWrite, MayNameFolders = Depends(writer), Depends(owner)


def _from_elsewhere(request: Request) -> bool:
    site = request.headers.get("sec-fetch-site")
    if site is not None:
        return site not in ("same-origin", "none")
    origin = request.headers.get("origin")
    return origin is not None and origin.partition("://")[2] != request.headers.get("host")
