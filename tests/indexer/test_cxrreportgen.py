"""What a report model answers and how it is reached: boxes on the square, odd answers, and proxies that see nothing."""

from __future__ import annotations

import contextlib
import json
import socketserver
import threading
from collections.abc import Iterator

import numpy as np
import pytest
from filmroom.db.errors import FilmroomError
from filmroom.indexer.models import cxrreportgen
from filmroom.indexer.models.cxrreportgen import EndpointFault, as_sent, ask, endpoint, on_film, read_answer
from hypothesis import given
from hypothesis import strategies as st

from tests.report_server import KEY, Server, body, serving


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv(cxrreportgen.KEY, KEY)
    with serving() as told:
        yield told


sides = st.integers(1, 5000)
shares = st.floats(0, 1, allow_nan=False)


@given(width=sides, height=sides, box=st.tuples(shares, shares, shares, shares))
def test_a_box_on_the_square_lies_at_the_same_pixels_of_the_film(
    width: int, height: int, box: tuple[float, float, float, float]
) -> None:
    side = min(width, height)
    placed = on_film(box, width=width, height=height)
    pixels = [value * size for value, size in zip(placed, (width, height) * 2, strict=True)]
    left, top = (width - side) // 2, (height - side) // 2
    wanted = [box[0] * side + left, box[1] * side + top, box[2] * side + left, box[3] * side + top]
    assert pixels == pytest.approx(wanted, abs=1e-6 * max(width, height))
    assert all(-1e-9 <= value <= 1 + 1e-9 for value in placed)


jsons = st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists, max_leaves=20)


@given(raw=st.binary(max_size=200), said=jsons)
def test_any_answer_is_findings_or_one_of_our_errors(raw: bytes, said: object) -> None:
    for answer in (raw, json.dumps(said).encode(), body(said)):
        with contextlib.suppress(FilmroomError):
            read_answer(answer, width=64, height=48)


@pytest.mark.parametrize("answer", [b"[" * 100_000, body([["x" * 9000, None]]), body([["", None]]), body("[[1, 2]]")])
def test_answers_made_to_hurt_do_not(answer: bytes) -> None:
    try:
        found = read_answer(answer, width=64, height=48)
    except FilmroomError:
        return
    assert len(found[0].text) == 2000


@contextlib.contextmanager
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[bytes]]:
    """A proxy that the environment names for everything, and what it was sent: it refuses, having read."""
    seen: list[bytes] = []

    class Refusing(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            seen.append(self.request.recv(1 << 20))
            self.request.sendall(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n")

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Refusing) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        for name in ("http_proxy", "https_proxy", "all_proxy"):
            for one in (name, name.upper()):
                monkeypatch.setenv(one, f"http://127.0.0.1:{server.server_address[1]}")
        for one in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(one, raising=False)
        yield seen
        server.shutdown()


@pytest.mark.parametrize("name", ["127.0.0.1", "localhost"])
def test_a_proxy_gets_nothing_that_is_for_this_machine(
    server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    film = as_sent(np.zeros((64, 64), np.uint16))
    with proxy(monkeypatch) as seen:
        assert ask(endpoint(server.url.replace("127.0.0.1", name)), film)
    assert seen == []
    assert server.calls == 1


def test_a_proxy_is_asked_for_a_tunnel_and_sees_neither_film_nor_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(cxrreportgen.KEY, KEY)
    film = as_sent(np.zeros((64, 64), np.uint16))
    with proxy(monkeypatch) as seen, pytest.raises(EndpointFault, match="cannot be reached"):
        ask(endpoint("https://films.example.org/score"), film, sleep=lambda _: None)
    assert len(seen) == cxrreportgen.TRIES
    assert [one.split(b"\r\n")[0] for one in seen] == [b"CONNECT films.example.org:443 HTTP/1.0"] * len(seen)
    assert not any(KEY.encode() in one or b"score" in one for one in seen)
