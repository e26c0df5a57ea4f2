"""Servers that ignore, recover, lead away or go on for ever are read with care."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from io import BytesIO
from pathlib import Path
from threading import Thread
from typing import Any

import numpy as np
import pydicom
import pytest
from filmroom.db.errors import Rejected
from filmroom.indexer.sources.credentials import Credentials
from filmroom.indexer.sources.dicomweb import Selection, Server, ServerError

from tests.indexer.dicom_files import dicom
from tests.indexer.sources.test_dicomweb import CANARY, film, index
from tests.terminal import Terminal


class Odd(BaseHTTPRequestHandler):
    """A server that ignores pages and filters, and answers what `answers` says."""

    answers: Callable[[str], tuple[int, str, bytes]]

    def do_GET(self) -> None:
        status, kind, body = type(self).answers(self.path)
        kind, _, location = kind.partition(" -> ")
        self.send_response(status)
        if location:
            self.send_header("Location", location)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.do_GET()

    def log_message(self, *said: Any) -> None: ...


@pytest.fixture
def odd(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.01)
    servers = []

    def serve(answers: Callable[[str], tuple[int, str, bytes]]) -> str:
        handler = type("Handler", (Odd,), {"answers": staticmethod(answers)})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
        return f"http://127.0.0.1:{server.server_port}/rs"

    yield serve
    for server in servers:
        server.shutdown()


def rows(path: str) -> bytes:
    """The same rows for every page, more modalities than asked for, and one UID that is none."""
    import json

    def row(**tags: str) -> dict[str, Any]:
        return {f"{tag[1:]}": {"vr": "UI", "Value": [value]} for tag, value in tags.items()}

    if path.split("?")[0].endswith("/studies"):
        found = [row(t0020000D="1.2", t00080020="20100101"), row(t0020000D="../../etc"), row(t0020000D="1.3")]
    elif path.split("?")[0].endswith("/series"):
        found = [row(t0020000D="1.2", t0020000E="1.2.1", t00080060="DX"), row(t0020000E="1.2.2", t00080060="CT")]
    else:
        found = [row(t00080018="1.2.1.1"), row(t00080018="1.2.1.2"), row(t00080018="1.2.1.1")]
    return json.dumps(found).encode()


def test_a_server_that_ignores_what_it_is_asked(odd: Callable[..., str]) -> None:
    url = odd(lambda path: (200, "application/dicom+json", rows(path)))
    found = list(Server(url).open().films(Selection()))
    assert found == ["1.2/1.2.1/1.2.1.1", "1.2/1.2.1/1.2.1.2", "1.3/1.2.1/1.2.1.1", "1.3/1.2.1/1.2.1.2"]
    later = list(Server(url).open().films(Selection(since=date(2011, 1, 1))))
    assert later == found[2:]


def test_a_server_that_gives_smaller_pages_than_asked_for_is_listed_whole(odd: Callable[..., str]) -> None:
    import json
    from urllib.parse import parse_qs, urlsplit

    def answers(path: str) -> tuple[int, str, bytes]:
        if not path.partition("?")[0].endswith("/instances"):
            return 200, "application/dicom+json", rows(path)
        at = int(parse_qs(urlsplit(path).query).get("offset", ["0"])[0])
        uids = [f"1.2.1.{number}" for number in range(230)][at : at + 100]
        page = [{"00080018": {"vr": "UI", "Value": [uid]}} for uid in uids]
        return 200, "application/dicom+json", json.dumps(page).encode()

    found = list(Server(odd(answers)).open().films(Selection(study="1.2")))
    assert len(found) == 230


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, "text/html", b"<html>log in</html>"), "the answer is not DICOM JSON"),
        ((200, "application/json", b'{"a": '), "the answer is not DICOM JSON"),
        ((503, "text/plain", b"later"), "the server does not answer (status 503)"),
        ((500, "text/plain", CANARY.encode()), "the server does not answer (status 500)"),
        ((403, "text/plain", b""), "the server does not let Filmroom in (403)"),
    ],
)
def test_answers_that_are_none(odd: Callable[..., str], answer: tuple[int, str, bytes], said: str) -> None:
    with pytest.raises(ServerError) as refused:
        list(Server(odd(lambda path: answer)).open().films(Selection()))
    assert said in str(refused.value)
    assert CANARY not in str(refused.value)


def test_a_server_that_recovers_is_asked_again(odd: Callable[..., str]) -> None:
    asked: list[str] = []

    def answers(path: str) -> tuple[int, str, bytes]:
        asked.append(path)
        return (503, "text/plain", b"") if len(asked) % 2 else (200, "application/dicom+json", rows(path))

    assert len(list(Server(odd(answers)).open().films(Selection()))) == 4


def test_a_film_that_does_not_come_is_rejected_and_asked_for_again(
    reader: Terminal, odd: Callable[..., str], tiny: Path
) -> None:
    broken = {"now": True}

    def answers(path: str) -> tuple[int, str, bytes]:
        if not path.split("?")[0].endswith(("1.2.1.1", "1.2.1.2")):
            return 200, "application/dicom+json", rows(path)
        if broken["now"] and path.endswith("1.2.1.2"):
            return 200, 'multipart/related; type="application/dicom"; boundary=x', b"--x\r\nContent-Type: half"
        if path.endswith("1.2.1.2"):
            return 404, "text/plain", b""
        pixels = np.arange(1600, dtype=np.uint16).reshape(40, 40)
        body = dicom(pixels, SOPInstanceUID="1.2.1.1")
        part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + body + b"\r\n--x--\r\n"
        return 200, 'multipart/related; type="application/dicom"; boundary=x', part

    url = odd(answers)
    done = index(reader, url, "--model", tiny, "--study", "1.2")
    assert done == {"listed": 2, "indexed": 1, "rejected": 1}
    assert "the server did not send it" in reader("rejected")
    broken["now"] = False
    assert index(reader, url, "--model", tiny, "--study", "1.2") == {"listed": 2, "unchanged": 1, "rejected": 1}
    assert "which does not have it" in reader("rejected")


def test_a_film_that_cannot_be_written_as_it_came_ends_no_run(
    reader: Terminal, odd: Callable[..., str], tiny: Path
) -> None:
    def answers(path: str) -> tuple[int, str, bytes]:
        uid = path.split("?")[0].rpartition("/")[2]
        if uid not in ("1.2.1.1", "1.2.1.2"):
            return 200, "application/dicom+json", rows(path)
        film = pydicom.dcmread(BytesIO(dicom(np.arange(1600, dtype=np.uint16).reshape(40, 40), SOPInstanceUID=uid)))
        if uid == "1.2.1.1":
            del film.SOPClassUID, film.file_meta.MediaStorageSOPClassUID
        out = BytesIO()
        film.save_as(out)
        part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + out.getvalue() + b"\r\n--x--\r\n"
        return 200, 'multipart/related; type="application/dicom"; boundary=x', part

    done = index(reader, odd(answers), "--model", tiny, "--study", "1.2")
    assert done == {"listed": 2, "indexed": 1, "rejected": 1}
    assert "damaged or incomplete header" in reader("rejected")


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_nothing_follows_a_server_to_another_address(odd: Callable[..., str], status: int) -> None:
    met: list[str] = []

    def elsewhere(path: str) -> tuple[int, str, bytes]:
        met.append(path)
        return 200, "application/dicom+json", rows(path)

    other = odd(elsewhere)
    server = Server(
        odd(lambda path: (status, f"text/plain\r\nLocation: {other}{path}", b"")), Credentials("me", "secret")
    )
    document = pydicom.dcmread(BytesIO(film(1)))
    for ask in (
        lambda: list(server.open().films(Selection())),
        lambda: server.open().store([document]),
        lambda: server.open().header("1.2/1.2.1/1.2.1.1"),
    ):
        with pytest.raises(ServerError, match="sends requests on to another address"):
            ask()
    assert met == []


def test_a_server_may_send_on_within_itself(odd: Callable[..., str]) -> None:
    def answers(path: str) -> tuple[int, str, bytes]:
        if path.startswith("/rs/"):
            return 302, f"text/plain -> /new{path}", b""
        return 200, "application/dicom+json", rows(path)

    assert len(list(Server(odd(answers)).open().films(Selection()))) == 4


def test_a_film_larger_than_the_limit_is_cut_off(odd: Callable[..., str], tmp_path: Path) -> None:
    kind = 'multipart/related; type="application/dicom"; boundary=x'
    film = dicom(np.zeros((400, 400), np.uint16), SOPInstanceUID="1.2.1.1")
    part = b"--x\r\nContent-Type: application/dicom\r\n\r\n" + film + b"\r\n--x--"
    connection = Server(odd(lambda path: (200, kind, part))).open()
    with pytest.raises(Rejected, match="larger than the limit"):
        connection.fetch("1.2/1.2.1/1.2.1.1", tmp_path / "none", max_bytes=100_000)
    connection.fetch("1.2/1.2.1/1.2.1.1", tmp_path / "film", max_bytes=len(film))
    assert not (tmp_path / "none").exists()
    assert (tmp_path / "film").stat().st_size >= 320_000


@pytest.mark.parametrize("status", [200, 500])
def test_an_answer_without_end_is_read_to_a_limit(
    odd: Callable[..., str], monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._ANSWER_BYTES", 1000)
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._CHUNK_BYTES", 1000)
    server = Server(odd(lambda path: (status, "application/dicom+json", b"[" + b" " * 10_000 + b"]"))).open()
    with pytest.raises(ServerError, match="the answer is too long"):
        list(server.films(Selection()))
    with pytest.raises(ServerError, match="the answer is too long"):
        server.header("1.2/1.2.1/1.2.1.1")
