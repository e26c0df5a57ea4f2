"""An export whose server went away ends in one line, and goes on when it is back."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.indexer.sources.test_dicomweb import COUNT, film, index
from tests.orthanc import PASSWORD, USER, running
from tests.terminal import Terminal


@pytest.mark.parametrize(
    "what",
    [("png",), ("dataset",), ("copies",), ("copies", "--deidentify")],
)
def test_an_export_ends_in_one_line_and_goes_on(
    terminal: Terminal, tiny: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, what: tuple[str, ...]
) -> None:
    monkeypatch.setenv("FILMROOM_PACS_USER", USER)
    monkeypatch.setenv("FILMROOM_PACS_PASSWORD", PASSWORD)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("filmroom.indexer.sources.dicomweb._WAIT_SECONDS", 0.01)
    command = ("export", what[0], "--all", "--to", tmp_path / "out", *what[1:])
    with running(tmp_path / "orthanc") as server:
        for number in range(COUNT):
            place = tmp_path / "film.dcm"
            place.write_bytes(film(number))
            server.put(place)
        index(terminal, server.dicomweb, "--model", tiny)
        server.stop()
        terminal(*command)
        assert terminal.code == 1
        (line,) = [line for line in terminal.err.splitlines() if not line.startswith("Exporting")]
        assert "the server sends no films any more" in line
        assert not (tmp_path / "out").exists()
        server.start()
        done = terminal.json(*command)
    assert isinstance(done, dict)
    assert (done["films"], done["failed"]) == (COUNT, 0)
