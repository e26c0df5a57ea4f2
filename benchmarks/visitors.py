"""Many visitors of the reading room at once, and those who are not to be let in.

    python benchmarks/visitors.py [--users 30] [--reruns 20] [--sockets 100]

Prints a Markdown table; exits with 1 where an answer was wrong, a page said a fault, a stranger was let in, or the
server called anybody.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import socketserver
import sys
import tempfile
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from websockets.exceptions import InvalidStatus

from tests.ui import conftest, visitors
from tests.ui.room import Room

FOREIGN = {"Origin": "http://elsewhere.example"}


@dataclass
class Visits:
    """`crowd` counts what the visitors ran, wrong answers, and every fault that a page said."""

    crowd: Counter[str]
    refused: int = 0
    let_in: int = 0
    open_pages: int = 0
    health: list[float] = field(default_factory=list)
    called: list[bytes] = field(default_factory=list)

    @property
    def faults(self) -> int:
        return self.crowd.total() - self.crowd["reruns"] - self.crowd["wrong answers"]

    @property
    def sound(self) -> bool:
        return not (self.crowd["wrong answers"] or self.faults or self.let_in or self.called)

    def rows(self) -> list[tuple[str, str]]:
        return [
            ("pages run by visitors at once, every second one a query", f"{self.crowd['reruns']:,}"),
            ("- wrong answers", f"{self.crowd['wrong answers']:,}"),
            ("- faults on a page", f"{self.faults:,}"),
            ("websockets of foreign pages and of strangers without the token", f"{self.refused + self.let_in:,}"),
            ("- let in", f"{self.let_in:,}"),
            ("pages open at once, of 100 that were opened", f"{self.open_pages:,}"),
            ("slowest of the health checks meanwhile, s", f"{max(self.health):.1f}"),
            ("connections that the server made to anybody", f"{len(self.called):,}"),
        ]


@contextlib.contextmanager
def recorder(called: list[bytes]) -> Iterator[dict[str, str]]:
    """An environment in which every call to the internet comes here."""

    class Recorder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            called.append(self.request.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Recorder) as proxy:
        threading.Thread(target=proxy.serve_forever, daemon=True).start()
        here = f"http://127.0.0.1:{proxy.server_address[1]}"
        yield os.environ | dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), here)
        proxy.shutdown()


def visit(place: Path, *, users: int = 30, reruns: int = 20, sockets: int = 100) -> Visits:
    """Visitors at once; then foreign pages and strangers, while more pages are opened than are let in."""
    called: list[bytes] = []
    with conftest.models_of(place), recorder(called) as env:
        served = Room(conftest.make_archive(place), env=env)
        try:
            with visitors.health(served.url) as seconds:
                answers = visitors.answers_alone(served.url, served.headers)
                crowd = visitors.crowd(served.url, served.headers, users=users, reruns=reruns, answers=answers)
                done = Visits(crowd, health=seconds, called=called)
                with contextlib.ExitStack() as open_pages:
                    for _ in range(sockets):
                        for headers in (served.headers | FOREIGN, FOREIGN, {}):
                            knock(done, served, headers)
                        with contextlib.suppress(InvalidStatus):
                            open_pages.enter_context(visitors.join(served.url, served.headers))
                            done.open_pages += 1
        finally:
            served.close()
    return done


def knock(done: Visits, served: Room, headers: dict[str, str]) -> None:
    try:
        with visitors.join(served.url, headers):
            done.let_in += 1
    except InvalidStatus:
        done.refused += 1


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--users", type=int, default=30)
    parser.add_argument("--reruns", type=int, default=20)
    parser.add_argument("--sockets", type=int, default=100)
    said = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="filmroom-visitors-") as place:
        done = visit(Path(place), users=said.users, reruns=said.reruns, sockets=said.sockets)
    print("| what | how many |\n| --- | --- |")
    for what, count in done.rows():
        print(f"| {what} | {count} |")
    for fault, count in done.crowd.items():
        if fault not in ("reruns", "wrong answers"):
            print(f"{count} x {fault}", file=sys.stderr)
    return 0 if done.sound else 1


if __name__ == "__main__":
    sys.exit(main())
