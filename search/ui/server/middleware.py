"""Guard the web door's outer side: which requests come in, static files from memory, headers on every answer.

Streamlit's own server reads a file for every static request and answers more addresses than the pages use. Here a
request is looked up in a table that is made at the start: no path of a request ever reaches the file system.
"""

from __future__ import annotations

import functools
import gzip
import mimetypes
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.ui.server import first_paint, streamlit_private
from filmroom.search.ui.server.sign_in import admitted
from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import HTMLResponse, PlainTextResponse, Response

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What Streamlit's pages ask of its server; everything else that it could answer (metrics, an interface for programs)
# is closed.
_OPEN = frozenset(["/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/oauth2callback"])
_OPEN_BELOW = ("/media/", "/_stcore/upload_file/", "/auth/")
_GUARDED = ("/media/", "/_stcore/upload_file/")
"""Films, and a place for uploads: only for those who have signed in, where sign-in is asked for."""

_COMPRESSED = frozenset([".js", ".css", ".json", ".svg", ".html", ".wasm"])
_FOR_GOOD = "public, immutable, max-age=31536000"

_ALWAYS = {
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def policy(script_hash: str) -> str:
    """Return the Content-Security-Policy. Nothing comes from elsewhere and no script stands in a page but the shell's
    own.

    `blob:` is how Streamlit loads the script of a component, `unsafe-eval` is how Vega draws its charts, and inline
    styles are how Streamlit's parts are styled.
    """
    rules = {
        "default-src": "'self'",
        "script-src": f"'self' blob: 'unsafe-eval' 'sha256-{script_hash}'",
        "style-src": "'self' 'unsafe-inline'",
        "img-src": "'self' data: blob:",
        "font-src": "'self' data:",
        "connect-src": "'self' blob: data:",
        "worker-src": "'self' blob:",
        "object-src": "'none'",
        "base-uri": "'none'",
        "form-action": "'self'",
        "frame-ancestors": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in rules.items())


@dataclass(frozen=True)
class _File:
    path: Path

    @functools.cached_property
    def raw(self) -> bytes:
        return self.path.read_bytes()

    @functools.cached_property
    def zipped(self) -> bytes | None:
        """Gzipped once, where that helps."""
        return gzip.compress(self.raw, 6, mtime=0) if self.path.suffix in _COMPRESSED else None

    @property
    def kind(self) -> str:
        if self.path.suffix == ".js":  # where the machine's own table says otherwise, browsers refuse to run it
            return "text/javascript"
        return mimetypes.guess_type(self.path.name)[0] or "application/octet-stream"


class Door:
    """The outermost ASGI application. `pages` are the paths of the pages, `static` Streamlit's files, `icon` ours."""

    def __init__(self, app: ASGIApp, *, pages: frozenset[str], static: Path, icon: Path) -> None:
        import streamlit as st

        self.app = app
        base = str(st.get_option("server.baseUrlPath") or "").strip("/")
        self.base = f"/{base}" if base else ""
        self.pages = pages
        self.files = {
            f"/{path.relative_to(static).as_posix()}": _File(path) for path in (static / "static").rglob("*.*")
        }
        self.icon = _File(icon)
        page, script_hash = first_paint.page(
            (static / "index.html").read_text("utf-8"), self.base, static / "static" / "js"
        )
        self.page = page.encode()
        self.missing = first_paint.missing_page(self.base).encode()
        self.page_zipped = gzip.compress(self.page, 9, mtime=0)
        self.always = _ALWAYS | {"content-security-policy": policy(script_hash)}
        threading.Thread(target=self._warm, daemon=True).start()

    def _warm(self) -> None:
        """Read and compress what the first page asks for, so that the first visitor need not wait for it."""
        for name, file in self.files.items():
            if name.encode() in self.page:
                _ = file.zipped, file.raw

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            return await self.app(scope, receive, send)
        path = scope["path"]
        path = path.removeprefix(self.base) or "/" if self.base else path

        async def dressed(message: Message) -> None:
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                message.setdefault("headers", [])
                headers = MutableHeaders(scope=message)
                headers.update(self.always)
                if path.startswith("/media/"):
                    headers["cache-control"] = "private, max-age=3600"
            await send(message)

        through = path in _OPEN or path.startswith(_OPEN_BELOW)
        if through and not (path.startswith(_GUARDED) and not signed_in(scope)):
            return await self.app(scope, receive, dressed)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        response = self._answer(scope, path, refused=through)
        return await response(scope, receive, dressed)

    def _answer(self, scope: Scope, path: str, *, refused: bool) -> Response:
        """Return what the table holds for this path, or why it holds nothing."""
        file = self.icon if path == "/favicon.png" else self.files.get(path)
        if refused:
            return PlainTextResponse("Sign in first.", 403, {"cache-control": "no-store"})
        if scope["method"] not in ("GET", "HEAD"):
            return PlainTextResponse("Not allowed.", 405, {"cache-control": "no-store"})
        zipped: bytes | None
        if path in self.pages:
            raw, zipped, kind, keep = self.page, self.page_zipped, "text/html; charset=utf-8", "no-cache"
        elif file:
            raw, zipped, kind, keep = file.raw, file.zipped, file.kind, _FOR_GOOD
        else:
            return HTMLResponse(self.missing, 404, {"cache-control": "no-store"})
        headers = {"content-type": kind, "cache-control": keep, "vary": "accept-encoding"}
        if zipped is not None and "gzip" in Headers(scope=scope).get("accept-encoding", ""):
            raw, headers["content-encoding"] = zipped, "gzip"
        response = Response(raw, headers=headers)
        if scope["method"] == "HEAD":
            response.body = b""  # after its length was noted
        return response


def signed_in(scope: Scope) -> bool:
    """Return True where nobody has to sign in, and for a request with the signed cookie of somebody who has."""
    settings = streamlit_private.sign_in_settings()
    if not settings:
        return True
    user = streamlit_private.signed_in_user(scope)
    return user is not None and admitted(user, settings)
