"""A real Orthanc on this machine, with its DICOMweb plugin, for the tests of PACS."""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import requests

USER, PASSWORD = "reader", "opensesame"
_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")


@dataclass
class Orthanc:
    """A running server. `dicomweb` is the address that is indexed."""

    folder: Path
    http_port: int
    dicom_port: int
    process: subprocess.Popen[bytes] | None = None
    more: dict[str, object] = field(default_factory=dict)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.http_port}"

    @property
    def dicomweb(self) -> str:
        return f"{self.url}/dicom-web"

    def put(self, path: Path) -> str:
        """Upload a file; gives Orthanc's id of it."""
        answer = requests.post(f"{self.url}/instances", data=path.read_bytes(), auth=(USER, PASSWORD), timeout=20)
        answer.raise_for_status()
        return str(answer.json()["ID"])

    def delete(self, name: str) -> None:
        requests.delete(f"{self.url}/instances/{name}", auth=(USER, PASSWORD), timeout=20).raise_for_status()

    def start(self) -> None:
        settings = {
            "Name": "TESTS",
            "StorageDirectory": str(self.folder / "storage"),
            "IndexDirectory": str(self.folder / "storage"),
            "HttpPort": self.http_port,
            "DicomPort": self.dicom_port,
            "RemoteAccessAllowed": False,
            "AuthenticationEnabled": True,
            "RegisteredUsers": {USER: PASSWORD},
            "DicomAlwaysAllowStore": True,
            "Plugins": [str(_PLUGIN)],
            "DicomWeb": {"Enable": True, "Root": "/dicom-web/"},
        } | self.more
        place = self.folder / "orthanc.json"
        place.write_text(json.dumps(settings))
        with (self.folder / "log").open("wb") as log:
            self.process = subprocess.Popen([_program(), str(place)], stdout=log, stderr=log)
        until = time.monotonic() + 60
        while time.monotonic() < until:
            try:
                if requests.get(f"{self.url}/system", auth=(USER, PASSWORD), timeout=5).ok:
                    return
            except requests.ConnectionError:
                time.sleep(0.1)
        raise AssertionError((self.folder / "log").read_text())

    def stop(self) -> None:
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


@contextmanager
def running(folder: Path, more: dict[str, object] | None = None) -> Iterator[Orthanc]:
    """An Orthanc with an empty store in `folder`, and `more` of its settings; skips where it is not installed."""
    if not _program() or not _PLUGIN.is_file():
        pytest.skip("no Orthanc with its DICOMweb plugin here: apt-get install orthanc orthanc-dicomweb")
    folder.mkdir()
    server = Orthanc(folder, _free_port(), _free_port(), more=more or {})
    server.start()
    try:
        yield server
    finally:
        server.stop()


def _program() -> str:
    return shutil.which("Orthanc", path=f"{os.environ.get('PATH', '')}:/usr/sbin") or ""


def _free_port() -> int:
    with socket.socket() as one:
        one.bind(("127.0.0.1", 0))
        return int(one.getsockname()[1])
