"""The log of a server: lines of JSON that name routes, and nothing of what is asked or read."""

from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import pytest
from filmroom.search.ui.server import log

PAGES = frozenset(["/", "/film"])


def lines(capsys: pytest.CaptureFixture[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in capsys.readouterr().err.splitlines()]


def asked(app: Callable[..., Any], **scope: Any) -> None:
    async def receive() -> dict[str, str]:
        return {"type": "http.request"}

    async def send(message: dict[str, Any]) -> None:
        return None

    asyncio.run(log.Requests(app, pages=PAGES)({"type": "http", "method": "GET"} | scope, receive, send))  # type: ignore[arg-type]


@pytest.fixture
def taken_over() -> Iterator[None]:
    """Loggers as they were, afterwards."""
    names = ["", *logging.root.manager.loggerDict]
    before = {name: (logging.getLogger(name).handlers[:], logging.getLogger(name).propagate) for name in names}
    uvicorn = {part: dict(log.LOGGING_CONFIG[part]) for part in ("handlers", "loggers")}
    log.take_over()
    yield
    log.LOGGING_CONFIG.update(uvicorn)
    logging.captureWarnings(False)
    for name, (handlers, propagate) in before.items():
        known = logging.getLogger(name)
        known.handlers[:], known.propagate = handlers, propagate


@pytest.mark.parametrize(
    ("path", "template", "route"),
    [
        ("/film", None, "/film"),
        ("/media/8d0c.webp", None, "/media/"),
        ("/John Doe", None, "none"),
        (
            "/api/v1/collections/John%20Doe/films",
            "/api/v1/collections/{name}/films",
            "/api/v1/collections/{name}/films",
        ),
        ("/api/v1/collections/John", "/collections/{name}", "/api/v1/collections/{name}"),
        ("/api/v1/John", None, "/api/"),
        ("/_stcore/upload_file/x/John.dcm", None, "/_stcore/upload_file/"),
    ],
)
def test_a_request_is_logged_by_its_route(
    path: str, template: str | None, route: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def app(scope: dict[str, Any], receive: object, send: Callable[..., Any]) -> None:
        scope["route"] = template and SimpleNamespace(path=template)
        await send({"type": "http.response.start", "status": 200})

    asked(app, path=path, query_string=b"q=John+Doe", method="JOHN" if template else "GET")
    (line,) = lines(capsys)
    assert (line["event"], line["level"], line["route"], line["status"]) == ("request", "info", route, 200)
    assert line["method"] == ("other" if template else "GET")
    assert "John" not in json.dumps(line)


def test_a_request_that_ends_in_a_fault_is_logged_as_one(capsys: pytest.CaptureFixture[str]) -> None:
    async def app(scope: object, receive: object, send: object) -> None:
        raise ValueError("of John Doe")

    with pytest.raises(ValueError, match="John"):
        asked(app, path="/")
    (line,) = lines(capsys)
    assert (line["level"], line["status"]) == ("error", 0)


def test_what_libraries_say_is_logged_without_their_words(taken_over: None, capsys: pytest.CaptureFixture[str]) -> None:
    library = logging.getLogger("library.of.somebody")
    library.warning("cannot read %s", "/films/John Doe.dcm")
    library.info("nothing")
    try:
        raise KeyError("John Doe")
    except KeyError:
        library.exception("John Doe")
    logging.getLogger("filmroom.api").error("unexpected fault: %s at %s", "KeyError", "f:1")
    first, second, third = lines(capsys)
    assert (first["level"], first["logger"], first["at"].partition(":")[0]) == ("warning", library.name, "test_log")
    assert (second["fault"], second["at"].partition(":")[0]) == ("KeyError", "test_log.py")
    assert third["message"] == "unexpected fault: KeyError at f:1"
    assert "John" not in json.dumps([first, second, third])
