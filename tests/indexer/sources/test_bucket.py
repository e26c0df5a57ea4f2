"""Films of a bucket are indexed over a real S3 API on this machine."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.errors import BadInput, Rejected
from filmroom.indexer.sources.bucket import Bucket, bucket_address, is_bucket, modified_ns
from filmroom.indexer.sources.fetching import Remote
from filmroom.search.exchange.original_pixels import CHANGED
from PIL import Image

from tests.indexer.dicom_files import dicom
from tests.indexer.sources.test_dicomweb import index
from tests.terminal import Terminal

SECRET = "opensesame-opensesame"

COUNT = 6


def film(number: int) -> bytes:
    pixels = np.random.default_rng(number).integers(0, 4096, (40, 40)).astype(np.uint16)
    return dicom(pixels, SOPInstanceUID=f"1.2.3.{number}", PatientName="Canary^Ada")


def picture(number: int) -> bytes:
    out = io.BytesIO()
    grey = np.random.default_rng(number).integers(0, 256, (64, 64)).astype(np.uint8)
    Image.fromarray(grey).save(out, "PNG")
    return out.getvalue()


@pytest.fixture(scope="module")
def s3() -> Iterator[str]:
    """The address of an S3 service."""
    pytest.importorskip("s3fs", reason="no s3fs here: pip install 'filmroom[remote]'")
    server = pytest.importorskip("moto.server", reason="no moto here: pip install 'moto[s3]' flask-cors")
    running = server.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    yield f"http://{host}:{port}"
    running.stop()


class Store:
    """A bucket by its own API."""

    def __init__(self, url: str) -> None:
        import boto3

        self._client = boto3.client("s3", endpoint_url=url, region_name="us-east-1")
        for bucket in self._client.list_buckets()["Buckets"]:
            for one in self._client.list_objects_v2(Bucket=bucket["Name"]).get("Contents", ()):
                self._client.delete_object(Bucket=bucket["Name"], Key=one["Key"])
        self._client.create_bucket(Bucket="films")

    def put(self, key: str, data: bytes) -> None:
        self._client.put_object(Bucket="films", Key=key, Body=data)

    def delete(self, key: str) -> None:
        self._client.delete_object(Bucket="films", Key=key)


@pytest.fixture
def store(s3: str, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A bucket of DICOM films and a picture, with what is not indexed beside them."""
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "reader")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setattr("filmroom.indexer.sources.bucket._WAIT_SECONDS", 0.01)
    made = Store(s3)
    for number in range(COUNT):
        made.put(f"chest/{number // 3}/film {number}.dcm", film(number))
    made.put("chest/ü.png", picture(1))
    made.put("chest/.hidden", b"no")
    made.put("chest/folder/", b"")
    made.put("elsewhere/film.dcm", film(100))
    return made


def test_a_bucket_is_indexed_once(door: Terminal, store: Store, tiny: Path) -> None:
    assert index(door, "s3://films/chest", "--model", tiny, "--limit", 2) == {"listed": 2, "indexed": 2}
    every = COUNT + 1
    assert index(door, "s3://films/chest", "--model", tiny) == {"listed": every, "indexed": every - 2, "unchanged": 2}
    assert index(door, "s3://films/chest/", "--model", tiny) == {"listed": every, "unchanged": every}
    # The whole bucket knows what was indexed as a part of it.
    assert index(door, "s3://films", "--model", tiny) == {"listed": every + 1, "unchanged": every, "indexed": 1}
    found = door.json("search", "path:chest/1/")
    assert isinstance(found, dict)
    assert sorted(hit["path"] for hit in found["hits"]) == [f"chest/1/film {number}.dcm" for number in (3, 4, 5)]
    kept = b"".join(path.read_bytes() for path in door.archive.rglob("*") if path.is_file())
    assert SECRET.encode() not in kept
    assert b"Canary" not in kept
    assert not list(door.archive.glob("fetched-*"))


def test_films_are_known_by_uid_or_content(door: Terminal, store: Store, tiny: Path, tmp_path: Path) -> None:
    index(door, "s3://films", "--model", tiny)
    folder = tmp_path / "films"
    folder.mkdir()
    (folder / "copy.dcm").write_bytes(film(0))
    (folder / "copy.png").write_bytes(picture(1))
    assert index(door, folder, "--model", tiny) == {"listed": 2, "duplicate": 2}
    store.put("again/ü.png", picture(1))
    assert index(door, "s3://films/again", "--model", tiny) == {"listed": 1, "duplicate": 1}


def test_what_has_changed_is_fetched_and_what_is_gone_is_noticed(
    door: Terminal, store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    index(door, "s3://films", "--model", tiny)
    store.put("chest/ü.png", picture(2) + b"longer")
    assert index(door, "s3://films/chest", "--model", tiny) == {"listed": 7, "unchanged": 6, "indexed": 1}
    store.delete("chest/0/film 0.dcm")
    # Elsewhere is not looked at, a part of the list says nothing of the rest, and a list that breaks off is none.
    assert index(door, "s3://films/elsewhere", "--model", tiny) == {"listed": 1, "unchanged": 1}
    assert "gone" not in index(door, "s3://films/chest", "--model", tiny, "--limit", 3)
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:1")
    monkeypatch.setattr("filmroom.indexer.sources.bucket._ATTEMPTS", 1)
    door("index", "s3://films/chest", "--model", tiny)
    assert "the bucket cannot be listed" in door.err
    assert len(door.err.strip().splitlines()) == 1


def test_only_a_complete_list_marks_films_as_gone(door: Terminal, store: Store, tiny: Path) -> None:
    index(door, "s3://films", "--model", tiny)
    store.delete("chest/0/film 0.dcm")
    assert index(door, "s3://films/chest", "--model", tiny) == {"listed": 6, "unchanged": 6, "gone": 1}
    door("index", "s3://films/nothing", "--model", tiny)
    assert door.code == 1
    assert "there is nothing here" in door.err
    door("index", "s3://no-such-bucket", "--model", tiny)
    assert "there is nothing here" in door.err
    assert index(door, "s3://films", "--model", tiny) == {"listed": 7, "unchanged": 7}


def test_a_run_that_was_killed_goes_on(door: Terminal, store: Store, tiny: Path) -> None:
    many = 20
    for number in range(many):
        store.put(f"many/{number:02}.dcm", film(300 + number))
    killed = (
        "import os, signal\n"
        "from filmroom.indexer import pipeline\n"
        "commit, batches = pipeline.ingest.commit, []\n"
        "def fatal(*args, **options):\n"
        "    batches.append(0)\n"
        "    if len(batches) > 10: os.kill(os.getpid(), signal.SIGKILL)\n"
        "    return commit(*args, **options)\n"
        "pipeline.ingest.commit, pipeline.BATCH = fatal, 1\n"
        "from filmroom.cli import main\n"
        "main()\n"
    )
    run = [sys.executable, "-P", "-c", killed, "index", "s3://films/many", "--model", str(tiny), "--max-seconds", "60"]
    done = subprocess.run(run, env=os.environ | {"FILMROOM_ARCHIVE": str(door.archive)}, check=False)
    assert done.returncode == -signal.SIGKILL
    again = index(door, "s3://films/many", "--model", tiny)
    assert again == {"listed": many, "indexed": many - 10, "unchanged": 10}
    assert not list(door.archive.glob("fetched-*"))


def test_pixels_are_fetched_when_they_are_looked_at(door: Terminal, store: Store, tiny: Path, tmp_path: Path) -> None:
    import filmroom

    index(door, "s3://films/chest", "--model", tiny)
    archive = filmroom.open(door.archive, model=str(tiny))
    shown = [archive.film(hit.id).pixels().shape for hit in archive.search("path:chest/", k=20).hits]
    assert sorted(shown) == [(40, 40)] * COUNT + [(64, 64)]
    kept = list((tmp_path / "cache" / "filmroom" / "films").iterdir())
    assert len(kept) == COUNT + 1
    assert os.stat(kept[0].parent).st_mode & 0o77 == 0


def test_pictures_are_written_of_what_is_fetched(door: Terminal, store: Store, tiny: Path, tmp_path: Path) -> None:
    index(door, "s3://films/chest", "--model", tiny)
    for what in (("png",), ("dataset", "--as", "coco")):
        done = door.json("export", *what, "--all", "--to", tmp_path / what[0])
        assert isinstance(done, dict)
        assert (done["films"], done["failed"]) == (COUNT + 1, 0)
    assert len(list((tmp_path / "cache" / "filmroom" / "films").iterdir())) == COUNT + 1


def test_two_versions_of_one_second_are_told_apart_by_their_tag() -> None:
    when = datetime(2026, 5, 4, 12, 0, 0, tzinfo=UTC)
    first, second = ({"LastModified": when, "ETag": f'"{tag}"'} for tag in ("d41d8cd9", "9e107d9d"))
    assert modified_ns(first) != modified_ns(second)
    assert modified_ns(first) == modified_ns(dict(first))
    assert modified_ns(first) // 10**9 == modified_ns(second) // 10**9 == int(when.timestamp())
    assert modified_ns({"Last-Modified": "Mon, 04 May 2026 12:00:00 GMT"}) == int(when.timestamp()) * 10**9


def test_a_kept_copy_that_is_older_than_the_index_is_fetched_anew(
    door: Terminal, store: Store, tiny: Path, tmp_path: Path
) -> None:
    import filmroom
    from filmroom.search.exchange.original_pixels import originals

    index(door, "s3://films/chest", "--model", tiny)
    archive = filmroom.open(door.archive, model=str(tiny))

    def shown() -> dict[str, np.ndarray | str]:
        known = [archive.film(hit.id).record for hit in archive.search("path:chest/", k=20).hits]
        found = originals(known)
        return {one.path: found[one.id] for one in known}

    before = shown()
    for number in (0, 1):
        store.put(f"chest/0/film {number}.dcm", film(number + 50).replace(b"1.2.3.5%d" % number, b"1.2.3.%d " % number))
    index(door, "s3://films/chest", "--model", tiny)
    single = archive.film(archive.search("path:film path:0 path:0/", k=20).hits[0].id)
    assert isinstance(before[single.record.path], np.ndarray)
    assert single.pixels().shape == (40, 40)
    after = shown()
    assert all(isinstance(one, np.ndarray) for one in after.values())
    assert not np.array_equal(before["chest/0/film 1.dcm"], after["chest/0/film 1.dcm"])


@pytest.mark.parametrize("options", [(), ("--deidentify",)], ids=["as they are", "de-identified"])
def test_no_copy_is_made_of_what_has_come_in_the_place_of_a_film(
    door: Terminal, store: Store, tiny: Path, tmp_path: Path, options: tuple[str, ...]
) -> None:
    index(door, "s3://films/chest", "--model", tiny)
    store.put("chest/0/film 0.dcm", film(50))
    store.put("chest/ü.png", picture(50))
    done = door.json("export", "copies", "--all", "--to", tmp_path / "out", *options)
    assert isinstance(done, dict)
    assert (done["films"], done["failed"]) == (COUNT - 1, 2)
    assert {reason for _, reason in done["failures"]} == {CHANGED}


def test_copies_are_made_of_what_was_indexed_and_not_of_what_was_kept_before(
    door: Terminal, store: Store, tiny: Path, tmp_path: Path
) -> None:
    index(door, "s3://films/chest", "--model", tiny)
    door.json("export", "copies", "--all", "--to", tmp_path / "before")
    newer = film(50).replace(b"1.2.3.50", b"1.2.3.0 ")
    store.put("chest/0/film 0.dcm", newer)
    index(door, "s3://films/chest", "--model", tiny)
    done = door.json("export", "copies", "--all", "--to", tmp_path / "after")
    assert isinstance(done, dict)
    assert (done["films"], done["failed"]) == (COUNT + 1, 0)
    (copy,) = (tmp_path / "after").glob("*-film 0.dcm")
    assert copy.read_bytes() == newer


def test_large_objects_are_not_fetched(door: Terminal, store: Store, tiny: Path) -> None:
    store.put("large/scan.zip", b"0" * 200_000)
    store.put("large/film.dcm", film(200))
    done = index(door, "s3://films/large", "--model", tiny, "--max-megabytes", 0.1)
    assert done == {"listed": 2, "indexed": 1, "rejected": 1}
    assert "file larger than the limit" in door("rejected")


def test_a_film_that_does_not_come_is_rejected_and_asked_for_again(
    door: Terminal, store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    get_file = s3fs.S3FileSystem.get_file

    def sulking(self: Any, name: str, to: str, **options: Any) -> None:
        if name.endswith("film 1.dcm"):
            Path(to).write_bytes(film(1)[:100])
            raise ConnectionResetError(f"https://signed.example/?{SECRET}")
        get_file(self, name, to, **options)

    with monkeypatch.context() as patch:
        patch.setattr(s3fs.S3FileSystem, "get_file", sulking)
        assert index(door, "s3://films/chest", "--model", tiny) == {"listed": 7, "indexed": 6, "rejected": 1}
    said = door("rejected")
    assert "the server did not send it" in said
    assert SECRET not in said
    assert index(door, "s3://films/chest", "--model", tiny) == {"listed": 7, "indexed": 1, "unchanged": 6}


def test_buckets_take_hashed_uids(door: Terminal, store: Store, tiny: Path) -> None:
    assert index(door, "s3://films/chest", "--model", tiny, "--hash-uids")["indexed"] == COUNT + 1


def test_a_key_that_is_wrong_is_said_without_being_shown(
    door: Terminal, store: Store, tiny: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    door("index", "s3://films/chest", "--model", tiny)
    assert door.code == 1
    assert "the bucket does not let Filmroom in" in door.err
    assert SECRET not in door.err
    assert len(door.err.strip().splitlines()) == 1


def test_options_of_servers_are_not_for_buckets(door: Terminal, tiny: Path) -> None:
    for option in (("--modality", "CR"), ("--since", "2024-01-01"), ("--requests-per-second", 5)):
        door("index", "s3://films", "--model", tiny, *option)
        assert "are for servers" in door.err
    door("index", "ftp://host/films", "--model", tiny)
    assert "addresses of this kind are not read" in door.err
    assert not door.archive.exists()


def test_addresses() -> None:
    assert bucket_address("s3://films/chest/") == "s3://films/chest"
    assert is_bucket("https://host/")
    assert not is_bucket("https://host/dicom-web")
    assert str(Remote(Bucket("gs://films/chest"))) == "gs://films/chest"
    for wrong in ("s3://key:secret@films/chest", "s3://", "https://host/films/?signature=secret"):
        with pytest.raises(BadInput) as refused:
            bucket_address(wrong)
        assert "secret" not in str(refused.value)


def test_an_object_that_is_larger_than_it_is_listed_is_not_kept(store: Store, tmp_path: Path) -> None:
    store.put("large/film.dcm", bytes(300_000))
    with pytest.raises(Rejected, match="larger than the limit"):
        Bucket("s3://films/large").open().fetch("large/film.dcm", tmp_path / "fetched", max_bytes=100_000)
