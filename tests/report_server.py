"""An HTTP server that answers as a CXRReportGen endpoint does, and that can be told to fail as one does."""

from __future__ import annotations

import base64
import io
import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from PIL import Image

KEY = "a-key-of-the-tests"
FOUND = [
    ["Small left pleural effusion.", [[0.55, 0.6, 0.95, 0.9]]],
    ["Bilateral lower zone opacities.", [[0.1, 0.5, 0.4, 0.85], [0.6, 0.5, 0.9, 0.85]]],
    ["No pneumothorax.", None],
]


@dataclass
class Server:
    """`script`: what the next calls get, in order: a status, or bytes for a whole body; then FOUND again and again.
    `seen`: the requests that were answered, by column, pictures as (width, height)."""

    url: str = ""
    script: list[int | bytes | str] = field(default_factory=list)
    seen: list[dict[str, Any]] = field(default_factory=list)
    calls: int = 0
    found: list[Any] = field(default_factory=lambda: FOUND)


def body(found: object) -> bytes:
    """An answer with these findings, in the wrapping of the endpoint."""
    return json.dumps([{"output": json.dumps(found)}]).encode()


@contextmanager
def serving() -> Iterator[Server]:
    told = Server()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = self.rfile.read(int(self.headers["Content-Length"]))
            told.calls += 1
            step = told.script.pop(0) if told.script else 200
            if self.headers["Authorization"] != f"Bearer {KEY}":
                step = 401
            if step == "hang up":
                self.connection.close()
                return
            if isinstance(step, bytes):
                self._answer(200, step)
            elif step != 200:
                self._answer(int(step), b"<html>no</html>")
            else:
                said = json.loads(asked)["input_data"]
                (row,) = said["data"]
                told.seen.append({name: _size(name, value) for name, value in zip(said["columns"], row, strict=True)})
                self._answer(200, body(told.found))

        def _answer(self, status: int, content: bytes) -> None:
            self.send_response(status)
            if status == 302:
                self.send_header("Location", "http://127.0.0.1:1/elsewhere")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: object) -> None:
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    told.url = f"http://127.0.0.1:{server.server_port}/score"
    threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
    try:
        yield told
    finally:
        server.shutdown()
        server.server_close()


def _size(name: str, value: str) -> object:
    if not name.endswith("_image"):
        return value
    picture = Image.open(io.BytesIO(base64.b64decode(value, validate=True)))
    assert (picture.format, picture.mode) == ("PNG", "L")
    return picture.size


if __name__ == "__main__":  # by hand: python tests/report_server.py
    with serving() as one:
        print(one.url, flush=True)
        threading.Event().wait()
