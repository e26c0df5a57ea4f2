"""What the upkeep of an archive costs as it grows: `status`, `forget` of one film, the start of `serve`, a `search` of
a new process, `backup`.

    python benchmarks/upkeep.py [--sizes 10000 100000 1000000] [--folder DIR] [--bare]

Archives of made vectors, with a thumbnail of 5 kB a film. Each command is a process of its own; told are its processor
seconds and its most memory, and of a backup the megabytes that were new. `status` is told of an archive that was
written since, and again. `--folder` keeps the archives for the next time; films are forgotten in them. `--bare` leaves
out thumbnails and backups, which ten million films need 130 GB for.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
import zlib
from pathlib import Path

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.thumbnails.file import beside, key_of
from filmroom.db.thumbnails.reading import keys_of
from filmroom.indexer.models.registry import load_towers
from made import KEEPING, machine, made_archive, whole

PICTURE, BLOCK = 5000, 5000


def kept(folder: Path, count: int, *, bare: bool) -> Path:
    place = folder / f"upkeep-{count}{'-bare' * bare}"
    with whole(place) as aside:
        if aside is not None:
            archive = made_archive(aside, count, load_towers().space, snapshot=True)
            if not bare:
                add_pictures(archive, count)
            archive.patient_key()
            archive.catalog.close()
    return place


def add_pictures(archive: Archive, count: int) -> None:
    noise, file = np.random.default_rng(1).bytes(PICTURE + count), beside(archive.catalog)
    assert file is not None
    for start in range(1, count + 1, BLOCK):
        rows = {film: noise[film : film + PICTURE] for film in range(start, min(start + BLOCK, count + 1))}
        file.put({key_of(film, zlib.crc32(webp)): webp for film, webp in rows.items()})
        with archive.catalog.write() as connection:
            connection.exec_driver_sql(
                "INSERT INTO thumbnail (film_id, webp, checksum) VALUES (?, x'', ?)",
                [(film, zlib.crc32(webp)) for film, webp in rows.items()],
            )
    file.settle(lambda films: keys_of(archive.catalog, films))


def command(*words: object) -> tuple[float, float, str]:
    """Processor seconds, most megabytes, and what a command printed."""
    call = [sys.executable, "-P", "-c", "from filmroom.cli import main; main()", *map(str, words)]
    with tempfile.TemporaryFile("w+") as out:
        process = subprocess.Popen(call, stdout=out, env=KEEPING)
        memory = 0.0
        while True:
            memory = max(memory, resident(process.pid))
            ended, code, used = os.wait4(process.pid, os.WNOHANG)
            if ended:
                break
            time.sleep(0.01)
        assert code == 0, words
        out.seek(0)
        return used.ru_utime + used.ru_stime, memory, out.read()


def resident(pid: int) -> float:
    """The most megabytes that a process has had."""
    with contextlib.suppress(OSError):
        for line in Path(f"/proc/{pid}/status").read_text().splitlines():
            if line.startswith("VmHWM"):
                return int(line.split()[1]) / 1024
    return 0.0


def forgotten(archive: Path, films: list[int]) -> tuple[float, float]:
    """The same of one film that `forget` has not met: by chance, among many."""
    film = films.pop(int.from_bytes(os.urandom(4)) % len(films))
    return command("forget", film, "--yes", "--archive", archive)[:2]


def served(archive: Path) -> tuple[float, float]:
    """The same of a server until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    call = [sys.executable, "-P", "-c", "from filmroom.cli import main; main()", "serve", "--port", str(port)]
    call += ["--archive", str(archive)]
    process = subprocess.Popen(call, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=KEEPING)
    try:
        while True:
            with contextlib.suppress(OSError):
                urllib.request.urlopen(f"http://127.0.0.1:{port}/_stcore/health", timeout=5).read()
                break
            assert process.poll() is None, "the server ended"
            time.sleep(0.05)
    finally:
        memory = resident(process.pid)
        process.send_signal(signal.SIGINT)
        _, _, used = os.wait4(process.pid, 0)
    return used.ru_utime + used.ru_stime, memory


def measured(size: int, folder: Path, *, bare: bool) -> None:
    archive = kept(folder, size, bare=bare)
    films = list(range(1, size + 1))
    costs = {"status": command("status", "--archive", archive)[:2]}
    costs["status again"] = min(command("status", "--archive", archive)[:2] for _ in range(3))
    costs["search"] = min(command("search", "effusion", "--archive", archive)[:2] for _ in range(2))
    costs["serve"] = served(archive)
    costs["forget"] = min(forgotten(archive, films) for _ in range(3))
    print(f"{size:,} films, catalog {(archive / 'catalog.sqlite').stat().st_size / 1e6:,.0f} MB")
    for name, (spent, memory) in costs.items():
        print(f"  {name}: {spent:.2f} s, {memory:,.0f} MB", flush=True)
    if not bare:
        backed_up(archive, films, folder)


def backed_up(archive: Path, films: list[int], folder: Path) -> None:
    print(f"  thumbnails {(archive / 'thumbnails.sqlite').stat().st_size / 1e6:,.0f} MB")
    with tempfile.TemporaryDirectory(dir=folder) as place:
        backups = [command("backup", place, "--json", "--archive", archive) for _ in range(2)]
        forgotten(archive, films)
        backups.append(command("backup", place, "--json", "--archive", archive))
    for name, (spent, memory, said) in zip(("first", "again", "after forget"), backups, strict=True):
        new = json.loads(said)["new_megabytes"]
        print(f"  backup {name}: {spent:.1f} s, {memory:,.0f} MB, new {new:,} MB", flush=True)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    options.add_argument("--folder", type=Path)
    options.add_argument("--bare", action="store_true")
    asked = options.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as place:
        for size in asked.sizes:
            measured(size, asked.folder or Path(place), bare=asked.bare)


if __name__ == "__main__":
    main()
