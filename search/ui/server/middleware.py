"""The web door's outer side: which requests come in at all, static files from memory, headers on every answer.

Streamlit's own server reads a file for every static request and answers more addresses than the pages use. Here a
request is looked up in a table that is made at the start: no path of a request ever reaches the file system.
"""

from __future__ import annotations

import functools
import gzip
import json
import mimetypes
import threading
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.ui.server import first_paint
from filmroom.search.ui.server.sign_in import admitted

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

# What Streamlit's pages ask of its server; everything else that it could answer (metrics, an interface for programs)
# is closed.
_OPEN = frozenset(["/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/oauth2callback"])
_OPEN_BELOW = ("/media/", "/_stcore/upload_file/", "/auth/")
_GUARDED = ("/media/", "/_stcore/upload_file/")
"""Films, and a place for uploads: only for those who have signed in, where sign-in is asked for."""

_COMPRESSED = frozenset([".js", ".css", ".json", ".svg", ".html", ".wasm"])
_FOR_GOOD = b"public, immutable, max-age=31536000"

_ALWAYS = {
    b"x-content-type-options": b"nosniff",
    b"x-frame-options": b"DENY",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-opener-policy": b"same-origin",
    b"cross-origin-resource-policy": b"same-origin",
    b"permissions-policy": b"camera=(), microphone=(), geolocation=(), payment=(), usb=()",
}


def policy(script_hash: str) -> bytes:
    """The Content-Security-Policy. Nothing comes from elsewhere and no script stands in a page but the shell's own.

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
    return "; ".join(f"{name} {value}" for name, value in rules.items()).encode()


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
    def kind(self) -> bytes:
        if self.path.suffix == ".js":  # where the machine's own table says otherwise, browsers refuse to run it
            return b"text/javascript"
        return (mimetypes.guess_type(self.path.name)[0] or "application/octet-stream").encode()


class Door:
    """The outermost ASGI application. `pages` are the paths of the pages, `static` Streamlit's files, `icon` ours."""

    def __init__(self, app: ASGIApp, *, pages: frozenset[str], static: Path, icon: Path) -> None:
        from streamlit import config

        self.app = app
        base = str(config.get_option("server.baseUrlPath") or "").strip("/")
        self.base = f"/{base}" if base else ""
        self.pages = pages
        self.files = {f"/{one.relative_to(static).as_posix()}": _File(one) for one in (static / "static").rglob("*.*")}
        self.icon = _File(icon)
        page, script_hash = first_paint.page(
            (static / "index.html").read_text("utf-8"), self.base, static / "static" / "js"
        )
        self.page = page.encode()
        self.missing = first_paint.missing_page(self.base).encode()
        self.page_zipped = gzip.compress(self.page, 9, mtime=0)
        self.always = [*_ALWAYS.items(), (b"content-security-policy", policy(script_hash))]
        threading.Thread(target=self._warm, daemon=True).start()

    def _warm(self) -> None:
        """Reads and compresses what the first page asks for, so that the first visitor need not wait for it."""
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
                ours = {name for name, _ in self.always}
                headers = [one for one in message.get("headers", []) if one[0].lower() not in ours]
                if path.startswith("/media/"):
                    headers = [one for one in headers if one[0].lower() != b"cache-control"]
                    headers.append((b"cache-control", b"private, max-age=3600"))
                message["headers"] = [*headers, *self.always]
            await send(message)

        through = path in _OPEN or path.startswith(_OPEN_BELOW)
        if through and not (path.startswith(_GUARDED) and not signed_in(scope)):
            return await self.app(scope, receive, dressed)
        if scope["type"] != "http":
            return await send({"type": "websocket.close", "code": 1008})
        await self._answer(scope, path, dressed, refused=through)
        return None

    async def _answer(self, scope: Scope, path: str, send: Send, *, refused: bool) -> None:
        zips = b"gzip" in dict(scope["headers"]).get(b"accept-encoding", b"")
        file = self.icon if path == "/favicon.png" else self.files.get(path)
        status, kind, keep = 200, b"text/plain; charset=utf-8", b"no-store"
        body, zipped = b"", False
        if refused:
            status, body = 403, b"Sign in first."
        elif scope["method"] not in ("GET", "HEAD"):
            status, body = 405, b"Not allowed."
        elif path in self.pages:
            kind, keep, zipped = b"text/html; charset=utf-8", b"no-cache", zips
            body = self.page_zipped if zips else self.page
        elif file:
            small = file.zipped if zips else None
            kind, keep, zipped = file.kind, _FOR_GOOD, small is not None
            body = file.raw if small is None else small
        else:
            status, body, kind = 404, self.missing, b"text/html; charset=utf-8"
        headers = [(b"content-type", kind), (b"cache-control", keep), (b"content-length", str(len(body)).encode())]
        if zipped:
            headers.append((b"content-encoding", b"gzip"))
        headers.append((b"vary", b"accept-encoding"))
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": b"" if scope["method"] == "HEAD" else body})


def signed_in(scope: Scope) -> bool:
    """True where nobody has to sign in, and for a request with the signed cookie of somebody who has."""
    from starlette.requests import HTTPConnection
    from streamlit.auth_util import get_cookie_with_chunks, get_secrets_auth_section
    from streamlit.web.server.server_util import get_cookie_secret
    from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

    settings = get_secrets_auth_section()
    if not settings:
        return True
    cookies = HTTPConnection(scope).cookies

    def one(name: str) -> bytes | None:
        return decode_signed_value(get_cookie_secret(), name, cookies.get(name, "").encode("latin-1", "replace"))

    found = get_cookie_with_chunks(one, USER_COOKIE_NAME)
    return found is not None and admitted(json.loads(found), settings)
