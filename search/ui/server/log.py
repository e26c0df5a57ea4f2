"""Log what a server does, a JSON object a line, without what people look for and without what a file holds.

A request is logged by its route and not by its address, which may name a film, a collection or a finding. What a
library says is not logged in its words, which may quote a file: its name, the kind of fault and the place are.
"""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from uvicorn.config import LOGGING_CONFIG

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send

_OURS = "filmroom"
_PREFIX = "/api/v1"
_METHODS = frozenset(["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
_BELOW = ("/media/", "/_stcore/upload_file/", "/static/", "/auth/", "/api/")
_EXACT = frozenset(["/_stcore/health", "/_stcore/host-config", "/_stcore/stream", "/oauth2callback", "/favicon.png"])


def write(event: str, *, level: str = "info", **facts: Any) -> None:
    """Print one line on stderr. `facts` are numbers and words of our own."""
    now = datetime.now(UTC).isoformat(timespec="milliseconds")
    line = json.dumps({"time": now, "level": level, "event": event, **facts})
    print(line, file=sys.stderr, flush=True)


class _Handler(logging.Handler):
    """Turn what is logged in this process into such lines."""

    def emit(self, record: logging.LogRecord) -> None:
        facts: dict[str, Any] = {"logger": record.name}
        if record.name.split(".")[0] == _OURS:
            facts["message"] = record.getMessage()
        if record.exc_info and record.exc_info[0] is not None:
            facts |= {"fault": record.exc_info[0].__name__, "at": _place(record.exc_info[2])}
        elif "message" not in facts:
            facts["at"] = f"{record.module}:{record.lineno}"
        write("log", level=record.levelname.lower(), **facts)


def _place(trace: Any) -> str:
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def take_over() -> None:
    """Let warnings and errors of every library come as lines, those that have set up handlers of their own too."""
    handler = _Handler(logging.WARNING)
    logging.basicConfig(level=logging.WARNING, handlers=[handler], force=True)
    for name in list(logging.root.manager.loggerDict):
        known = logging.getLogger(name)
        known.handlers.clear()
        known.propagate = True
    for part in ("handlers", "loggers"):
        LOGGING_CONFIG[part].clear()  # the server would set up its own anew when it starts
    logging.captureWarnings(True)


class Requests:
    """The outermost ASGI application: logs every request when it is answered, a websocket when it is closed."""

    def __init__(self, app: ASGIApp, *, pages: frozenset[str]) -> None:
        self.app = app
        self._known = pages | _EXACT

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            take_over()  # from what has been imported since, too
            await self.app(scope, receive, send)
            return write("stopped")
        began, status = time.perf_counter(), 0

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] in ("http.response.start", "websocket.http.response.start"):
                status = message["status"]
            elif message["type"] == "websocket.accept":
                status = 101
            elif message["type"] == "websocket.close" and not status:
                status = 403
            await send(message)

        try:
            await self.app(scope, receive, noted)
        finally:
            method = scope.get("method", "WEBSOCKET")
            write(
                "request",
                level="error" if status >= 500 or not status else "info",
                method=method if method in (*_METHODS, "WEBSOCKET") else "other",
                route=self._route(scope),
                status=status,
                ms=round(1000 * (time.perf_counter() - began), 1),
            )
        return None

    def _route(self, scope: Scope) -> str:
        """Return the route of the REST interface, the path of a page, or what both stand below; else "none"."""
        path = str(scope.get("path", ""))
        if template := getattr(scope.get("route"), "path", None):
            # With the prefix of its router or without it, as the framework's version has it.
            return (_PREFIX if path.startswith(_PREFIX) else "") + str(template).removeprefix(_PREFIX)
        if path in self._known:
            return path
        return next((below for below in _BELOW if path.startswith(below)), "none")
