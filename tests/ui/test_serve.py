"""The server as it is started: what it prints, whom it lets in, and whom it asks for anything."""

from __future__ import annotations

import contextlib
import http.server
import os
import signal
import socket
import socketserver
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from filmroom.indexer import interrupts
from filmroom.search.ui.server import launch
from filmroom.search.ui.server.admission import MOST_WEBSOCKETS
from websockets.exceptions import InvalidStatus

from tests.terminal import Terminal
from tests.ui.room import Room, expect, free_port, needs_chromium
from tests.ui.visitors import faults, join, run_page

PATHS = ("/", "/film?film=1", "/archive", "/media/x.webp", "/_stcore/host-config", "/favicon.png", "/static/js/x.js")


def status(url: str, headers: Mapping[str, str] | None = None) -> int:
    """Without following a redirect."""

    class Still(urllib.request.HTTPRedirectHandler):
        def redirect_request(self, *_: Any) -> None:
            return None

    opener = urllib.request.build_opener(Still, urllib.request.ProxyHandler({}))
    try:
        with opener.open(urllib.request.Request(url, headers=dict(headers or {})), timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        return fault.code


def joined(room: Room, headers: Mapping[str, str]) -> int:
    """101 where a websocket is opened, else the status of the refusal."""
    try:
        with join(room.url, headers):
            return 101
    except InvalidStatus as refused:
        return refused.response.status_code


def test_another_user_of_the_machine_is_let_in_nowhere(room: Room) -> None:
    assert [status(room.url + path) for path in PATHS] == [403] * len(PATHS)
    assert joined(room, {}) == 403
    assert status(f"{room.url}/_stcore/health") == 200
    assert status(room.address) == 303
    assert status(room.url, room.headers) == 200
    with join(room.url, room.headers) as socket:
        assert faults(run_page(socket, "archive")) == []


def test_a_foreign_page_reaches_nothing_and_provokes_no_call_to_the_internet(
    archive_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    called: list[bytes] = []

    class Recorder(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            called.append(self.request.recv(65536))

    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Recorder) as proxy:
        threading.Thread(target=proxy.serve_forever, args=(0.02,), daemon=True).start()
        where = f"http://127.0.0.1:{proxy.server_address[1]}"
        env = os.environ | dict.fromkeys(("http_proxy", "https_proxy", "HTTP_PROXY", "HTTPS_PROXY"), where)
        served = Room(archive_folder, env=env)
        try:
            for origin in ("http://elsewhere.example", "http://127.0.0.1:3000", "null"):
                began = time.monotonic()
                assert joined(served, served.headers | {"Origin": origin}) == 403
                assert status(served.url, served.headers | {"Origin": origin}) == 403
                assert time.monotonic() - began < 5
            assert joined(served, served.headers | {"Origin": served.url}) == 101
            with join(served.url, served.headers) as socket:
                assert faults(run_page(socket, "", "q=effusion")) == []
        finally:
            served.close()
            proxy.shutdown()
    assert called == []


def test_the_health_check_is_answered_while_too_many_pages_are_open(room: Room) -> None:
    with contextlib.ExitStack() as all_of_them:
        opened = refused = 0
        for _ in range(MOST_WEBSOCKETS + 8):
            try:
                all_of_them.enter_context(join(room.url, room.headers))
                opened += 1
            except InvalidStatus as fault:
                refused += fault.response.status_code == 503
        assert (opened, refused) == (MOST_WEBSOCKETS, 8)
        began = time.monotonic()
        assert status(f"{room.url}/_stcore/health") == 200
        assert time.monotonic() - began < 5


def test_without_a_token_nobody_names_folders_behind_whatever_proxy(archive_folder: Path) -> None:
    served = Room(archive_folder, token=False)
    try:
        assert served.address == served.url + "/" or served.address == served.url
        assert status(served.url) == 200
        with join(served.url, {"X-Forwarded-For": "192.0.2.1"}) as socket:
            shown = str(run_page(socket, "archive"))
        assert "From here only after a sign-in" in shown
        assert "Folder or file on the machine" not in shown
    finally:
        served.close()


def test_no_settings_of_the_folder_it_is_started_in_are_taken(archive_folder: Path, tmp_path: Path) -> None:
    """Streamlit reads `.streamlit` there: beside films from elsewhere it could turn the token off."""
    (tmp_path / ".streamlit").mkdir()
    (tmp_path / ".streamlit" / "config.toml").write_text(
        '[server]\nbaseUrlPath = "elsewhere"\ncookieSecret = "known"\n'
    )
    (tmp_path / ".streamlit" / "secrets.toml").write_text(
        '[auth]\nredirect_uri = "http://localhost/oauth2callback"\ncookie_secret = "known"\nclient_id = "x"\n'
        'client_secret = "x"\nserver_metadata_url = "http://127.0.0.1:9/.well-known/openid-configuration"\n'
    )
    served = Room(archive_folder, cwd=tmp_path)
    try:
        assert "?token=" in served.address
        assert status(f"{served.url}/") == 403
        assert status(f"{served.url}/", served.headers) == 200
    finally:
        served.close()


@pytest.mark.parametrize("times", [1, 2, 100])
def test_ctrl_c_is_a_clean_end_and_a_second_one_an_end_at_once(tmp_path: Path, times: int) -> None:
    port = free_port()

    def hears_ctrl_c() -> None:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # of a test run in the background it is ignored

    program = launch.command(tmp_path / "archive", "127.0.0.1", port)
    with subprocess.Popen(program, stderr=subprocess.PIPE, text=True, preexec_fn=hears_ctrl_c) as server:
        assert server.stderr is not None
        assert "Ctrl-C stops it" in server.stderr.readline()
        assert status(f"http://127.0.0.1:{port}/_stcore/health") == 200
        for _ in range(times):
            server.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                server.wait(0.03)
        # Two that the system gives as one are one.
        codes = {1: (0,), 2: (0, interrupts.STOPPED), 100: (interrupts.STOPPED,)}
        assert server.wait(60) in codes[times]
        assert server.stderr.read() == ""


def test_a_taken_port_is_said_before_any_address(terminal: Terminal) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        assert terminal("serve", "--port", port) == ""
    assert terminal.code == 1
    assert "http://" not in terminal.err
    assert terminal.err.startswith(f"filmroom: 127.0.0.1: port {port} is taken. Stop what listens there")
    assert len(terminal.err.splitlines()) == 1
    terminal("serve", "--host", "192.0.2.1", "--port", free_port())
    assert "this machine has no such address" in terminal.err


@pytest.fixture
def neighbour(room: Room) -> Iterator[str]:
    """A page of another port of this machine, which asks the room for all it can; the address of that page."""
    script = f"""
    const at = "{room.url}", seen = [];
    const tried = (name, promise) => promise.then((what) => seen.push(name + what), () => seen.push(name + "refused"));
    const image = new Promise((yes, no) => {{ const one = new Image(); one.onload = () => yes("seen"); one.onerror = no;
      one.src = at + "/favicon.png"; }});
    const socket = new Promise((yes, no) => {{ const one = new WebSocket(at.replace("http", "ws") + "/_stcore/stream",
      ["streamlit"]); one.onopen = () => yes("open"); one.onerror = no; }});
    Promise.all([tried("image ", image), tried("socket ", socket),
      tried("fetch ", fetch(at + "/", {{ credentials: "include" }}).then(() => "read"))])
      .then(() => {{ document.title = seen.sort().join(", "); }});
    """

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = f"<!DOCTYPE html><title>asking</title><script>{script}</script>".encode()
            self.send_response(200)
            self.send_header("Content-Type", "text/html")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            return

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


@pytest.mark.browser
class TestInABrowser:
    pytestmark = needs_chromium

    def test_the_printed_address_opens_and_a_bookmark_stays_open(self, visitor: Any, room: Room) -> None:
        visitor.clear_cookies()
        page = visitor.new_page()
        page.goto(f"{room.url}/?q=effusion")
        expect(page.get_by_text("Open the whole address that")).to_be_visible()
        page.goto(room.address)
        page.wait_for_selector('input[type="search"]')
        assert "token" not in page.url
        page.goto(f"{room.url}/?n=48")
        image = page.locator(".grid .frame img[src*='/media/']").first.get_attribute("src")
        assert image is not None
        assert status(room.url + image) == 403
        assert status(room.url + image, room.headers) == 200
        assert page.evaluate("document.cookie").find("filmroom") < 0
        page.close()

    def test_a_page_of_another_port_gets_nothing_though_the_browser_has_the_cookie(
        self, visitor: Any, room: Room, neighbour: str
    ) -> None:
        visitor.clear_cookies()
        visitor.add_cookies(room.cookies)
        page = visitor.new_page()
        page.goto(neighbour)
        page.wait_for_function("document.title !== 'asking'")
        assert page.title() == "fetch refused, image refused, socket refused"
        page.close()
