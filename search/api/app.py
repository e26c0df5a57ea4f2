"""Build the REST interface: the routes below /api/v1, their documentation, and what stands before them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI, Response
from fastapi.responses import HTMLResponse
from filmroom.db.errors import FilmroomError
from filmroom.search.api import curating, embedding, problems, running, scoring, searching
from filmroom.search.api.admission import Admission
from filmroom.search.api.context import Context, Here
from filmroom.search.api.docs_page import docs_page
from filmroom.search.api.limits import Bounded
from filmroom.search.api.metrics import CONTENT_TYPE, Metrics

if TYPE_CHECKING:
    from starlette.types import ASGIApp

PREFIX = "/api/v1"
_OPENED = frozenset(["/health", f"{PREFIX}/health", f"{PREFIX}/openapi.json", "/api/docs"])
_PROBLEM: dict[int | str, dict[str, Any]] = {
    "default": {
        "description": "A problem (RFC 9457).",
        "content": {
            problems.MEDIA_TYPE: {
                "schema": {
                    "type": "object",
                    "required": ["type", "title", "status", "detail", "what"],
                    "properties": {
                        name: {"type": kind}
                        for name, kind in (
                            ("type", "string"), ("title", "string"), ("status", "integer"), ("detail", "string"),
                            ("what", "string"),
                        )
                    },
                }
            }
        },
    }
}  # fmt: skip


def build(context: Context) -> ASGIApp:
    """Make the interface of an archive as an ASGI application."""
    metrics = Metrics()
    context.queries = metrics.queries.inc
    app = FastAPI(
        title="Filmroom",
        version="1",
        summary="Semantic search for X-ray archives. Research use only, not for diagnosis.",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        responses=_PROBLEM,
        servers=[{"url": "/"}],
    )
    app.state.context = context
    problems.install(app, metrics.errors.inc)
    for part in (searching, embedding, scoring, curating, running):
        app.include_router(part.router, prefix=PREFIX, tags=[part.__name__.rpartition(".")[2]])

    _watching(app, metrics)

    def page() -> HTMLResponse:
        return HTMLResponse(docs_page(app.openapi()))

    app.add_api_route("/api/docs", page, include_in_schema=False)
    admitted = Admission(app, context=context, opened=_OPENED)
    return Bounded(admitted, opened=_OPENED, limits=context.limits, metrics=metrics)


def _watching(app: FastAPI, metrics: Metrics) -> None:
    """Add the routes that look after a server, also at the addresses where programs look for them."""

    def exposition(context: Here) -> Response:
        """Give queries, times, films, runs and errors for Prometheus."""
        return Response(metrics.exposition(context.archive()), media_type=CONTENT_TYPE)

    def health(context: Here, response: Response) -> dict[str, str]:
        """Say whether the archive answers, and nothing else: it needs no token."""
        try:
            context.archive()
        except FilmroomError:
            response.status_code = 503
            return {"status": "no archive"}
        return {"status": "ok"}

    for place in ("", PREFIX):
        in_schema = bool(place)
        app.add_api_route(
            f"{place}/metrics",
            exposition,
            include_in_schema=in_schema,
            tags=["watching"],
            response_class=Response,
            responses={200: {"content": {"text/plain": {}}}},
        )
        app.add_api_route(f"{place}/health", health, include_in_schema=in_schema, tags=["watching"])
