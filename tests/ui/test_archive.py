"""The Archive page says where films come from and how that stands, and asks a server what is wrong."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from filmroom.db.archive import Archive
from filmroom.db.files.standing import RECEIVING, WATCHING, announced
from filmroom.db.writes.file_diff import open_remote_scope
from filmroom.indexer.live.spool import Spool
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import index
from filmroom.indexer.sources import dicomweb
from filmroom.search.sources.known_sources import known_sources
from filmroom.search.ui import layout
from filmroom.search.ui.pages import archive as archive_page
from streamlit.testing.v1 import AppTest

from tests.conftest import write_film
from tests.pages import page, said
from tests.terminal import Terminal


class Pacs(BaseHTTPRequestHandler):
    """A DICOMweb server that has no studies; under /closed it lets nobody in."""

    def do_GET(self) -> None:
        body = b"[]"
        self.send_response(401 if self.path.startswith("/closed") else 200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def pacs() -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Pacs) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()


@pytest.fixture
def archive(tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch) -> Archive:
    monkeypatch.setattr(layout, "may_name_folders", lambda: True)
    monkeypatch.setattr(dicomweb, "_WAIT_SECONDS", 0)
    archive = Archive.create(tmp_path / "archive")
    for folder in ("watched", "away"):
        write_film(tmp_path / folder / "film.png", len(folder))
    spool = Spool.open(archive, tmp_path / "archive" / "received")
    write_film(spool.folder / "sent.png", 3)
    index(archive, [tmp_path / "watched", tmp_path / "away", spool.folder], load_towers(str(tiny)))
    (tmp_path / "away").rename(tmp_path / "elsewhere")
    return archive


def opened(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> AppTest:
    test = page(archive.folder, "archive", monkeypatch)
    assert not test.exception
    return test


def test_every_source_has_a_kind_and_a_state(archive: Archive, pacs: str, tmp_path: Path) -> None:
    open_remote_scope(archive.catalog, pacs)
    open_remote_scope(archive.catalog, "s3://bucket")
    told = {Path(one.place).name: (one.kind.value, one.films, one.state) for one in known_sources(archive)}
    assert told == {
        "watched": ("folder", 1, "there"),
        "away": ("folder", 1, "not there: is its disk mounted?"),
        "received": ("received", 1, "nobody receives: filmroom receive"),
        pacs.removeprefix("http://"): ("PACS", 0, "asked when it is indexed"),
        "bucket": ("bucket", 0, "asked when it is indexed"),
    }
    with (
        announced(archive.folder, WATCHING, str(tmp_path / "watched")),
        announced(archive.folder, RECEIVING, "FILMROOM on 127.0.0.1:11112"),
    ):
        states = {Path(one.place).name: one.state for one in known_sources(archive)}
    assert states["watched"] == "watched"
    assert states["received"] == "receiving as FILMROOM on 127.0.0.1:11112"
    assert all(one.last_run for one in known_sources(archive) if one.films)


def test_a_folder_that_was_named_from_where_one_stood_has_its_last_run(
    archive: Archive, terminal: Terminal, tmp_path: Path, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))  # other files name another model so
    monkeypatch.chdir(tmp_path)
    terminal("index", "watched", "--model", tiny, "--workers", 1, "--archive", tmp_path / "new")
    assert not terminal.code, terminal.err
    (source,) = known_sources(Archive.open(tmp_path / "new"))
    assert source.last_run is not None
    assert source.last_run.paths == (str(tmp_path / "watched"),)


def test_the_page_lists_sources(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    test = opened(archive, monkeypatch)
    table = next(one.value for one in test.dataframe if "Source" in one.value)
    assert sorted(table["Kind"]) == ["folder", "folder", "received"]
    assert all(value.endswith("done") for value in table["Last run"])


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("", "answers QIDO-RS"),
        ("/closed", "does not let Filmroom in (401)"),
    ],
)
def test_a_connection_is_tested(
    archive: Archive, pacs: str, path: str, words: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    test = opened(archive, monkeypatch)
    test.text_input(key="index-path").set_value(pacs + path)
    next(one for one in test.button if one.label == "Test connection").click().run()
    assert words in said(test).replace("\\", "")


def test_what_is_no_server_is_said(archive: Archive, monkeypatch: pytest.MonkeyPatch) -> None:
    for typed, words in (("/data/films", "Name the address"), ("http://me:secret@x/rs", "must hold no name")):
        test = opened(archive, monkeypatch)
        test.text_input(key="index-path").set_value(typed)
        next(one for one in test.button if one.label == "Test connection").click().run()
        assert words in said(test).replace("\\", "")
        assert "secret" not in said(test)


def test_a_run_over_a_server_is_started(archive: Archive, pacs: str, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[object] = []
    monkeypatch.setattr(archive_page, "start_index", lambda folder, sources, model: started.append(sources))
    test = opened(archive, monkeypatch)
    test.text_input(key="index-path").set_value(f"{pacs}/rs")
    next(one for one in test.button if one.label == "Index").click().run()
    assert started == [[f"{pacs}/rs"]]
    test.text_input(key="index-path").set_value("s3://bucket/films")
    next(one for one in test.button if one.label == "Index").click().run()
    assert started[-1] == ["s3://bucket/films"]
    next(one for one in test.button if one.label == "Index again").click().run()
    assert len(started) == 3
