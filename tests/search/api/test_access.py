"""Who comes in, and with which right."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import NotFound
from filmroom.db.writes import tokens
from filmroom.db.writes.tokens import Scope

from tests.measure_helpers import as_json, said
from tests.search.api.conftest import Served
from tests.terminal import Terminal

CHANGES = [
    ("POST", "/collections/x/films", {"json": {"films": [1]}}),
    ("DELETE", "/collections/x/films?film=1", {}),
    ("DELETE", "/collections/chosen", {}),
    ("PUT", "/films/1/tags", {"json": {"tags": []}}),
    ("POST", "/labels", {"json": {"labels": [{"film": 1, "name": "x"}]}}),
    ("DELETE", "/labels?source=x", {}),
    ("PUT", "/judgements", {"json": {"query": "x", "film": 1, "judge": "a", "grade": 1}}),
    ("POST", "/runs", {"json": {"paths": ["/nowhere"]}}),
    ("POST", "/runs/1/stop", {}),
    ("POST", "/checks", {"json": {"check": "archive"}}),
    ("POST", "/checks/1/stop", {}),
    ("DELETE", "/checks/1", {}),
]


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_where_the_page_is_closed_a_token_is_needed(api: Served) -> None:
    api.open = False
    answer = api.client.get("/api/v1/search?q=x")
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith("Bearer")
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["fix"] == "Make one: filmroom token add NAME"
    for secret in (b"wrong", b"", b"filmroom_" + b"a" * 43, b"\xe9\x00", b" " * 9):
        for kind in (b"Basic ", b"Bearer ", b""):
            given = {b"Authorization": kind + secret}
            assert api.client.get("/api/v1/status", headers=given).status_code == 401
    assert api.client.get("/health").status_code == 200
    assert api.client.get("/metrics").status_code == 401


def test_every_route_but_health_asks_who_is_there(api: Served) -> None:
    api.open = False
    document = api.client.get("/api/v1/openapi.json").json()
    for path, methods in document["paths"].items():
        for method in methods:
            status = api.client.request(
                method.upper(), path.replace("{film_id}", "1").replace("{run_id}", "1").replace("{check_id}", "1")
            ).status_code
            assert status == (200 if path.endswith("/health") else 401), (method, path)


def test_a_token_to_read_changes_nothing(api: Served) -> None:
    api.open = False
    token = tokens.add(api.archive.catalog, "anna", Scope.READ)
    assert api.get("/search", params={"q": "effusion"}, headers=bearer(token))["hits"]
    before = api.archive.catalog.changes()
    for method, path, body in CHANGES:
        said = api.send(method, path, 403, headers=bearer(token), **body)
        assert said["what"] == "this token may not change the archive"
    assert api.archive.catalog.changes() == before


def test_nobody_unknown_names_folders_of_the_machine(api: Served) -> None:
    """`serve --no-token` shows the films to whoever is there; it does not index what their owner may read."""
    api.names_folders = False
    before = api.archive.catalog.changes()
    said = api.send("POST", "/runs", 403, json={"paths": [str(api.house.folder)]})
    assert said["what"] == "folders of this machine need a token"
    assert api.send("PUT", "/films/1/tags", json={"tags": ["seen"]})
    assert api.archive.catalog.changes() != before
    token = tokens.add(api.archive.catalog, "anna", Scope.WRITE)
    assert api.send("POST", "/runs", 404, headers=bearer(token), json={"paths": ["/nowhere"]})


def test_health_tells_a_stranger_no_path(api: Served) -> None:
    api.open = False

    def gone() -> Archive:
        raise NotFound("there is no archive here", where="/archives/Musterfrau")

    api.client.app.app.app.state.context.archive = gone  # type: ignore[attr-defined]
    for path in ("/health", "/api/v1/health"):
        answer = api.client.get(path)
        assert (answer.status_code, answer.json()) == (503, {"status": "no archive"})


@pytest.mark.parametrize("model", ["tiny/../../elsewhere", "films", "hf-hub:somebody/something"])
def test_a_run_takes_no_model_that_is_not_known_here(
    api: Served, model: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "films").mkdir()
    monkeypatch.chdir(tmp_path)
    said = api.send("POST", "/runs", 404, json={"paths": [str(tmp_path / "films")], "model": model})
    assert said["what"] == "no model has this name"


def test_every_route_that_changes_something_is_in_that_list(api: Served) -> None:
    document = api.client.get("/api/v1/openapi.json").json()
    asking = {"/search", "/similar", "/embed/text", "/embed/images", "/embed/files", "/predict", "/zeroshot"}
    changing = {
        (method.upper(), path.removeprefix("/api/v1"))
        for path, methods in document["paths"].items()
        for method in methods
        if method != "get" and path.removeprefix("/api/v1") not in asking
    }
    assert len(changing) == len(CHANGES)


def test_a_token_to_write_does_and_a_revoked_one_no_more(api: Served) -> None:
    api.open = False
    token = tokens.add(api.archive.catalog, "program", Scope.WRITE)
    api.send("PUT", "/films/1/tags", json={"tags": ["x"]}, headers=bearer(token))
    tokens.revoke(api.archive.catalog, "program")
    api.send("GET", "/films/1/tags", 401, headers=bearer(token))
    api.open = True
    api.send("GET", "/films/1/tags", 401, headers=bearer(token))  # a token that fails is not passed over


@pytest.mark.parametrize(
    "headers",
    [{"Origin": "https://elsewhere.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Sec-Fetch-Site": "same-site"}],
    ids=str,
)
def test_pages_of_other_sites_get_nothing_without_a_token(headers: dict[str, str], api: Served) -> None:
    api.send("PUT", "/films/1/tags", 403, json={"tags": ["x"]}, headers=headers)
    api.send("GET", "/search", 403, headers=headers)
    own = {"Origin": "http://testserver", "Sec-Fetch-Site": "same-origin"}
    api.send("GET", "/search", headers=own)


def test_tokens_are_made_listed_and_revoked_in_the_terminal(api: Served, terminal: Terminal) -> None:
    terminal.archive = api.archive.folder
    token = terminal("token", "add", "anna", "--scope", "read").strip()
    assert token.startswith("filmroom_")
    assert "shown once" in terminal.err
    kept = (api.archive.folder / "catalog.sqlite").read_bytes()
    wal = api.archive.folder / "catalog.sqlite-wal"
    assert token.encode() not in kept + (wal.read_bytes() if wal.exists() else b"")
    assert [(one["name"], one["scope"]) for one in as_json(terminal, "token", "list")] == [("anna", "read")]
    assert "token of this name" in said(terminal, "token", "add", "anna")
    assert "not a scope" in said(terminal, "token", "add", "b", "--scope", "all")
    assert "a token's name" in said(terminal, "token", "add", "<b>")
    api.open = False
    assert api.client.get("/api/v1/tags", headers=bearer(token)).status_code == 200
    terminal("token", "revoke", "anna")
    assert "anna: read" in terminal("token", "list")
    assert "revoked" in terminal("token", "list")
    assert "no token of this name" in said(terminal, "token", "revoke", "anna")
    assert api.client.get("/api/v1/tags", headers=bearer(token)).status_code == 401


def test_nothing_is_read_of_a_request_of_somebody_unknown(api: Served) -> None:
    api.open = False
    asked: list[str] = []

    async def receive() -> dict[str, object]:
        asked.append("the body")
        return {"type": "http.request", "body": b" " * 1024, "more_body": True}

    answers: list[dict[str, Any]] = []

    async def send(message: dict[str, Any]) -> None:
        answers.append(message)

    scope = {
        "type": "http",
        "method": "POST",
        "path": "/api/v1/embed/images",
        "raw_path": b"/api/v1/embed/images",
        "query_string": b"",
        "headers": [],
        "root_path": "",
        "scheme": "http",
        "http_version": "1.1",
    }
    asyncio.run(api.client.app(scope, receive, send))  # type: ignore[call-arg, func-returns-value, arg-type]
    assert answers[0]["status"] == 401
    assert not asked
