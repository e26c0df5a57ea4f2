"""What the web door lets in, and what it says on every answer."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from filmroom.search.ui import layout
from filmroom.search.ui.server.access_token import AccessToken, require
from filmroom.search.ui.server.launch import own_names
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


def scope_of(
    path: str, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = (), *, kind: str = "http", query: str = ""
) -> Message:
    scope: Message = {"type": kind, "path": path, "headers": list(headers), "query_string": query.encode()}
    return scope | ({"method": method} if kind == "http" else {"extensions": {"websocket.http.response": {}}})


def ask(
    door: Door,
    path: str,
    method: str = "GET",
    headers: Iterable[tuple[bytes, bytes]] = (),
    *,
    kind: str = "http",
    query: str = "",
) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of a request exactly as written: no client tidies its path."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    asyncio.run(door(scope_of(path, method, headers, kind=kind, query=query), None, send))  # type: ignore[arg-type]
    said = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return sent[0]["status"], said, b"".join(one.get("body", b"") for one in sent[1:])


@pytest.fixture(scope="module")
def door() -> Door:
    from streamlit.file_util import get_static_dir

    return Door(Inside(), pages=frozenset(layout.addresses()), static=Path(get_static_dir()), icon=layout.ICON)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def local_door() -> Door:
    """Of a server that only this machine reaches."""
    from streamlit.file_util import get_static_dir

    return Door(
        Inside(),  # type: ignore[arg-type]
        pages=frozenset(layout.addresses()),
        static=Path(get_static_dir()),
        icon=layout.ICON,
        names=own_names("127.0.0.1"),
    )


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
    assert body == b"There is no such page."
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


@pytest.fixture
def token() -> Iterator[AccessToken]:
    """What every request has to show while it lasts."""
    found = AccessToken(8501)
    require(found)
    yield found
    require(None)


def cookie(token: AccessToken, value: str | None = None) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", f"a=b; {token.cookie}={token.value if value is None else value}; c".encode())]


DOORS = ("/", "/film", "/favicon.png", "/nothing", "/media/x.webp", "/_stcore/upload_file/a/b", "/_stcore/host-config")


def test_nothing_but_the_health_check_answers_without_the_token(door: Door, token: AccessToken) -> None:
    inside: Inside = door.app  # type: ignore[assignment]
    for path in (*DOORS, script(door)):
        inside.paths.clear()
        for headers in (
            [],
            cookie(token, "x"),
            cookie(token, ""),
            [(b"cookie", b"filmroom-8502=" + token.value.encode())],
        ):
            status, said, _ = ask(door, path, headers=headers)
            assert (status, inside.paths) == (403, []), path
            assert all(name in said for name in HEADERS)
        assert ask(door, path, headers=cookie(token))[0] != 403
    assert ask(door, "/_stcore/health")[2] == b"inside"


def test_the_printed_address_lets_in_and_leaves_no_token_in_the_address(door: Door, token: AccessToken) -> None:
    status, headers, _ = ask(door, "/film", query=f"film=1&q=a+b&token={token.value}")
    assert (status, headers["location"]) == (303, "/film?film=1&q=a+b")
    kept = headers["set-cookie"]
    assert kept.startswith(f"{token.cookie}={token.value};")
    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= set(kept.split("; "))
    for wrong in ("token=", "token=x", f"Token={token.value}", f"q={token.value}"):
        status, headers, body = ask(door, "/", query=wrong)
        assert (status, "set-cookie" in headers) == (403, False)
        assert b"filmroom serve" in body
        assert token.value.encode() not in body
    assert ask(door, "/media/x", query=f"token={token.value}")[0] == 403, "only the address of a page was printed"
    assert token.value not in repr(token)


def headers_of(**named: str) -> list[tuple[bytes, bytes]]:
    return [(name.replace("_", "-").encode(), value.encode()) for name, value in named.items()]


OURS = [
    {},
    {"origin": "http://localhost:8501"},
    {"sec_fetch_site": "same-origin"},
    {"sec_fetch_site": "none", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "document"},
]
FOREIGN = [
    {"origin": "http://elsewhere.example"},
    {"origin": "http://localhost:3000"},
    {"origin": "http://localhost"},
    {"origin": "http://localhost:8501.elsewhere.example"},
    {"origin": "http://user@localhost:8501"},
    {"origin": "null"},
    {"origin": ""},
    {"origin": "file://localhost:8501"},
    {"sec_fetch_site": "same-site", "sec_fetch_mode": "no-cors", "sec_fetch_dest": "image"},
    {"sec_fetch_site": "cross-site", "sec_fetch_mode": "navigate", "sec_fetch_dest": "iframe"},
    {"host": "elsewhere.example:8501"},
    {"host": "elsewhere.example:8501", "origin": "http://elsewhere.example:8501"},
    {"host": "localhost:8501@elsewhere.example"},
    {"host": "localhost:x"},
    {"host": ""},
]


@pytest.mark.parametrize("kind", ["http", "websocket"])
@pytest.mark.parametrize(("said", "ours"), [*((one, True) for one in OURS), *((one, False) for one in FOREIGN)])
def test_only_our_own_port_is_our_origin(local_door: Door, kind: str, said: dict[str, str], ours: bool) -> None:
    inside: Inside = local_door.app  # type: ignore[assignment]
    inside.paths.clear()
    path = "/_stcore/stream" if kind == "websocket" else "/media/x.webp"
    status, _, _ = ask(local_door, path, headers=headers_of(**{"host": "localhost:8501"} | said), kind=kind)
    navigated = kind == "websocket" and "sec_fetch_mode" in said and said["sec_fetch_site"] == "cross-site"
    assert (status, inside.paths) == ((200, [path]) if ours and not navigated else (403, []))


def test_a_tunnel_from_another_port_is_no_other_page(local_door: Door) -> None:
    through = headers_of(host="127.0.0.1:9000", origin="http://127.0.0.1:9000")
    assert ask(local_door, "/_stcore/stream", headers=through, kind="websocket")[0] == 200


def test_so_many_pages_are_open_at_once_and_no_more(local_door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filmroom.search.ui.server.middleware.MOST_WEBSOCKETS", 2)

    async def crowd() -> list[int]:
        leave = asyncio.Event()
        statuses: list[int] = []

        async def stay(scope: Message, receive: Any, send: Any) -> None:
            statuses.append(200)
            await leave.wait()

        async def send(message: Message) -> None:
            statuses.append(message.get("status", 0))

        monkeypatch.setattr(local_door, "app", stay)
        scope = scope_of("/_stcore/stream", headers=headers_of(host="localhost:8501"), kind="websocket")
        first = [asyncio.create_task(local_door(scope, None, send)) for _ in range(2)]  # type: ignore[arg-type]
        await asyncio.sleep(0)
        await local_door(scope, None, send)  # type: ignore[arg-type]
        leave.set()
        await asyncio.gather(*first)
        leave.clear()
        again = asyncio.create_task(local_door(scope, None, send))  # type: ignore[arg-type]
        await asyncio.sleep(0)
        leave.set()
        await again
        return [one for one in statuses if one]

    assert asyncio.run(crowd()) == [200, 200, 503, 200]


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
