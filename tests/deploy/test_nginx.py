"""A real nginx with the configuration of deploy/ before a real server: TLS, websocket, uploads, log, and the end."""

from __future__ import annotations

import http.client
import json
import re
import shutil
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.archive import Archive
from filmroom.indexer.models.registry import add_model, load_towers
from filmroom.indexer.pipeline import index
from filmroom.search.ui.server.launch import command
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

from tests.conftest import write_film
from tests.deploy.test_examples import DEPLOY, tool
from tests.ui.room import free_port
from tests.ui.visitors import faults, run_page

pytestmark = pytest.mark.slow
PATIENCE = 180.0


class Site:
    """What a browser knows of it: its name, and the port where nginx stands for it."""

    def __init__(self, folder: Path, port: int, plain: int, server: subprocess.Popen[bytes], log: Path) -> None:
        self.folder, self.port, self.plain, self.server, self.log = folder, port, plain, server, log
        self.name = f"films.example:{port}"
        self.origin = f"https://{self.name}"
        self.tls = ssl.create_default_context(cafile=str(folder / "films.crt"))
        self.cookie: dict[str, str] = {}

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.log.read_text().splitlines()]

    def connection(self, *, tls: bool = True) -> http.client.HTTPConnection:
        plain = socket.create_connection(("127.0.0.1", self.port if tls else self.plain), PATIENCE)
        made = http.client.HTTPConnection("films.example", timeout=PATIENCE)
        made.sock = self.tls.wrap_socket(plain, server_hostname="films.example") if tls else plain
        return made

    def ask(
        self, path: str, *, method: str = "GET", body: bytes | None = None, tls: bool = True, **headers: str
    ) -> tuple[int, http.client.HTTPMessage, bytes]:
        made = self.connection(tls=tls)
        named = {key.replace("_", "-"): value for key, value in headers.items()}
        made.request(method, path, body, {"Host": self.name, **self.cookie, **named})
        answer = made.getresponse()
        return answer.status, answer.headers, answer.read()

    def join(self, origin: str) -> ClientConnection:
        plain = socket.create_connection(("127.0.0.1", self.port), PATIENCE)
        return connect(
            f"wss://{self.name}/_stcore/stream",
            sock=plain,
            ssl=self.tls,
            server_hostname="films.example",
            origin=origin,  # type: ignore[arg-type]
            additional_headers=self.cookie,
            subprotocols=["streamlit"],  # type: ignore[list-item]
            open_timeout=PATIENCE,
            max_size=None,
            ping_interval=None,
        )


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, tiny: Path) -> Iterator[Site]:
    nginx, openssl = tool("nginx", "apt-get install nginx-light"), tool("openssl", "apt-get install openssl")
    folder = tmp_path_factory.mktemp("site")
    for number in range(4):
        write_film(folder / "films" / f"film-{number}.png", number)
    add_model(str(tiny))
    index(Archive.create(folder / "archive"), [folder / "films"], load_towers("tiny"))
    subprocess.run(
        [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=films.example",
         "-addext", "subjectAltName=DNS:films.example",
         "-keyout", str(folder / "films.key"), "-out", str(folder / "films.crt")],
        check=True, capture_output=True,
    )  # fmt: skip
    port, plain, inner = free_port(), free_port(), free_port()
    log = folder / "log"
    with log.open("wb") as out:
        public = f"https://films.example:{port}"
        server = subprocess.Popen(command(folder / "archive", port=inner, public=public, log=True), stderr=out)
    proxy = subprocess.Popen([nginx, "-p", str(folder), "-c", str(configuration(folder, port, plain, inner))])
    made = Site(folder, port, plain, server, log)
    try:
        end = time.monotonic() + PATIENCE
        while not any(one["event"] == "listening" for one in made.lines()):
            assert server.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)
        yield made
    finally:
        proxy.terminate()
        proxy.wait(30)
        server.kill()
        server.wait(30)


def configuration(folder: Path, port: int, plain: int, inner: int) -> Path:
    """The file of deploy/ as it is, but for ports and paths, within the least that nginx needs."""
    text = (DEPLOY / "nginx.conf").read_text()
    changes: Mapping[str, str] = {
        r"listen \[::\].*\n": "",
        r"listen 80;": f"listen 127.0.0.1:{plain};",
        r"listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
        r"/etc/nginx/films": f"{folder}/films",
        r"/var/log/nginx/": f"{folder}/",
        r"127\.0\.0\.1:8501": f"127.0.0.1:{inner}",
    }
    for written, here in changes.items():
        text, count = re.subn(written, here, text)
        assert count, f"the file of deploy/ has no {written}"
    temporary = "".join(
        f"{kind}_temp_path {folder}/{kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    whole = folder / "nginx.conf"
    whole.write_text(
        f"daemon off;\nworker_processes 1;\npid {folder}/nginx.pid;\nerror_log {folder}/error.log;\n"
        f"{'user root;' if shutil.os.getuid() == 0 else ''}\n"  # type: ignore[attr-defined]
        f"events {{}}\nhttp {{\naccess_log off;\n{temporary}\n{text}\n}}\n"
    )
    return whole


def test_a_visitor_comes_in_by_the_address_of_the_log_and_the_page_works(site: Site) -> None:
    status, headers, _ = site.ask("/film?film=1", tls=False)
    assert (status, headers["location"]) == (308, "https://films.example/film?film=1")
    assert site.ask("/")[0] == 403
    (address,) = [one["address"] for one in site.lines() if one["event"] == "listening"]
    assert address.startswith(f"{site.origin}/?token=")
    status, headers, _ = site.ask(address.removeprefix(site.origin))
    assert (status, headers["location"]) == (303, "/")
    assert {"Secure", "HttpOnly", "SameSite=Lax"} <= set(headers["set-cookie"].split("; "))
    site.cookie = {"Cookie": headers["set-cookie"].partition(";")[0]}
    status, headers, body = site.ask("/")
    assert status == 200
    assert b"<title>" in body
    assert headers.get_all("strict-transport-security") == ["max-age=31536000"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert not re.search(r"\d", headers.get("server", "")), "nginx tells its version"
    with site.join(site.origin) as page:
        assert faults(run_page(page, "", patience=PATIENCE)) == []
    with pytest.raises(InvalidStatus), site.join("https://elsewhere.example"):
        pass
    assert site.ask("/", Host="rebound.example")[0] == 403, "a name that nobody gave this server"


def test_programs_and_large_uploads_pass_and_nobody_names_folders(site: Site) -> None:
    status, _, body = site.ask("/api/v1/search?q=a%20name%20of%20somebody&k=2")
    assert (status, len(json.loads(body)["hits"])) == (200, 2)
    assert site.ask("/api/v1/status", Cookie="none=0")[0] == 401
    boundary = "b0undary"
    head = f'--{boundary}\r\nContent-Disposition: form-data; name="file"; filename="Doe^John.png"\r\n\r\n'.encode()
    form = head + bytes(48 << 20) + f"\r\n--{boundary}--\r\n".encode()
    kind = f"multipart/form-data; boundary={boundary}"
    status, _, body = site.ask("/api/v1/similar?k=2", method="POST", body=form, Content_Type=kind, Origin=site.origin)
    assert (status, json.loads(body)["what"]) == (400, "not an image"), "48 MB arrived, and are no film"
    status, _, body = site.ask(
        "/api/v1/runs", method="POST", body=b'{"paths": ["/etc"]}', Content_Type="application/json", Origin=site.origin
    )
    assert status == 403, "whoever a proxy brings is not at this machine"
    made = site.connection()
    made.putrequest("POST", "/api/v1/similar", skip_host=True)
    for name, value in {"Host": site.name, "Content-Length": str(300 << 20)}.items():
        made.putheader(name, value)
    made.endheaders()
    assert made.getresponse().status == 413
    assert site.ask("/health")[::2] == (200, b'{"status":"ok"}')
    status, _, body = site.ask("/metrics")
    assert status == 200
    assert b'filmroom_requests_total{method="GET",route="/search",status="200"} 1.0' in body


def test_the_log_is_json_and_names_nobody(site: Site) -> None:
    lines = site.lines()
    requests = [one for one in lines if one["event"] == "request"]
    assert {"/", "/api/v1/search", "/api/v1/similar", "/_stcore/stream", "/health"} <= {
        one["route"] for one in requests
    }
    assert all(set(one) == {"time", "level", "event", "method", "route", "status", "ms"} for one in requests)
    said = "\n".join(json.dumps(one) for one in lines if one["event"] != "listening")
    token = site.cookie["Cookie"].partition("=")[2]
    assert not re.search(rf"somebody|Doe|film=1|127\.0\.0\.1|{re.escape(token)}", said)


def test_what_is_under_way_ends_before_the_server_does(site: Site) -> None:
    with site.join(site.origin):
        _stop_in_the_middle(site)


def _stop_in_the_middle(site: Site) -> None:
    made = site.connection()
    body = b'{"texts": ["effusion"]}'
    made.putrequest("POST", "/api/v1/embed/text", skip_host=True)
    told = {"Host": site.name, "Content-Type": "application/json", "Content-Length": str(len(body)), **site.cookie}
    for name, value in {**told, "Origin": site.origin}.items():
        made.putheader(name, value)
    made.endheaders(body[:5])
    time.sleep(1)
    site.server.send_signal(signal.SIGTERM)
    time.sleep(1)
    assert site.server.poll() is None, "a request is under way"
    made.send(body[5:])
    answer = made.getresponse()
    assert (answer.status, len(json.loads(answer.read())["vectors"])) == (200, 1)
    assert site.server.wait(60) in (0, -signal.SIGTERM)
    assert site.lines()[-1]["event"] == "stopped"
