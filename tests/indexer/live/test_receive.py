"""What dcmtk, pynetdicom and Orthanc send is on the disk when it is acknowledged, and is searched soon after."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
import requests
from filmroom.db.archive import Archive
from filmroom.db.reads import films as db_films
from filmroom.db.reads.summary import glance
from filmroom.indexer.live.receiver import SUCCESS
from pydicom import dcmread
from pydicom.uid import CTImageStorage

from tests.indexer.live.running import Command, dcmtk, receiving, running
from tests.indexer.sources.test_dicomweb import CANARY, film
from tests.orthanc import PASSWORD, USER
from tests.orthanc import running as orthanc_running
from tests.terminal import Terminal

pytestmark = pytest.mark.skipif(
    not shutil.which("storescu"), reason="no sender of DICOM here: apt-get install dcmtk orthanc"
)


def write(folder: Path, numbers: range) -> list[Path]:
    folder.mkdir(exist_ok=True)
    paths = [folder / f"{number}.dcm" for number in numbers]
    for number, path in zip(numbers, paths, strict=True):
        path.write_bytes(film(number))
    return paths


def searchable(command: Command) -> int:
    return int(glance(command.archive / "catalog.sqlite").films)


@pytest.fixture(scope="module")
def receiver(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Command]:
    folder = tmp_path_factory.mktemp("received")
    with receiving(folder / "archive", tiny, "--from", "PACS,CR1", "--max-megabytes", 0.05) as command:
        yield command


def test_what_is_sent_is_searched(receiver: Command, tmp_path: Path) -> None:
    paths = write(tmp_path / "films", range(6))
    assert dcmtk("echoscu", "-aet", "CR1", "-aec", "FILMROOM", "127.0.0.1", receiver.port).returncode == 0
    sent = dcmtk("storescu", "-aet", "CR1", "-aec", "FILMROOM", "127.0.0.1", receiver.port, *paths)
    assert sent.returncode == 0, sent.stderr
    kept = receiver.archive / "received" / "1.2.3.0" / "1.2.3.0.1"
    assert sorted(path.name for path in kept.iterdir()) == ["1.2.3.0.1.0.dcm", "1.2.3.0.1.1.dcm"]
    assert (receiver.archive / "received").stat().st_mode & 0o077 == 0
    assert dcmread(kept / "1.2.3.0.1.0.dcm").PixelData == dcmread(paths[0]).PixelData
    receiver.wait_for(lambda: searchable(receiver) == 6)
    again = dcmtk("storescu", "-aet", "PACS", "-aec", "FILMROOM", "127.0.0.1", receiver.port, *paths)
    assert again.returncode == 0
    catalog = b"".join(path.read_bytes() for path in receiver.archive.glob("catalog.sqlite*"))
    assert CANARY.encode() not in catalog
    assert CANARY not in receiver.said


@pytest.mark.parametrize(("calling", "called"), [("STRANGER", "FILMROOM"), ("CR1", "OTHER")])
def test_only_known_titles_are_answered(receiver: Command, calling: str, called: str) -> None:
    assert dcmtk("echoscu", "-aet", calling, "-aec", called, "127.0.0.1", receiver.port).returncode != 0


def test_what_is_too_large_or_no_film_is_refused_in_words(receiver: Command, tmp_path: Path) -> None:
    (path,) = write(tmp_path / "films", range(90, 91))
    large = dcmread(path)
    large.Rows = large.Columns = 170
    large.PixelData = bytes(2 * 170 * 170)
    large.save_as(path)
    sent = dcmtk("storescu", "-v", "-aet", "CR1", "-aec", "FILMROOM", "127.0.0.1", receiver.port, path)
    assert "0xa700" in f"{sent.stdout}{sent.stderr}".lower() or "OutOfResources" in f"{sent.stdout}{sent.stderr}"
    receiver.wait_for(lambda: "larger than --max-megabytes" in receiver.said)
    large.SOPClassUID = large.file_meta.MediaStorageSOPClassUID = CTImageStorage
    large.save_as(path)
    assert dcmtk("storescu", "-aet", "CR1", "-aec", "FILMROOM", "127.0.0.1", receiver.port, path).returncode != 0
    assert not list((receiver.archive / "received").rglob("*1.2.3.45*"))
    assert not list((receiver.archive / "received" / ".incoming").iterdir())


def test_a_kill_loses_nothing_that_was_acknowledged(tmp_path: Path, tiny: Path) -> None:
    """Killed in the middle of films that come in, three times; what was answered with success is there afterwards."""
    from pynetdicom import AE
    from pynetdicom.sop_class import DigitalXRayImageStorageForPresentation  # type: ignore[attr-defined]

    datasets = [dcmread(path) for path in write(tmp_path / "films", range(60))]
    acknowledged: list[str] = []
    for part in range(3):
        with receiving(tmp_path / "archive", tiny) as command:
            entity = AE("ANY")
            entity.dimse_timeout = entity.network_timeout = 8
            entity.add_requested_context(DigitalXRayImageStorageForPresentation)
            association = entity.associate("127.0.0.1", command.port, ae_title="FILMROOM")
            assert association.is_established
            enough = len(acknowledged) + 7
            Thread(target=_kill_after, args=(command, association, acknowledged, enough), daemon=True).start()
            for dataset in datasets[20 * part : 20 * part + 20]:
                try:
                    status = association.send_c_store(dataset)
                except RuntimeError:  # the association is gone
                    break
                if status and status.Status == SUCCESS:
                    acknowledged.append(str(dataset.SOPInstanceUID))
            association.abort()
    assert len(acknowledged) >= 21
    with receiving(tmp_path / "archive", tiny) as command:
        command.wait_for(lambda: searchable(command) >= len(acknowledged))
        assert command.stop() == 0
    archive = Archive.open(tmp_path / "archive")
    there = db_films.everyone(archive.catalog)
    assert set(acknowledged) <= {one.tags.instance_uid for one in there}


def _kill_after(command: Command, association: Any, acknowledged: list[str], enough: int) -> None:
    while len(acknowledged) < enough:
        time.sleep(0.001)
    command.process.kill()
    command.process.wait()
    association.dimse.msg_queue.put((None, None))  # no answer comes: it would wait for one until its time-out


def test_a_full_disk_refuses_films(tmp_path: Path, tiny: Path) -> None:
    paths = write(tmp_path / "films", range(1))
    with receiving(tmp_path / "archive", tiny, "--min-free-gb", 10**6) as command:
        sent = dcmtk("storescu", "-v", "-aec", "FILMROOM", "127.0.0.1", command.port, *paths)
        assert "OutOfResources" in f"{sent.stdout}{sent.stderr}" or "0xa700" in f"{sent.stdout}{sent.stderr}".lower()
        assert not list((tmp_path / "archive" / "received").rglob("*.dcm"))


def test_tls_takes_only_senders_whose_certificate_its_ca_signed(tmp_path: Path, tiny: Path) -> None:
    certificate, key = tmp_path / "me.pem", tmp_path / "me.key"
    made = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-subj", "/CN=localhost", "-keyout"]
    subprocess.run([*made, key, "-out", certificate], check=True, capture_output=True)
    paths = write(tmp_path / "films", range(2))
    how = ("--tls-cert", certificate, "--tls-key", key, "--tls-ca", certificate)
    with receiving(tmp_path / "archive", tiny, *how) as command:
        to = ("-aec", "FILMROOM", "127.0.0.1", command.port, *paths)
        assert dcmtk("storescu", *to).returncode != 0
        assert dcmtk("storescu", "+tla", "-ic", *to).returncode != 0
        sent = dcmtk("storescu", "+tls", key, certificate, "+cf", certificate, *to)
        assert sent.returncode == 0, sent.stderr
        command.wait_for(lambda: searchable(command) == 2)


def test_orthanc_sends_by_hand_and_by_rule(tmp_path: Path, tiny: Path) -> None:
    (by_hand, by_rule) = write(tmp_path / "films", range(2))
    with receiving(tmp_path / "archive", tiny, "--from", "TESTS") as command:
        rule = tmp_path / "rule.lua"
        rule.write_text("function OnStoredInstance(id, tags, metadata) end")
        with orthanc_running(
            tmp_path / "orthanc",
            {
                "DicomAet": "TESTS",
                "DicomModalities": {"filmroom": ["FILMROOM", "127.0.0.1", command.port]},
                "LuaScripts": [str(rule)],
            },
        ) as server:
            named = server.put(by_hand)
            answer = requests.post(
                f"{server.url}/modalities/filmroom/store", data=named, auth=(USER, PASSWORD), timeout=60
            )
            assert answer.json()["FailedInstancesCount"] == 0, answer.text
            command.wait_for(lambda: searchable(command) == 1)
            server.stop()
            rule.write_text('function OnStoredInstance(id, tags, metadata) SendToModality(id, "filmroom") end')
            server.start()
            server.put(by_rule)
            command.wait_for(lambda: searchable(command) == 2)


def test_forgetting_deletes_what_was_received_and_turns_it_away(terminal: Terminal, tiny: Path, tmp_path: Path) -> None:
    paths = write(tmp_path / "films", range(2))
    with receiving(terminal.archive, tiny) as command:
        to = ("-aec", "FILMROOM", "127.0.0.1", command.port, *paths)
        dcmtk("storescu", *to)
        command.wait_for(lambda: searchable(command) == 2)
        terminal("forget", 1, "--yes")
        received = terminal.archive / "received"
        assert len(list(received.rglob("*.dcm"))) == 1
        dcmtk("storescu", *to)
        command.wait_for(lambda: len(list(received.rglob("*.dcm"))) == 1 and "rejected" in command.said)
        assert searchable(command) == 1


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("--host", "0.0.0.0"), "--from PACS,CR1"),
        (("--aet", "MUCHTOOLONGFORANAET"), "no AE title"),
        (("--tls-cert", "me.pem"), "--tls-key"),
        (("--tls-cert", "none.pem", "--tls-key", "none.key"), "PEM files"),
    ],
)
def test_what_cannot_be_is_said_in_one_line(terminal: Terminal, tiny: Path, args: tuple[str, ...], words: str) -> None:
    terminal("receive", "--model", tiny, *args)
    assert terminal.code == 1
    assert words in terminal.err
    assert terminal.err.count("\n") == 1


def test_a_second_receiver_is_told_of_the_first(tmp_path: Path, tiny: Path) -> None:
    again = ("receive", "--model", tiny, "--port", 1)
    with receiving(tmp_path / "archive", tiny) as command, running(tmp_path / "archive", *again) as second:
        assert second.process.wait(60) == 1
        assert f"FILMROOM on 127.0.0.1:{command.port}" in second.said
