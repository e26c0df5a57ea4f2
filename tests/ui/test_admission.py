"""Whom the server lets in: its own pages, with the token."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from filmroom.search.ui import layout
from filmroom.search.ui.server.access_token import AccessToken, require
from filmroom.search.ui.server.admission import Admission
from filmroom.search.ui.server.launch import own_names

Message = dict[str, Any]
HEADERS = ("content-security-policy", "x-content-type-options", "x-frame-options", "referrer-policy")


class Inside:
    """What stands behind: remembers what came through."""

    def __init__(self) -> None:
        self.paths: list[str] = []

    async def __call__(self, scope: Message, receive: Any, send: Any) -> None:
        self.paths.append(scope["path"])
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"inside"})


def scope_of(
    path: str, method: str = "GET", headers: Iterable[tuple[bytes, bytes]] = (), *, kind: str = "http", query: str = ""
) -> Message:
    scope: Message = {"type": kind, "path": path, "headers": list(headers), "query_string": query.encode()}
    return scope | ({"method": method} if kind == "http" else {"extensions": {"websocket.http.response": {}}})


def ask(
    door: Admission,
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


@pytest.fixture
def door() -> Admission:
    return Admission(Inside(), pages=frozenset(layout.addresses()))  # type: ignore[arg-type]


@pytest.fixture
def local_door() -> Admission:
    """Of a server that only this machine reaches."""
    return Admission(Inside(), pages=frozenset(layout.addresses()), names=own_names("127.0.0.1"))  # type: ignore[arg-type]


@pytest.fixture
def token() -> Iterator[AccessToken]:
    """What every request has to show while it lasts."""
    found = AccessToken(8501)
    require(found)
    yield found
    require(None)


def cookie(token: AccessToken, value: str | None = None) -> list[tuple[bytes, bytes]]:
    return [(b"cookie", f"a=b; {token.cookie}={token.value if value is None else value}; c".encode())]


DOORS = (
    "/",
    "/film",
    "/favicon.png",
    "/nothing",
    "/media/x.webp",
    "/_stcore/upload_file/a/b",
    "/_stcore/host-config",
    "/static/js/x.js",
)


def test_nothing_but_the_health_check_answers_without_the_token(door: Admission, token: AccessToken) -> None:
    inside: Inside = door.app  # type: ignore[assignment]
    for path in DOORS:
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


def test_the_printed_address_lets_in_and_leaves_no_token_in_the_address(door: Admission, token: AccessToken) -> None:
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
def test_only_our_own_port_is_our_origin(local_door: Admission, kind: str, said: dict[str, str], ours: bool) -> None:
    inside: Inside = local_door.app  # type: ignore[assignment]
    inside.paths.clear()
    path = "/_stcore/stream" if kind == "websocket" else "/media/x.webp"
    status, _, _ = ask(local_door, path, headers=headers_of(**{"host": "localhost:8501"} | said), kind=kind)
    navigated = kind == "websocket" and "sec_fetch_mode" in said and said["sec_fetch_site"] == "cross-site"
    assert (status, inside.paths) == ((200, [path]) if ours and not navigated else (403, []))


def test_a_tunnel_from_another_port_is_no_other_page(local_door: Admission) -> None:
    through = headers_of(host="127.0.0.1:9000", origin="http://127.0.0.1:9000")
    assert ask(local_door, "/_stcore/stream", headers=through, kind="websocket")[0] == 200


def test_so_many_pages_are_open_at_once_and_no_more(local_door: Admission, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("filmroom.search.ui.server.admission.MOST_WEBSOCKETS", 2)

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
