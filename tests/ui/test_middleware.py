"""What the web door lets in, and what it says on every answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable
from typing import Any

import pytest
from filmroom.search.ui import layout
from filmroom.search.ui.server.middleware import Door
from filmroom.search.ui.server.sign_in import admitted

Message = dict[str, Any]
HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


class Inside:
    """Streamlit's place: remembers what came through."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-frame-options", b"ALLOW")]})
        await send({"type": "http.response.body", "body": b"inside"})


def ask(
    door: Door, path: str, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = ()
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of a request exactly as written: no client tidies its path."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    scope = {"type": "http", "method": method, "path": path, "headers": list(headers), "query_string": b""}
    asyncio.run(door(scope, None, send))  # type: ignore[arg-type]
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said, b"".join(one.get("body", b"") for one in sent[1:])


@pytest.fixture(scope="module")
def door() -> Door:
    from filmroom.search.ui.server.streamlit_private import static_folder

    return Door(Inside(), pages=frozenset(layout.addresses()), static=static_folder(), icon=layout.ICON)  # type: ignore[arg-type]


def script(door: Door) -> str:
    return next(name for name in door.files if name.endswith(".js"))


def test_pages_say_who_they_are_before_any_script(door: Door) -> None:
    for path in layout.addresses():
        status, headers, body = ask(door, path)
        assert status == 200
        assert headers["cache-control"] == "no-cache"
        assert b"<title>Filmroom</title>" in body
        assert b"Research use only, not for diagnosis" in body
        assert b"streamlit.io" not in body


def test_static_files_are_kept_for_good_and_come_compressed(door: Door) -> None:
    name = script(door)
    _, plainly, raw = ask(door, name)
    _, zipped, packed = ask(door, name, headers=[(b"accept-encoding", b"br, gzip")])
    assert gzip.decompress(packed) == raw
    assert "content-encoding" not in plainly
    assert zipped["content-encoding"] == "gzip"
    assert "immutable" in zipped["cache-control"]
    assert plainly["content-type"] == "text/javascript"
    assert ask(door, name, "HEAD")[2] == b""


@pytest.mark.parametrize(
    "path",
    [
        "/static/../../app.py",
        "/static/js/..%2f..%2f..%2fapp.py",
        "//etc/passwd",
        "/static//etc/passwd",
        "/static/js/\\..\\index.html",
        "/static/js/\x00",
        "/index.html",
        "/app/static/x",
        "/.streamlit/secrets.toml",
        "/component/x/../../secrets.toml",
        "/_stcore/bidi-components/x/../../secrets.toml",
        "/_stcore/metrics",
        "/_stcore/agent/interact",
        "/_stcore/agent/openapi.json",
        "/nothing",
    ],
)
def test_nothing_else_is_there(door: Door, path: str) -> None:
    inside: Inside = door.app  # type: ignore[assignment]
    inside.paths.clear()
    status, headers, body = ask(door, path)
    assert status == 404
    assert b"There is no such page" in body
    assert b'<a href="/">To the search</a>' in body
    assert b"<script" not in body
    assert not inside.paths
    assert all(name in headers for name in HEADERS)


@pytest.mark.parametrize("path", ["/", "/film", "/favicon.png", "/nothing", "/_stcore/health", "/media/x.webp"])
def test_every_answer_carries_the_same_guards(door: Door, path: str) -> None:
    _, headers, _ = ask(door, path)
    assert headers["x-frame-options"] == "DENY"
    assert headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "'unsafe-inline'" not in headers["content-security-policy"].split("script-src")[1].split(";")[0]


def test_a_page_is_only_read(door: Door) -> None:
    assert ask(door, "/", "POST")[0] == 405


def test_where_sign_in_is_asked_for_films_and_uploads_wait_for_it(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.auth_util.get_secrets_auth_section", lambda: {"client_id": "filmroom"})
    monkeypatch.setattr("streamlit.web.server.server_util.get_cookie_secret", lambda: "secret")
    cookie = [(b"cookie", b'_streamlit_user={"is_logged_in":true,"aud":"filmroom"}')]
    for path in ("/media/x.webp", "/_stcore/upload_file/a/b"):
        assert ask(door, path)[0] == 403
        assert ask(door, path, headers=cookie)[0] == 403
    assert ask(door, "/_stcore/health")[0] == 200


@pytest.mark.parametrize(
    ("claims", "let_in"),
    [
        ({"is_logged_in": True, "aud": "us"}, True),
        ({"is_logged_in": True, "aud": ["us", "them"]}, True),
        ({"is_logged_in": True, "aud": "them", "azp": "us"}, False),
        ({"is_logged_in": True, "aud": "named", "provider": "keycloak"}, True),
        ({"is_logged_in": True, "aud": "us", "provider": "keycloak"}, False),
        ({"is_logged_in": True}, False),
        ({"is_logged_in": "true", "aud": "us"}, False),
        ({"aud": "us"}, False),
        ({}, False),
    ],
)
def test_only_a_token_made_for_this_application_admits(claims: dict[str, object], let_in: bool) -> None:
    settings = {"client_id": "us", "keycloak": {"client_id": "named"}}
    assert admitted(claims, settings) is let_in
