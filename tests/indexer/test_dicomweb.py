"""Films of a real Orthanc are indexed by QIDO-RS and WADO-RS, and nothing else of what it tells is kept."""

from __future__ import annotations

import os
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
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput, Rejected
from filmroom.db.records import DECODING
from filmroom.db.schema import file
from filmroom.indexer.sources.credentials import Credentials, read_credentials
from filmroom.indexer.sources.dicomweb import Selection, Server, ServerError, server_address
from sqlalchemy import select, update

from tests.indexer.dicom_files import dicom
from tests.orthanc import PASSWORD, USER, Orthanc, running
from tests.terminal import Terminal

CANARY = "Canary"
COUNT = 12


def film(number: int, *, modality: str = "DX") -> bytes:
    """A film of a study of two, with a name that must go no further."""
    pixels = np.random.default_rng(number).integers(0, 4096, (40, 40)).astype(np.uint16)
    study = f"1.2.3.{number // 2}"
    return dicom(
        pixels,
        SOPInstanceUID=f"{study}.1.{number}",
        StudyInstanceUID=study,
        SeriesInstanceUID=f"{study}.1",
        Modality=modality,
        PatientName=f"{CANARY}^{number}",
        PatientID=f"{CANARY}-{number // 2}",
        AccessionNumber=f"{CANARY}{number}",
        StudyDate=f"20{10 + number // 2}0102",
        StudyDescription=CANARY,
    )


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    folder = tmp_path_factory.mktemp("pacs")
    with running(folder / "orthanc") as server:
        for number in range(COUNT):
            place = folder / f"{number}.dcm"
            place.write_bytes(film(number))
            server.put(place)
        place.write_bytes(film(COUNT, modality="CT"))
        server.put(place)
        yield server


@pytest.fixture
def reader(terminal: Terminal, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Terminal:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return terminal


def index(terminal: Terminal, *args: object) -> dict[str, int]:
    found = terminal.json("index", *args, "--max-seconds", 60)
    assert isinstance(found, dict)
    return {name: count for name, count in found.items() if count and name != "seconds"}


def test_a_server_is_indexed_once(reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path) -> None:
    assert index(reader, orthanc.dicomweb, "--model", tiny, "--limit", 3) == {"listed": 3, "indexed": 3}
    assert index(reader, orthanc.dicomweb, "--model", tiny) == {"listed": COUNT, "indexed": COUNT - 3, "unchanged": 3}
    assert index(reader, f"{orthanc.dicomweb}/", "--model", tiny) == {"listed": COUNT, "unchanged": COUNT}
    found = reader.json("search", "study:1.2.3.1")
    assert isinstance(found, dict)
    assert sorted(hit["path"] for hit in found["hits"]) == [f"1.2.3.1/1.2.3.1.1/1.2.3.1.1.{n}" for n in (2, 3)]
    kept = b"".join(path.read_bytes() for path in tmp_path.joinpath("archive").rglob("*") if path.is_file())
    assert CANARY.encode() not in kept
    assert PASSWORD.encode() not in kept
    assert not list(tmp_path.joinpath("archive").glob("fetched-*"))


def test_the_same_film_from_a_folder_is_the_same_film(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    index(reader, orthanc.dicomweb, "--model", tiny)
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "copy.dcm").write_bytes(film(0))
    assert index(reader, folder, "--model", tiny) == {"listed": 1, "duplicate": 1}
    assert index(reader, orthanc.dicomweb, "--model", tiny) == {"listed": COUNT, "unchanged": COUNT}


@pytest.mark.parametrize(
    ("options", "count"),
    [
        (("--modality", "CT", "--any-modality"), 1),
        (("--modality", "dx,cr"), COUNT),
        (("--since", "2013-01-02"), 6),
        (("--study", "1.2.3.4"), 2),
        (("--body", "CHEST"), COUNT),
        (("--body", "HAND"), 0),
    ],
)
def test_what_is_asked_for(
    reader: Terminal, orthanc: Orthanc, tiny: Path, options: tuple[str, ...], count: int
) -> None:
    assert index(reader, orthanc.dicomweb, "--model", tiny, *options).get("listed", 0) == count


def test_only_a_complete_listing_tells_that_a_film_is_gone(reader: Terminal, tiny: Path, tmp_path: Path) -> None:
    with running(tmp_path / "own") as server:
        names = []
        for number in range(4):
            place = tmp_path / "film.dcm"
            place.write_bytes(film(number))
            names.append(server.put(place))
        index(reader, server.dicomweb, "--model", tiny)
        server.delete(names[0])
        assert index(reader, server.dicomweb, "--model", tiny, "--study", "1.2.3.1") == {"listed": 2, "unchanged": 2}
        assert index(reader, server.dicomweb, "--model", tiny) == {"listed": 3, "unchanged": 3, "gone": 1}
        server.stop()
        reader("index", server.dicomweb, "--model", tiny)
        assert reader.code != 0
        assert "the server does not answer" in reader.err
        assert len(reader.err.strip().splitlines()) == 1


def test_pixels_are_fetched_when_they_are_looked_at(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    import filmroom

    index(reader, orthanc.dicomweb, "--model", tiny)
    archive = filmroom.open(tmp_path / "archive", model=str(tiny))
    first = archive.search("study:1.2.3.0").hits[0]
    pixels = archive.film(first.id).pixels()
    assert pixels.shape == (40, 40)
    (kept,) = (tmp_path / "cache" / "filmroom" / "films").glob("*.dcm")
    assert os.stat(kept.parent).st_mode & 0o77 == 0
    assert np.array_equal(archive.film(first.id).pixels(), pixels)


def test_pictures_are_written_of_what_is_fetched(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    index(reader, orthanc.dicomweb, "--model", tiny)
    done = reader.json("export", "png", "study:1.2.3.0", "--to", tmp_path / "out")
    assert isinstance(done, dict)
    assert done["films"] > 0
    assert done["failed"] == 0
    kept = (tmp_path / "cache" / "filmroom" / "films").glob("*.dcm")
    assert len(list(kept)) == done["films"] == len(list((tmp_path / "out").glob("*.png")))


def test_nobody_is_let_in_without_a_password(
    terminal: Terminal, orthanc: Orthanc, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    terminal("index", orthanc.dicomweb, "--model", tiny)
    assert terminal.code != 0
    assert "the server does not let Filmroom in (401)" in terminal.err
    secret = tmp_path / "secret.toml"
    secret.write_text(f'user = "{USER}"\npassword = "{PASSWORD}"\n')
    secret.chmod(0o644)
    terminal("index", orthanc.dicomweb, "--model", tiny, "--credentials", secret)
    assert "others can read the credentials" in terminal.err
    secret.chmod(0o600)
    assert index(terminal, orthanc.dicomweb, "--model", tiny, "--credentials", secret)["indexed"] == COUNT


def test_a_server_that_is_none(reader: Terminal, orthanc: Orthanc, tiny: Path) -> None:
    for address, said in (
        (f"{orthanc.url}/nope", "there is no DICOMweb service here"),
        ("http://me:secret@127.0.0.1/dicom-web", "an address must hold no name and password"),
        ("http://127.0.0.1:1/dicom-web", "the server does not answer"),
    ):
        reader("index", address, "--model", tiny)
        assert said in reader.err
        assert "secret" not in reader.err
        assert len(reader.err.strip().splitlines()) == 1


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


def test_an_archive_without_uids_takes_no_server(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    reader("index", orthanc.dicomweb, "--model", tiny, "--hash-uids")
    assert "a server's films are known by their UIDs" in reader.err
    assert not (tmp_path / "archive").exists()


def test_what_is_forgotten_is_fetched_no_more_and_its_copy_goes(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    import filmroom

    index(reader, orthanc.dicomweb, "--model", tiny)
    first = filmroom.open(tmp_path / "archive", model=str(tiny)).search("study:1.2.3.0").hits[0].id
    filmroom.open(tmp_path / "archive", model=str(tiny)).film(first).pixels()
    assert list((tmp_path / "cache" / "filmroom" / "films").glob("*.dcm"))
    reader("forget", first, "--yes")
    assert not list((tmp_path / "cache" / "filmroom" / "films").glob("*.dcm"))
    again = index(reader, orthanc.dicomweb, "--model", tiny)
    assert again == {"listed": COUNT, "unchanged": COUNT - 1, "rejected": 1}


def test_films_that_an_earlier_version_decoded_alike_are_not_embedded_again(
    reader: Terminal, orthanc: Orthanc, tiny: Path, tmp_path: Path
) -> None:
    assert index(reader, orthanc.dicomweb, "--model", tiny, "--limit", 3) == {"listed": 3, "indexed": 3}
    catalog = Archive.open(tmp_path / "archive").catalog
    with catalog.write() as connection:
        connection.execute(update(file).values(decoding=1))
    assert index(reader, orthanc.dicomweb, "--model", tiny, "--limit", 3) == {"listed": 3, "unchanged": 3}
    with catalog.read() as connection:
        assert set(connection.scalars(select(file.c.decoding))) == {DECODING}


def test_addresses_that_are_none_make_no_archive(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    terminal("index", "ftp://pacs.example/films", "--model", tiny)
    assert "addresses of this kind are not read" in terminal.err
    assert not (tmp_path / "archive").exists()
    terminal("status", "--archive", "postgresql://host/filmroom")
    assert "an archive is a folder on this machine" in terminal.err


@pytest.mark.parametrize(
    "address",
    [
        "http://[::1",
        "http://[::1/",
        "http://host:port/dicom-web",
        "https://host:99999/dicom-web/",
        "s3://[films/chest",
        "http://reader:secret@127.0.0.1:1/films/",
        "http://127.0.0.1:1/dicom-web?token=secret",
    ],
)
def test_an_address_that_cannot_be_read_is_asked_nothing(terminal: Terminal, tiny: Path, address: str) -> None:
    terminal("index", address, "--model", tiny)
    assert terminal.code == 1
    assert "address" in terminal.err
    assert "unexpected" not in terminal.err
    assert "does not answer" not in terminal.err
    assert "secret" not in terminal.err


def test_options_of_servers_need_one(terminal: Terminal, films: Callable[..., Path], tiny: Path) -> None:
    terminal("index", films(1), "--model", tiny, "--modality", "CR")
    assert "are for servers" in terminal.err
    terminal("index", "https://pacs.example/dicom-web", "--model", tiny, "--since", "yesterday")
    assert "this is no date" in terminal.err


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


def test_no_proxy_reads_what_goes_by_plain_http(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    for url in ("http://pacs.example/rs", "http://127.0.0.1:8042/rs", "https://localhost/rs"):
        session = Credentials("me", "secret").session(url)
        assert session.merge_environment_settings(url, {}, None, None, None)["proxies"] == {}
    tunnelled = Credentials().session("https://pacs.example/rs")
    assert tunnelled.merge_environment_settings("https://pacs.example/rs", {}, None, None, None)["proxies"]


def test_credentials_are_never_shown(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text('token = "opensesame"\n')
    secret.chmod(0o600)
    assert "opensesame" not in repr(read_credentials(secret))
    assert read_credentials(secret).session("https://pacs.example").auth is not None
    assert Credentials(ca="/ca.pem").session("https://pacs.example").verify == "/ca.pem"
    with pytest.raises(BadInput, match="no name and password"):
        server_address("https://u:p@pacs.example/dicom-web")
    secret.write_text("password = 5\n")
    with pytest.raises(BadInput, match="hold what is not known"):
        read_credentials(secret)


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
