"""Asks a served archive over REST, with one client and with many at once, and compares every answer with the right one.

python benchmarks/rest.py [--archive DIR | --films 10000] [--clients 64] [--seconds 60]

Every client sends one query after the other, each another one. The right answers are those of the same archive in this
process. What is printed: answers a second, the median and the 99th percentile of their times, errors, and answers that
are not the right ones.
"""

from __future__ import annotations

import argparse
import http.client
import json
import socket
import subprocess
import tempfile
import threading
import time
import urllib.parse
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from filmroom.indexer.models.registry import load_towers
from filmroom.search.searcher import Searcher
from filmroom.search.ui.server.launch import command
from made import made_archive

FINDINGS = ("effusion", "cardiomegaly", "edema", "nodule", "mass", "pneumothorax", "consolidation", "atelectasis")
WORDS = ("small left", "large right", "bilateral", "old", "new", "upper", "lower", "basal")
VIEWS = ("", " view:PA", " view:AP")
TOP = 10


@dataclass
class Seen:
    """What clients were answered."""

    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    wrong: int = 0


def queries() -> list[str]:
    return [f"{word} {finding}{view}" for word in WORDS for finding in FINDINGS for view in VIEWS]


def right_answers(archive: Path) -> dict[str, list[int]]:
    searcher = Searcher.open(archive)
    return {query: [hit.id for hit in searcher.search(query, k=TOP).hits] for query in queries()}


def client(port: int, right: dict[str, list[int]], number: int, until: float, seen: Seen, lock: threading.Lock) -> None:
    """Ask one query after the other on one connection."""
    order = list(right)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=120)
    at = number * 7
    while time.monotonic() < until:
        query = order[at % len(order)]
        at += 1
        started = time.perf_counter()
        try:
            connection.request("GET", f"/api/v1/search?k={TOP}&q={urllib.parse.quote(query)}")
            answer = connection.getresponse()
            body = answer.read()
            took = time.perf_counter() - started
            with lock:
                if answer.status != 200:
                    seen.errors.append(f"{answer.status} {body[:80]!r}")
                    continue
                found = json.loads(body)
                seen.seconds.append(took)
                seen.wrong += found["query"] != query or [hit["id"] for hit in found["hits"]] != right[query]
        except OSError as error:
            with lock:
                seen.errors.append(type(error).__name__)
            connection.close()
    connection.close()


def measure(port: int, right: dict[str, list[int]], clients: int, seconds: float) -> Seen:
    seen, lock = Seen(), threading.Lock()
    until = time.monotonic() + seconds
    threads = [
        threading.Thread(target=client, args=(port, right, number, until, seen, lock)) for number in range(clients)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return seen


def serve(archive: Path) -> tuple[subprocess.Popen[bytes], int]:
    """Start a server and wait until it answers."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = int(free.getsockname()[1])
    process = subprocess.Popen(command(archive, port=port, token=False), stdout=subprocess.DEVNULL)
    for _ in range(600):
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
            connection.request("GET", f"/api/v1/search?k={TOP}&q=effusion")
            if connection.getresponse().status == 200:
                return process, port
        except OSError:
            time.sleep(0.2)
    raise SystemExit("the server did not start")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--archive", type=Path, help="default: one of made vectors")
    parser.add_argument("--films", type=int, default=10_000, help="of the made archive")
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=60)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        archive = asked.archive
        if archive is None:
            archive = made_archive(Path(folder) / "archive", asked.films, load_towers().space).folder
        run(archive, asked.clients, asked.seconds)


def run(archive: Path, many: int, longest: float) -> None:
    right = right_answers(archive)
    process, port = serve(archive)
    try:
        for clients, seconds in ((1, min(15.0, longest)), (many, longest)):
            seen = measure(port, right, clients, seconds)
            times = 1000 * np.array(seen.seconds or [np.nan])
            print(
                f"{clients:3} clients: {len(seen.seconds) / seconds:6.1f} answers a second, median "
                f"{np.median(times):5.0f} ms, 99th percentile {np.percentile(times, 99):5.0f} ms, "
                f"{len(seen.errors)} errors, {seen.wrong} wrong answers"
            )
            for error in sorted(set(seen.errors))[:5]:
                print("   ", error)
    finally:
        process.terminate()
        process.wait(30)


if __name__ == "__main__":
    main()
