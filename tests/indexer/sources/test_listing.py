"""Films of a web server's listing are indexed over HTTP, from that server alone."""

from __future__ import annotations

import functools
import io
import json
import os
from collections.abc import Iterator
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from filmroom.db.errors import NotFound, Rejected
from filmroom.db.records import Film, State, Tags
from filmroom.indexer.sources.bucket import Bucket
from filmroom.indexer.sources.dicomweb import Selection, ServerError
from filmroom.indexer.sources.film_cache import source_path

from tests.indexer.sources.test_bucket import SECRET, film, picture
from tests.indexer.sources.test_dicomweb import index
from tests.terminal import Terminal


class Pages(SimpleHTTPRequestHandler):
    """A web server's listings, with the links that Apache adds: to the parent, and to sort by."""

    asked: list[str]

    def list_directory(self, path: Any) -> io.BytesIO | None:
        names = sorted(os.listdir(path))
        links = [name + ("/" if os.path.isdir(os.path.join(path, name)) else "") for name in names]
        page = "".join(f'<a href="{link}">x</a>' for link in ("/", "../", "?C=N;O=D", self.path, *links)).encode()
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.send_header("Content-Length", str(len(page)))
        self.end_headers()
        return io.BytesIO(page)

    def log_message(self, *said: Any) -> None:
        type(self).asked.append(f"{self.command} {self.path}")


@pytest.fixture
def web(tmp_path: Path) -> Iterator[tuple[str, Path, list[str]]]:
    """The address of a listing, its folder, and what was asked for."""
    pytest.importorskip("aiohttp", reason="no aiohttp here: pip install 'filmroom[remote]'")
    folder = tmp_path / "web"
    (folder / "films" / "more").mkdir(parents=True)
    (folder / "private.dcm").write_bytes(film(50))
    for number in range(3):
        (folder / "films" / f"{number}.dcm").write_bytes(film(number))
    (folder / "films" / "more" / "4.png").write_bytes(picture(4))
    handler = type("Handler", (Pages,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder)))
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/films/", folder / "films", handler.asked
    server.shutdown()


def test_a_listing_of_a_web_server_is_indexed(
    door: Terminal, web: tuple[str, Path, list[str]], tiny: Path, tmp_path: Path
) -> None:
    import filmroom

    url, folder, asked = web
    assert index(door, url, "--model", tiny) == {"listed": 4, "indexed": 4}
    assert not [one for one in asked if "private" in one or one == "GET /"]
    asked.clear()
    assert index(door, url, "--model", tiny) == {"listed": 4, "unchanged": 4}
    assert not [one for one in asked if one.startswith("GET") and not one.endswith("/")]
    (folder / "0.dcm").write_bytes(film(0) + b"\0\0")
    (folder / "1.dcm").unlink()
    assert index(door, url, "--model", tiny) == {"listed": 3, "unchanged": 2, "indexed": 1, "gone": 1}
    archive = filmroom.open(door.archive, model=str(tiny))
    (hit,) = archive.search("path:films/more/").hits
    assert archive.film(hit.id).pixels().shape == (64, 64)
    found = door.json("search", "path:films/more/")
    assert json.dumps(found).count("films/more/4.png") >= 1


def test_a_web_server_that_lists_nothing(web: tuple[str, Path, list[str]]) -> None:
    url, _, _ = web
    with pytest.raises(ServerError, match="there is nothing here"):
        list(Bucket(f"{url}nothing/").open().listed(Selection()))


class Sending(Pages):
    """A listing behind a password, of which what is at the path `away` lies at `other`."""

    away: str
    other: str

    def do_GET(self) -> None:
        self._answer(super().do_GET)

    def do_HEAD(self) -> None:
        self._answer(super().do_HEAD)

    def _answer(self, usual: Any) -> None:
        if self.path != type(self).away:
            usual()
            return
        self.send_response(302)
        self.send_header("Location", type(self).other + self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()


class Listening(Pages):
    """Another server, which writes down what it is asked, and by whom."""

    def parse_request(self) -> bool:
        there = super().parse_request()
        type(self).asked.append(f"{self.path} {self.headers.get('Authorization', '')}")
        return there


@pytest.mark.parametrize("away", ["/films/", "/films/more/", "/films/1.dcm"])
@pytest.mark.parametrize("near", [False, True])
def test_a_listing_that_sends_requests_on_is_not_followed(
    door: Terminal, web: tuple[str, Path, list[str]], tiny: Path, tmp_path: Path, away: str, near: bool
) -> None:
    _, folder, _ = web
    netrc = tmp_path / ".netrc"
    netrc.write_text(f"default login ada password {SECRET}\n")
    netrc.chmod(0o600)
    heard = type("Heard", (Listening,), {"asked": []})
    other = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(heard, directory=str(folder.parent)))
    host = "127.0.0.1" if near else "localhost"
    sends = type("Sends", (Sending,), {"asked": [], "away": away, "other": f"http://{host}:{other.server_port}"})
    first = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(sends, directory=str(folder.parent)))
    for server in (other, first):
        Thread(target=server.serve_forever, daemon=True).start()
    try:
        door("index", f"http://127.0.0.1:{first.server_port}/films/", "--model", tiny)
        with pytest.raises(NotFound, match="sends requests on to another address"):
            source_path(Film(1, f"http://127.0.0.1:{first.server_port}/", away[1:], 0, State.PRESENT, 1, Tags()))
    finally:
        for server in (other, first):
            server.shutdown()
    assert heard.asked == []
    assert door.code == 1
    assert len(door.err.strip().splitlines()) == 1
    assert "the server sends requests on to another address" in door.err


def test_a_listing_may_send_requests_on_to_itself(web: tuple[str, Path, list[str]]) -> None:
    _, folder, _ = web
    sends = type("Sends", (Sending,), {"asked": [], "away": "/films/2.dcm", "other": "/moved"})
    (folder.parent / "moved" / "films").mkdir(parents=True)
    (folder.parent / "moved" / "films" / "2.dcm").write_bytes(film(2))
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(sends, directory=str(folder.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        files = Bucket(f"http://127.0.0.1:{server.server_port}/films/").open()
        files.fetch("films/2.dcm", folder / "fetched", max_bytes=2**20)
    finally:
        server.shutdown()
    assert (folder / "fetched").read_bytes() == film(2)


class Endless(Pages):
    """A listing that tells no sizes, and one file of which does not end."""

    sent: list[int]

    def do_HEAD(self) -> None:
        self.send_response(200)
        self.end_headers()

    def do_GET(self) -> None:
        if not self.path.endswith("/0.dcm"):
            super().do_GET()
            return
        self.send_response(200)
        self.end_headers()
        try:
            for _ in range(400):  # 25 MiB, where a test should not end
                self.wfile.write(bytes(2**16))
                type(self).sent.append(2**16)
        except OSError:
            self.close_connection = True


def test_what_has_no_end_is_fetched_to_the_limit(
    door: Terminal, web: tuple[str, Path, list[str]], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, folder, _ = web
    handler = type("Handler", (Endless,), {"asked": [], "sent": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(handler, directory=str(folder.parent)))
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        url = f"http://127.0.0.1:{server.server_port}/films/"
        done = index(door, url, "--model", tiny, "--max-megabytes", 0.1)
        assert done == {"listed": 4, "indexed": 3, "rejected": 1}
        assert "file larger than the limit" in door("rejected")
        # 16 MiB lie in the buffers of sockets at the most.
        handler.sent.clear()
        with pytest.raises(Rejected, match="larger than the limit"):
            Bucket(url).open().fetch("films/0.dcm", folder / "fetched", max_bytes=100_000)
        assert sum(handler.sent) < 20 * 2**20
        assert (folder / "fetched").stat().st_size < 2**20
    finally:
        server.shutdown()


class EndlessPage(Pages):
    """A listing whose page does not end."""

    def do_GET(self) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "text/html")
        self.end_headers()
        try:
            for _ in range(400):  # 25 MiB, where a test should not end
                self.wfile.write(b'<a href="1.dcm">x</a>'.ljust(2**16))
        except OSError:
            self.close_connection = True


def test_a_page_without_end_is_read_to_a_limit(
    door: Terminal, web: tuple[str, Path, list[str]], tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.web.PAGE_BYTES", 2**20)
    handler = type("Handler", (EndlessPage,), {"asked": []})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        door("index", f"http://127.0.0.1:{server.server_port}/films/", "--model", tiny)
        assert door.code == 1
        assert "a page of the listing is too long" in door.err
        assert len(handler.asked) <= 2  # whether it is a listing, and the page
    finally:
        server.shutdown()
