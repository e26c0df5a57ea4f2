"""Join the REST interface to the server of the pages: the same archive, the same models in memory, the same sign-in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.ui import layout
from filmroom.search.ui.server import streamlit_private
from filmroom.search.ui.server.access_token import required
from filmroom.search.ui.server.loopback import LOCAL_NAMES, is_loopback
from filmroom.search.ui.server.middleware import signed_in

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


_PATHS = frozenset(["/metrics", "/health"])
_BELOW = "/api/"
_GUARDS = [
    (b"content-security-policy", b"default-src 'none'; style-src 'unsafe-inline'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cross-origin-resource-policy", b"same-origin"),
]


class Programs:
    """An ASGI application before that of the pages: requests of programs go to the REST interface, which looks itself
    whom it lets in. The interface is built when it is first asked for, so that a first page need not wait for it."""

    def __init__(self, app: ASGIApp, *, archive: Path, host: str) -> None:
        import streamlit as st

        self.app = app
        self._archive = archive
        self._host = host
        self._base = f"/{base}" if (base := str(st.get_option("server.baseUrlPath") or "").strip("/")) else ""
        self._interface: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", "")).removeprefix(self._base)
        if scope["type"] != "http" or not (path in _PATHS or path.startswith(_BELOW)):
            return await self.app(scope, receive, send)

        async def guarded(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message.get("headers", []), *_GUARDS]
            await send(message)

        if self._interface is None:
            self._interface = self._built()
        inner = {**scope, "path": path, "raw_path": path.encode(), "root_path": ""}
        try:
            await self._interface(inner, receive, guarded)
        finally:
            scope["route"] = inner.get("route")  # for the log: the address may name what people look for
        return None

    def _built(self) -> ASGIApp:
        from filmroom.search.api.app import build
        from filmroom.search.api.context import Context

        return build(
            Context(
                self._archive,
                archive=partial(layout.opened, self._archive),
                searcher=partial(layout.searcher, self._archive),
                admits=partial(admits, host=self._host),
                names_folders=partial(names_folders, host=self._host),
            )
        )


def admits(scope: Scope, *, host: str) -> bool:
    """Tell whether a request without a token comes in: from this machine to a server that it alone can reach, or from
    somebody who has signed in. Where others can reach a server without sign-in, a token is needed."""
    token = required()
    if token is not None:
        # The address that `serve` printed: a browser that has opened it shows its cookie, here as on the pages.
        cookies = (value for name, value in scope["headers"] if name == b"cookie")
        return token.is_among(cookies) and (not is_loopback(host) or called(scope) in (*LOCAL_NAMES, host))
    if is_loopback(host):
        # By a name of its own that points here, another site's page would count as ours.
        return called(scope) in (*LOCAL_NAMES, host) and signed_in(scope)
    return bool(streamlit_private.sign_in_settings()) and signed_in(scope)


def names_folders(*, host: str) -> bool:
    """Tell whether somebody who was let in without a token for programs may name folders of this machine, as on the
    pages (see `layout.may_name_folders`). `host` is where others reach the server."""
    return bool(streamlit_private.sign_in_settings()) or (is_loopback(host) and required() is not None)


def called(scope: Scope) -> str:
    """Return the name by which a request calls this server, without the port."""
    name = str(dict(scope["headers"]).get(b"host", b""), "latin-1")
    bare = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
    return bare.lower()
