"""Admit requests at all: stands before everything else that answers, pages, websockets, media and uploads.

Only the health check is open. No request of another web page gets further, and none without the token, where one is
asked for. What is let in, the middleware within looks at as before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from filmroom.search.ui.server.access_token import AccessToken, required, without_token
from filmroom.search.ui.server.request_origin import from_elsewhere

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send

MOST_WEBSOCKETS = 64
"""Pages that may be open at once: what all of them do must leave the server time to answer."""

_HEALTH = "/_stcore/health"
"""Says that the server is alive, and nothing of an archive: open to whatever watches over services."""

_LOCKED = b"""<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>Filmroom</title>
<meta name="viewport" content="width=device-width, initial-scale=1"></head>
<body><main><h1>Filmroom</h1><p>This page is for those who have its address.</p>
<p>Open the whole address that <code>filmroom serve</code> printed, with the token at its end.</p></main></body></html>
"""
_GUARDS = (
    (b"content-security-policy", b"default-src 'none'; frame-ancestors 'none'"),
    (b"x-content-type-options", b"nosniff"),
    (b"x-frame-options", b"DENY"),
    (b"referrer-policy", b"no-referrer"),
    (b"cache-control", b"no-store"),
)
_TEXT, _HTML = b"text/plain; charset=utf-8", b"text/html; charset=utf-8"


@dataclass(frozen=True)
class Refusal:
    """What is answered instead of letting a request in."""

    status: int
    body: bytes
    kind: bytes = _TEXT
    headers: tuple[tuple[bytes, bytes], ...] = ()

    async def answer(self, scope: Scope, send: Send) -> None:
        """Answer a request, or a websocket before it is one."""
        kind = "http" if scope["type"] == "http" else "websocket.http"
        if scope["type"] == "websocket" and "websocket.http.response" not in scope.get("extensions", {}):
            return await send({"type": "websocket.close", "code": 1008})
        length = (b"content-length", str(len(self.body)).encode())
        headers = [*_GUARDS, (b"content-type", self.kind), length, *self.headers]
        await send({"type": f"{kind}.response.start", "status": self.status, "headers": headers})
        body = b"" if scope.get("method") == "HEAD" else self.body
        await send({"type": f"{kind}.response.body", "body": body})
        return None


class Admission:
    """An ASGI application before another. `pages` are the paths of the pages, any of which the printed address may
    name; `names` those of this machine, where the server can be reached by no others; `secure`: browsers reach it by
    https, whatever a proxy tells of that."""

    def __init__(
        self, app: ASGIApp, *, pages: frozenset[str], names: frozenset[str] = frozenset(), secure: bool = False
    ) -> None:
        import streamlit as st

        self.app = app
        self.pages = pages
        self.names = names
        self.secure = secure
        base = str(st.get_option("server.baseUrlPath") or "").strip("/")
        self.base = f"/{base}" if base else ""
        self.websockets = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        path = scope["path"].removeprefix(self.base) or "/"
        refusal = None if path == _HEALTH else self._refusal(scope, path)
        if refusal is not None:
            return await refusal.answer(scope, send)
        if scope["type"] != "websocket":
            return await self.app(scope, receive, send)
        self.websockets += 1
        try:
            await self.app(scope, receive, send)
        finally:
            self.websockets -= 1
        return None

    def _refusal(self, scope: Scope, path: str) -> Refusal | None:
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        if reason := from_elsewhere(headers, method=scope.get("method", "WEBSOCKET"), names=self.names):
            return Refusal(403, reason.encode())
        token = required()
        if token is not None:
            if scope.get("method") == "GET" and path in self.pages and token.is_in(scope["query_string"]):
                return self._welcome(scope, path, token)
            if not token.is_among(value for name, value in scope["headers"] if name == b"cookie"):
                return Refusal(403, _LOCKED, _HTML)
        if scope["type"] == "websocket" and self.websockets >= MOST_WEBSOCKETS:
            return Refusal(503, b"Too many pages are open.", headers=((b"retry-after", b"10"),))
        return None

    def _welcome(self, scope: Scope, path: str, token: AccessToken) -> Refusal:
        """Send to the page itself, with the cookie: no token stays in an address."""
        rest = without_token(scope["query_string"])
        to = f"{self.base}{path}{'?' if rest else ''}{rest}".encode("latin-1")
        cookie = token.set_cookie(f"{self.base}/", secure=self.secure or scope.get("scheme") == "https")
        return Refusal(303, b"", headers=((b"location", to), (b"set-cookie", cookie)))
