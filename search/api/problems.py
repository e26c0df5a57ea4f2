"""Say what is wrong as RFC 9457 problem details: title, status, detail, and what, where and fix of a FilmroomError."""

from __future__ import annotations

import errno
import logging
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse
from filmroom.db.errors import (
    ArchiveBusy,
    ArchiveDamaged,
    BadInput,
    FilmroomError,
    MissingExtra,
    ModelUnavailable,
    NotFound,
    Rejected,
)
from starlette.exceptions import HTTPException

MEDIA_TYPE = "application/problem+json"
_STATUS: tuple[tuple[type[FilmroomError], int], ...] = (
    (NotFound, 404),
    (BadInput, 400),
    (Rejected, 422),
    (ArchiveBusy, 409),
    (MissingExtra, 501),
    (ModelUnavailable, 503),
    (ArchiveDamaged, 503),
)
_SHOWN = 20


class Refused(Exception):
    """A request that is turned away before it is worked on."""

    def __init__(
        self, status: int, what: str, *, fix: str | None = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(what)
        self.status = status
        self.what = what
        self.fix = fix
        self.headers = headers or {}


def problem(
    status: int,
    what: str,
    *,
    where: str | None = None,
    fix: str | None = None,
    headers: dict[str, str] | None = None,
    **extensions: Any,
) -> JSONResponse:
    """Make a problem document."""
    message = str(FilmroomError(what, where=where, fix=fix))
    content = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": message,
        "what": what,
        "where": where,
        "fix": fix,
        **extensions,
    }
    return JSONResponse(_encodable(content), status, headers=headers, media_type=MEDIA_TYPE)


def status_of(error: FilmroomError) -> int:
    """Return the HTTP status of a fault; of one without a kind of its own it is the server's."""
    return next((status for kind, status in _STATUS if isinstance(error, kind)), 503)


def install(app: FastAPI, on_error: Callable[[], None]) -> None:
    """Answer every fault with a problem document. `on_error` hears of those that nobody foresaw."""

    async def said(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, FilmroomError)  # noqa: S101
        return problem(status_of(error), error.what, where=error.where, fix=error.fix)

    async def refused(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, Refused)  # noqa: S101
        return problem(error.status, error.what, fix=error.fix, headers=error.headers)

    async def unforeseen(request: Request, error: Exception) -> JSONResponse:
        on_error()
        # Its kind and place alone: a message may quote a file.
        logging.getLogger("filmroom.api").error("unexpected fault: %s at %s", type(error).__name__, _place(error))
        return problem(500, f"unexpected fault ({type(error).__name__})", fix="Please report it.")

    async def unwritten(request: Request, error: Exception) -> JSONResponse:
        assert isinstance(error, OSError)  # noqa: S101
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return problem(507, "the disk of the server is full", fix="Make room there, and try again.")
        return await unforeseen(request, error)

    handlers: dict[type[Exception], Callable[[Request, Exception], Awaitable[JSONResponse]]] = {
        FilmroomError: said,
        Refused: refused,
        RequestValidationError: _invalid,
        HTTPException: _http,
        OSError: unwritten,
        Exception: unforeseen,
    }
    for kind, handler in handlers.items():
        app.add_exception_handler(kind, handler)


async def _invalid(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, RequestValidationError)  # noqa: S101
    faults = error.errors()[:_SHOWN]
    errors = [{"where": ".".join(map(str, fault["loc"])), "what": fault["msg"]} for fault in faults]
    first = errors[0] if errors else {"where": "body", "what": "cannot be read"}
    return problem(422, first["what"], where=first["where"], fix="See /api/docs.", errors=errors)


async def _http(request: Request, error: Exception) -> JSONResponse:
    assert isinstance(error, HTTPException)  # noqa: S101
    reason = {404: "there is no such address", 405: "this address does not take the method"}.get(error.status_code)
    headers = dict(error.headers or {})
    return problem(error.status_code, reason or str(error.detail), fix="See /api/docs.", headers=headers)


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "?" if trace is None else f"{trace.tb_frame.f_code.co_name}:{trace.tb_lineno}"


def _encodable(value: Any) -> Any:
    """Return the value with file names that are no UTF-8 spelled out."""
    if isinstance(value, str):
        return value.encode("utf-8", "backslashreplace").decode()
    if isinstance(value, dict):
        return {key: _encodable(part) for key, part in value.items()}
    return [_encodable(part) for part in value] if isinstance(value, list) else value
