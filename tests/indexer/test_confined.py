"""A model's program runs in a process that can write no file, knows no secret and, where that can be, no network."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models.tensorflow.confined import Confined

CONFINE = "import os, socket; from filmroom.indexer.models.tensorflow.confined import confine; confine()\n"


class Writer:
    """What a program that is taken over might try."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def write(self, name: str) -> str:
        try:
            with (self.folder / name).open("r+b" if (self.folder / name).exists() else "wb", buffering=0) as out:
                out.write(b"taken")
        except OSError as error:
            return error.strerror
        return "written"

    def end(self) -> None:
        os._exit(3)

    def secret(self) -> str | None:
        return os.environ.get("AWS_SECRET_ACCESS_KEY")


@pytest.fixture
def confined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Confined:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s3cret")
    monkeypatch.setenv("PYTHONPATH", str(Path(__file__).parents[2]))
    (tmp_path / "there").write_bytes(b"as it was")
    return Confined("tests.indexer.test_confined", "Writer", tmp_path)


def test_no_file_is_written(confined: Confined, tmp_path: Path) -> None:
    assert confined.call("write", "there") == "File too large"
    assert confined.call("write", "new") == "File too large"
    assert (tmp_path / "there").read_bytes() == b"as it was"
    assert confined.call("secret") is None


def test_a_process_that_ends_is_said_in_one_line(confined: Confined) -> None:
    with pytest.raises(ModelUnavailable, match="a process of this model ended"):
        confined.call("end")


def test_there_is_no_network_where_the_system_allows() -> None:
    tried = CONFINE + "print(*[name for _, name in socket.if_nameindex()])"
    alone = "import ctypes, sys; sys.exit(ctypes.CDLL(None).unshare(0x40000000) != 0)"
    if sys.platform != "linux" or subprocess.run([sys.executable, "-c", alone]).returncode:
        pytest.skip("this system lets no process do without")
    said = subprocess.run([sys.executable, "-c", tried], capture_output=True, text=True, check=True).stdout
    assert set(said.split()) <= {"lo", "tunl0", "sit0", "ip6tnl0"}
