"""Listing a folder: each file once, odd names kept, nothing outside, no loops."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest
from filmroom.db.errors import NotFound
from filmroom.db.records import SourceFile
from filmroom.indexer.sources.folder import list_folder


def listing(root: Path, **how: object) -> dict[str, str]:
    """path -> "listed" or the reason it failed for."""
    found = list(list_folder(root, **how))  # type: ignore[arg-type]
    told = {seen.path: seen.rejected.reason if seen.rejected else "listed" for seen in found}
    assert len(told) == len(found), "something was listed twice"
    return told


def test_size_and_time_of_each_file_in_order(tmp_path: Path) -> None:
    for name in ("b/2.dcm", "a.png", "b/1.dcm", "c"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x" * len(name))
    os.utime(tmp_path / "c", ns=(5, 1_234_567_890))
    found = [seen for seen in list_folder(tmp_path) if not seen.rejected]
    assert [seen.path for seen in found] == ["a.png", "c", "b/1.dcm", "b/2.dcm"]
    assert {seen.root for seen in found} == {str(tmp_path.resolve())}
    assert found[1] == SourceFile(str(tmp_path.resolve()), "c", 1, 1_234_567_890)
    assert found[2].location.read_bytes() == b"x" * 7


ODD_NAMES = [
    "new\nline",
    "quote'\"",
    "emoji \U0001f9b4",
    "n" * 255,
    " ",
    "tab\t",
    "back\\slash",
    "-rf",
    "%41",
    "a.dcm.gz",
]


@pytest.mark.parametrize("name", ODD_NAMES)
def test_odd_names_open_again(name: str, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(b"film")
    (seen,) = list_folder(tmp_path)
    assert seen.rejected is None
    assert seen.path == name
    assert seen.location.read_bytes() == b"film"


def test_bytes_that_are_not_utf8_open_again(tmp_path: Path) -> None:
    with open(os.path.join(os.fsencode(tmp_path), b"caf\xe9.dcm"), "wb") as file:
        file.write(b"film")
    (seen,) = list_folder(tmp_path)
    assert seen.rejected is None
    assert os.fsencode(seen.path) == b"caf\xe9.dcm"
    assert seen.location.read_bytes() == b"film"


def test_links(tmp_path: Path) -> None:
    outside, root = tmp_path / "outside", tmp_path / "root"
    (root / "deep").mkdir(parents=True)
    outside.mkdir()
    (outside / "secret").write_bytes(b"x")
    (root / "deep" / "film").write_bytes(b"x")
    (root / "loop").symlink_to(root)
    (root / "deep" / "up").symlink_to("..")
    (root / "again").symlink_to("deep/film")
    (root / "out file").symlink_to(outside / "secret")
    (root / "out folder").symlink_to(outside)
    (root / "broken").symlink_to("nothing")
    (root / "broken outside").symlink_to(outside / "nothing")
    (root / "self").symlink_to("self")
    (tmp_path / "root2").mkdir()
    (root / "sibling").symlink_to(tmp_path / "root2")
    assert listing(root) == {
        "deep/film": "listed",
        "again": "listed",
        "out file": "a link that leads out of the folder",
        "out folder": "a link that leads out of the folder",
        "sibling": "a link that leads out of the folder",
        "broken": "a link that leads nowhere",
        "broken outside": "a link that leads nowhere",
        "self": "a link that leads nowhere",
    }


def test_pipes_and_sockets_are_reported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    os.mkfifo(tmp_path / "pipe")
    monkeypatch.chdir(tmp_path)  # the path of a socket may have 107 bytes
    with socket.socket(socket.AF_UNIX) as door:
        door.bind("socket")
        assert listing(tmp_path) == {"pipe": "not a regular file", "socket": "not a regular file"}


def test_hidden_files_clutter_and_the_archive_itself_are_passed_over(tmp_path: Path) -> None:
    for name in (".hidden", ".git/x", "Thumbs.db", "__MACOSX/y", "archive/catalog.db", "film.dcm"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"x")
    assert listing(tmp_path, skip=[tmp_path / "archive"]) == {"film.dcm": "listed"}


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read every folder")
def test_a_folder_that_may_not_be_read_is_reported(tmp_path: Path) -> None:
    (tmp_path / "closed").mkdir(mode=0)
    assert listing(tmp_path) == {"closed": "cannot be read"}


def test_a_file_by_its_own_name(tmp_path: Path) -> None:
    (tmp_path / "film.dcm").write_bytes(b"x")
    (seen,) = list_folder(tmp_path / "film.dcm")
    assert seen.rejected is None
    assert (seen.root, seen.path) == (str(tmp_path.resolve()), "film.dcm")


def test_nothing_there(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="there is nothing to index here"):
        list(list_folder(tmp_path / "gone"))
    assert listing(tmp_path) == {}
