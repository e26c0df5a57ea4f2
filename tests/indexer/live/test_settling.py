"""What is being copied waits until it is whole; what went is believed only after what came."""

from __future__ import annotations

import os
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from filmroom.indexer.live import network_drives
from filmroom.indexer.live.complete import is_complete
from filmroom.indexer.live.settling import LOST_AFTER, PATIENCE, QUIET, Settling
from pydicom import dcmread

from tests.conftest import write_film
from tests.indexer.dicom_files import LOSSLESS, dicom, ramp


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def settling(tmp_path: Path, clock: Clock) -> Settling:
    return Settling([tmp_path], [tmp_path / "archive"], clock)


def test_a_file_that_grows_waits_until_it_is_whole(settling: Settling, clock: Clock, tmp_path: Path) -> None:
    whole = write_film(tmp_path / "archive" / "film.png", 1).read_bytes()
    path = tmp_path / "film.png"
    path.write_bytes(whole[:100])
    settling.note([path])
    assert settling.ready() == ([], [])
    clock.now = QUIET + 1
    assert settling.ready() == ([], []), "quiet, but it ends too soon"
    path.write_bytes(whole)
    assert settling.ready() == ([], [])
    clock.now += QUIET
    assert settling.ready() == ([path], [])
    assert settling.waiting == 0


def test_a_file_that_stays_half_is_handed_on_to_be_rejected(settling: Settling, clock: Clock, tmp_path: Path) -> None:
    path = tmp_path / "half.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n half")
    empty = tmp_path / "empty.dcm"
    empty.touch()
    settling.note([path, empty])
    clock.now = PATIENCE - 1
    assert settling.ready() == ([], [])
    clock.now = PATIENCE
    assert settling.ready() == ([path, empty], [])


def test_a_folder_that_is_moved_here_is_looked_through(settling: Settling, clock: Clock, tmp_path: Path) -> None:
    inside = [write_film(tmp_path / "new" / "deep" / "a.png", 1), write_film(tmp_path / "new" / "b.png", 2)]
    (tmp_path / "new" / ".hidden").write_bytes(b"x")
    old = tmp_path / "old"
    settling.note([tmp_path / "new", old])
    clock.now = QUIET
    settling.ready()
    clock.now = 2 * QUIET
    files, lost = settling.ready()
    assert sorted(files) == sorted(inside)
    assert lost == [], "what moved is found at its new place first"
    clock.now = LOST_AFTER
    assert settling.ready() == ([], [old])


def test_a_folder_with_nothing_in_it_is_no_proof(settling: Settling, clock: Clock, tmp_path: Path) -> None:
    """It may be the place where a disk was mounted."""
    (tmp_path / "disk").mkdir()
    (tmp_path / "else").mkdir()
    settling.note([tmp_path / "disk" / "film.dcm"])
    clock.now = LOST_AFTER
    assert settling.ready() == ([], [])


def test_what_is_passed_over_is_not_noted(settling: Settling, tmp_path: Path) -> None:
    for name in (".film.dcm.x7", "Thumbs.db", ".git/film.dcm", "archive/catalog.sqlite"):
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"x")
        settling.note([path])
    assert settling.waiting == 0


@pytest.mark.parametrize("kind", LOSSLESS)
def test_a_dicom_file_tells_where_it_ends(kind: str, tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    whole = dicom(rng.integers(0, 4096, (64, 64)).astype(np.uint16), syntax=LOSSLESS[kind])
    path = tmp_path / "film.dcm"
    path.write_bytes(whole)
    assert is_complete(path)
    if kind != "deflated":
        for part in (0.3, 0.7, 0.95):
            path.write_bytes(whole[: int(part * len(whole))])
            assert not is_complete(path), part
    path.write_bytes(whole[:200])
    assert not is_complete(path)


def test_a_report_without_pixels_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "report.dcm"
    report = dcmread(BytesIO(dicom(ramp(), Rows=None)))
    del report.PixelData
    report.save_as(path)
    assert is_complete(path)


def test_drives_of_other_machines_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/sda1 / ext4 rw 0 0\n"
        f"server:/films {tmp_path}/nas nfs4 rw 0 0\n"
        f"//server/x {tmp_path}/a\\040share cifs rw 0 0\n"
        f"/dev/sdb1 {tmp_path}/nas/disk ext4 rw 0 0\n"
    )
    monkeypatch.setattr(network_drives, "_MOUNTS", mounts)
    told = {
        name: network_drives.is_network_drive(tmp_path / name)
        for name in ("nas/films", "a share", "nas/disk/x", "nasty", "films")
    }
    assert told == {"nas/films": True, "a share": True, "nas/disk/x": False, "nasty": False, "films": False}
    monkeypatch.setattr(network_drives, "_MOUNTS", tmp_path / "none")
    assert not network_drives.is_network_drive(Path(os.sep))
