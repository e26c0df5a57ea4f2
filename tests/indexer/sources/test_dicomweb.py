"""Films of a real Orthanc are indexed by QIDO-RS and WADO-RS, and nothing else of what it tells is kept."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.errors import BadInput
from filmroom.db.records import DECODING
from filmroom.db.schema import file
from filmroom.indexer.sources.credentials import Credentials, read_credentials
from filmroom.indexer.sources.dicomweb import server_address
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
    terminal("status", "--archive", "mysql://host/filmroom")
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
