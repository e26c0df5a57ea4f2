"""Films a second from a real Orthanc on this machine, against the same films as a folder, and against fetching alone.

    python benchmarks/pacs.py [--films 120] [--side 1024] [--model NAME] [--listed 1000 100000]

`folder` is an index run over the files, `pacs` one over Orthanc by DICOMweb, `fetch` is dicomweb-client alone with as
many requests at once, `receive` is Orthanc's store to `filmroom receive` until the last film is acknowledged; each with
an archive of its own, and after a first film for which processes start. `--listed`: so many instances are listed by a
made QIDO server and compared with an empty archive, in a process of its own whose memory is measured.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import requests

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from filmroom.db.archive import Archive
from filmroom.db.records import SourceFile
from filmroom.db.writes import file_diff
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.live.receiver import Receiver, Service
from filmroom.indexer.live.spool import Spool
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.registry import load_towers
from filmroom.indexer.pipeline import Options, Source, index
from filmroom.indexer.sources.credentials import Credentials
from filmroom.indexer.sources.dicomweb import REQUESTS_AT_ONCE, Selection, Server
from filmroom.indexer.sources.fetching import Remote
from indexing import films_in
from made import machine

from tests.indexer.live.running import free_port
from tests.orthanc import PASSWORD, USER, Orthanc, running

A_STUDY = 100


def a_second(count: int, work: Callable[[], object]) -> float:
    began = time.monotonic()
    work()
    return count / (time.monotonic() - began)


def indexed(folder: Path, sources: list[Source], towers: Towers, count: int) -> float:
    done = index(Archive.create(folder), sources, towers, options=Options(Limits(seconds=60)))
    assert done.counts.indexed == count, done.counts
    return count / done.seconds


def fetched(server: Server, folder: Path, count: int) -> float:
    connection = server.open()
    paths = list(connection.films(Selection()))
    assert len(paths) == count
    with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
        places = [folder / str(number) for number in range(count)]
        fetch = partial(connection.fetch, max_bytes=Limits().max_bytes)
        return a_second(count, lambda: list(pool.map(fetch, paths, places)))


def received(orthanc: Orthanc, names: list[str], folder: Path, port: int) -> float:
    receiver = Receiver(
        Service("FILMROOM", port, free_bytes=0), Spool.open(Archive.create(folder), folder / "received")
    )

    def send() -> None:
        address = f"{orthanc.url}/modalities/filmroom/store"
        requests.post(address, json=names, auth=(USER, PASSWORD), timeout=600).raise_for_status()

    with receiver.listening():
        speed = a_second(len(names), send)
    assert len(receiver.films()) == len(names)
    return speed


class Made(BaseHTTPRequestHandler):
    """QIDO-RS of `count` instances, a hundred a study."""

    count = 0

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        asked = parse_qs(parts.query)
        offset, limit = (int(asked.get(name, [str(default)])[0]) for name, default in (("offset", 0), ("limit", 500)))
        names = parts.path.strip("/").split("/")
        study = names[1] if len(names) > 1 else ""
        total = A_STUDY if names[-1] == "instances" else 1 if names[-1] == "series" else self.count // A_STUDY
        tag = {"instances": "00080018", "series": "0020000E", "studies": "0020000D"}[names[-1]]
        rows = []
        for at in range(offset, min(offset + limit, total)):
            uid = f"1.2.826.0.1.3680043.10.999.{at}" if names[-1] == "studies" else f"{study}.1.{at}"
            row = {tag: {"vr": "UI", "Value": [uid]}, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B"}]}}
            rows.append(row | ({"0020000D": {"vr": "UI", "Value": [study]}} if study else {}))
        body = json.dumps(rows).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/dicom+json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        pass


def serve(count: int) -> None:
    """Answer until the process ends; the port is printed."""
    Made.count = count
    with ThreadingHTTPServer(("127.0.0.1", 0), Made) as server:
        print(server.server_address[1], flush=True)
        server.serve_forever()


def listed(port: int) -> None:
    """List, compare, and print how many there were, in how many seconds, and the memory of this process in MB."""
    with tempfile.TemporaryDirectory() as temporary:
        archive = Archive.create(Path(temporary) / "archive")
        connection = Server(f"http://127.0.0.1:{port}").open()
        scope = file_diff.open_remote_scope(archive.catalog, connection.url)
        began = time.monotonic()
        films = (SourceFile(scope.root, path, 0, 0) for path in connection.films(Selection()))
        found = file_diff.compare(archive.catalog, scope, films, space_id=1)
        seconds = time.monotonic() - began
        print(found.listed, round(seconds, 1), most_megabytes())


def most_megabytes() -> int:
    """The most memory that this process has held. What getrusage tells begins with that of the process before it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmHWM"))


def again(*args: object) -> list[str]:
    return [sys.executable, __file__, *map(str, args)]


def speeds(count: int, side: int, model: str | None) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        work = Path(temporary)
        films = films_in(work / "films", form="jpeg-lossless", side=side, count=count)
        port = free_port()
        more: dict[str, object] = {"DicomModalities": {"filmroom": ["FILMROOM", "127.0.0.1", port]}}
        with running(work / "orthanc", more) as orthanc:
            names = [orthanc.put(path) for path in sorted(films.iterdir())]
            server = Server(orthanc.dicomweb, Credentials(USER, PASSWORD))
            towers = load_towers(model) if model else load_towers("filmroom-mini")
            first = films_in(work / "first", form="jpeg-lossless", side=side, count=1)
            indexed(work / "zero", [first], towers, 1)
            (work / "fetched").mkdir()
            results = {
                "fetch": fetched(server, work / "fetched", count),
                "folder": indexed(work / "one", [films], towers, count),
                "pacs": indexed(work / "two", [Remote(server)], towers, count),
                "receive": received(orthanc, names, work / "three", port),
            }
        for name, speed in results.items():
            print(f"{name:8} {speed:6.1f} films a second")
        limit = min(results["fetch"], results["folder"])
        print(f"pacs is {results['pacs'] / limit:.0%} of the slower of fetch and folder")


def main() -> None:
    asked = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    asked.add_argument("--films", type=int, default=120)
    asked.add_argument("--side", type=int, default=1024)
    asked.add_argument("--model")
    asked.add_argument("--listed", type=int, nargs="*", default=[1000, 100_000])
    asked.add_argument("--serve", type=int, help=argparse.SUPPRESS)
    asked.add_argument("--list-from", type=int, help=argparse.SUPPRESS)
    args = asked.parse_args()
    if args.serve:
        return serve(args.serve)
    if args.list_from:
        return listed(args.list_from)
    print(machine())
    if args.films:
        speeds(args.films, args.side, args.model)
    for count in args.listed:
        with subprocess.Popen(again("--serve", count), stdout=subprocess.PIPE, text=True) as server:
            assert server.stdout is not None
            port = int(server.stdout.readline())
            done = subprocess.run(again("--list-from", port), capture_output=True, text=True, check=True)
            server.kill()
        number, seconds, megabytes = done.stdout.split()
        print(f"{int(number):7,} listed in {seconds} s, {megabytes} MB")
    return None


if __name__ == "__main__":
    main()
