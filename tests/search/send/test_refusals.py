"""What a server refuses or fails for is left out and named; the rest is sent."""

from __future__ import annotations

import io
import json
import re
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pydicom
import pytest
from filmroom.indexer.sources.stow import failed_instances, refusal_words

from tests.orthanc import Orthanc, running
from tests.search.send.sending import collect, film
from tests.terminal import Terminal


class Grudging(BaseHTTPRequestHandler):
    """A server that has two studies of one film each, and answers STOW-RS as it is told to."""

    answer: tuple[int, str]

    def do_GET(self) -> None:
        path = self.path.partition("?")[0].strip("/").split("/")[1:]
        uid = path[1] if len(path) > 1 else "1.2.3.0"
        number = 0 if uid.endswith("0") else 2
        row = json.loads(pydicom.dcmread(io.BytesIO(film(number)), stop_before_pixels=True).to_json())
        self._send(200, json.dumps([row]))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        uid = re.findall(rb"2\.25\.[0-9]+", body)[0].decode()
        status, text = type(self).answer
        self._send(status, text.replace("UID", uid))

    def _send(self, status: int, text: str) -> None:
        self.send_response(status)
        self.send_header("Content-Type", "application/dicom+json; charset=utf-8")
        self.send_header("Content-Length", str(len(text.encode())))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *said: Any) -> None: ...


def sent_to(door: Terminal, handler: type[Grudging]) -> str:
    """Send a collection to a server that answers so; return what was printed."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        return door("send", "mine", "--to", f"http://127.0.0.1:{server.server_port}/rs", "--yes")
    finally:
        server.shutdown()


FAILED = (
    '{"00081198":{"vr":"SQ","Value":[{"00081155":{"vr":"UI","Value":["UID"]},"00081197":{"vr":"US","Value":[%d]}}]}}'
)


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((202, FAILED % 0x0122), "The server refused 2 documents: 2, as it takes no documents of this kind (0122)."),
        ((409, FAILED % 0xA700), "The server refused 2 documents: 2, as it is out of room (A700)."),
        ((409, "no"), "The server refused 2 documents: 2, as it could not process them (0110)."),
    ],
)
def test_what_a_server_refuses_is_said_in_one_line(
    door: Terminal, tiny: Path, folder: Path, answer: tuple[int, str], said: str
) -> None:
    for number in (1, 3):
        (folder / f"{number}.dcm").unlink()
    collect(door, tiny, folder)
    out = sent_to(door, type("Handler", (Grudging,), {"answer": answer}))
    assert door.code == 1
    assert "2 documents: 0 sent, 0 there already." in out
    assert door.err.strip().splitlines()[-1] == said


@pytest.mark.parametrize("frames", ["1.0", "one", "1\\2"])
def test_a_server_that_counts_frames_in_no_number_is_sent_documents(
    door: Terminal, tiny: Path, folder: Path, frames: str
) -> None:
    class Counting(Grudging):
        answer = (200, "{}")

        def _send(self, status: int, text: str) -> None:
            answer = json.loads(text)
            if isinstance(answer, list):
                answer[0]["00280008"] = {"vr": "IS", "Value": [frames]}
            super()._send(status, json.dumps(answer))

    for number in (1, 3):
        (folder / f"{number}.dcm").unlink()
    collect(door, tiny, folder)
    out = sent_to(door, Counting)
    assert "2 documents: 2 sent" in out, door.err


class Failing(Grudging):
    """A server that answers requests of one study, those that are named, with a status of its own."""

    where: str
    status: int
    stored: list[bytes]

    def do_GET(self) -> None:
        kind = "metadata" if self.path.endswith("metadata") else "instances"
        if "/studies/1.2.3.0/" in self.path and type(self).where == kind:
            self._send(type(self).status, "no")
        else:
            super().do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        if b"canary-0" in body and type(self).where == "store":
            self._send(type(self).status, "no")
        else:
            type(self).stored += re.findall(rb"canary-[0-9]", body)
            self._send(200, "{}")


@pytest.mark.parametrize(
    ("where", "status", "said"),
    [
        ("metadata", 404, "Left out 1 film: 1, as the server did not send its header."),
        ("metadata", 503, "Left out 1 film: 1, as the server did not send its header."),
        ("metadata", 403, "Left out 1 film: 1, as the server did not send its header."),
        ("instances", 400, "Left out 1 film: 1, as the server does not take this request (status 400)."),
        ("instances", 500, "Left out 1 film: 1, as the server does not answer (status 500)."),
        ("store", 400, "The server refused 1 document: 1, as the server does not take this request (status 400)."),
        ("store", 413, "The server refused 1 document: 1, as the server does not take this request (status 413)."),
        ("store", 404, "The server refused 1 document: 1, as there is no DICOMweb service here."),
    ],
)
def test_a_study_that_fails_stops_no_other(
    door: Terminal, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch, where: str, status: int, said: str
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    for number in (1, 3):
        (folder / f"{number}.dcm").unlink()
    collect(door, tiny, folder)
    handler = type("Handler", (Failing,), {"where": where, "status": status, "stored": []})
    out = sent_to(door, handler)
    assert set(handler.stored) == {b"canary-1"}
    assert f"{1 + (where == 'store')} document" in out
    assert ": 1 sent, 0 there already." in out
    assert door.err.strip().splitlines()[-1] == said
    assert door.code == 1


def test_a_server_that_goes_away_is_not_asked_for_every_study(
    door: Terminal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    place = tmp_path / "many"
    place.mkdir()
    for number in range(30):
        (place / f"{number}.dcm").write_bytes(film(number, study=100 + number))
    collect(door, tiny, place)
    asked: list[str] = []

    class Away(Grudging):
        def do_GET(self) -> None:
            asked.append(self.path)
            self._send(200 if len(asked) == 1 else 500, "[]")

    sent_to(door, Away)
    assert len(asked) < 4 * 20
    assert "Left out 30 films: " in door.err
    assert "as the server did not answer for those before" in door.err
    assert door.code == 1


def test_films_whose_server_went_away_are_not_all_asked_for(
    door: Terminal, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.001)
    with running(tmp_path / "orthanc") as server:
        for number in range(30):
            place = tmp_path / "put.dcm"
            place.write_bytes(film(number, study=100 + number))
            server.put(place)
        collect(door, tiny, server.dicomweb)
        server.stop()
        door("send", "mine", "--to", tmp_path / "out")
    assert door.code == 1
    assert "Left out 30 films: " in door.err
    for_want = re.search(r"([0-9]+), as the server did not send its header", door.err)
    assert for_want is not None
    assert 8 <= int(for_want[1]) < 16
    assert "as the server did not answer for those before" in door.err


def test_a_server_that_is_away_or_lets_nobody_in(
    door: Terminal, pacs: Orthanc, tiny: Path, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    collect(door, tiny, folder)
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.01)
    for to, why in (
        ("http://127.0.0.1:1/dicom-web", "the server does not answer"),
        (f"{pacs.url}/nope", "there is no DICOMweb service here"),
        ("ftp://pacs.example/films", "documents go to a DICOMweb server or a folder"),
    ):
        door("send", "mine", "--to", to, "--yes")
        assert door.code == 1
        assert why in door.err
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", "wrong")
    door("send", "mine", "--to", pacs.dicomweb, "--yes")
    assert "the server does not let Filmroom in (401)" in door.err


def test_answers_to_stow() -> None:
    assert failed_instances([json.loads(FAILED % 0x0124)]) == {"UID": 0x0124}
    assert failed_instances(None) == failed_instances({}) == failed_instances("no") == {}
    assert refusal_words(0xC001) == "it does not understand them (C001)"
    assert refusal_words(0x9999) == "for a reason of its own (9999)"
