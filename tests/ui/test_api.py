"""The REST interface of a server that runs: the same numbers as terminal and page, behind the same door."""

from __future__ import annotations

import json
import os
import re
import subprocess
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from filmroom.search.ui.server import access_token
from filmroom.search.ui.server.api import admits, names_folders

from tests.pages import page, shown
from tests.terminal import Terminal
from tests.ui.room import Room

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "api.md").read_text("utf-8")


def asked(room: Room, path: str, **headers: str) -> tuple[int, Any]:
    request = urllib.request.Request(room.url + path, headers={**room.headers, **headers})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return answer.status, json.load(answer)
    except urllib.error.HTTPError as fault:
        return fault.code, json.load(fault)


@pytest.mark.slow
@pytest.mark.parametrize("query", ["effusion", "effusion -cardiomegaly", "label:effusion", "left mass"])
def test_terminal_page_and_interface_give_the_same(
    query: str, room: Room, archive_folder: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.archive = archive_folder
    printed = json.loads(terminal("search", query, "-k", 24, "--json"))
    assert terminal.code == 0, terminal.err
    status, answered = asked(room, f"/api/v1/search?q={urllib.request.quote(query)}&k=24")  # type: ignore[attr-defined]
    assert status == 200
    for one in (printed, answered):
        one.pop("took_ms")
    assert answered == printed
    seen = shown(page(archive_folder, "search", monkeypatch, q=query))
    assert [hit["id"] for hit in answered["hits"]] == seen


@pytest.mark.slow
def test_the_server_answers_programs_through_its_own_door(room: Room) -> None:
    assert asked(room, "/health") == (200, {"status": "ok"})
    with urllib.request.urlopen(f"{room.url}/api/docs", timeout=60) as answer:
        assert answer.headers["x-frame-options"] == "DENY"
        assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert asked(room, "/api/v1/status", Origin="https://elsewhere.example")[0] == 403
    assert asked(room, "/api/v1/status", Authorization="Bearer wrong")[0] == 401
    assert asked(room, "/api/v1/nothing")[0] == 404
    assert asked(room, "/api/v1/status", Cookie="none=0")[0] == 401, "the token of the address that serve printed"
    host = {"Host": "rebound.example"}
    assert asked(room, "/api/v1/status", **host)[0] == 401, "another name of this machine"


@pytest.mark.slow
def test_the_examples_of_the_page_run(
    room: Room, archive_folder: Path, tmp_path: Path, terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.archive = archive_folder
    monkeypatch.chdir(tmp_path)
    (tmp_path / "film.png").write_bytes((archive_folder.parent / "films" / "film-003.png").read_bytes())
    blocks = re.findall(r"```(python|sh)\n(.*?)```", PAGE, re.DOTALL)
    commands = next(block for kind, block in blocks if "filmroom token" in block).splitlines()
    token = terminal(*commands[1].split()[1:]).strip()
    assert terminal.code == 0, terminal.err
    names: dict[str, object] = {"SERVER": room.url, "TOKEN": token}
    for kind, block in blocks:
        if kind == "python":
            exec(compile(block, "docs/api.md", "exec"), names)
        elif "curl" in block:
            for line in block.splitlines():
                done = subprocess.run(
                    ["bash", "-c", line],
                    env={**os.environ, "SERVER": room.url, "TOKEN": token},
                    capture_output=True,
                    text=True,
                    check=True,
                )
                assert "-o film-1.png" in line or '"status"' not in done.stdout, done.stdout
    assert (tmp_path / "film-1.png").read_bytes().startswith(b"\x89PNG")
    terminal("token", "revoke", "pipeline")
    assert asked(room, "/api/v1/tags", Authorization=f"Bearer {token}")[0] == 401


def test_a_server_that_others_reach_wants_a_token_or_a_sign_in(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import auth_util

    scope: dict[str, Any] = {"type": "http", "headers": [(b"host", b"localhost:8501")]}
    monkeypatch.setattr(auth_util, "get_secrets_auth_section", dict)
    assert admits(scope, host="127.0.0.1")
    assert admits({**scope, "headers": [(b"host", b"[::1]:8501")]}, host="127.0.0.1")
    assert not admits({**scope, "headers": [(b"host", b"rebound.example")]}, host="127.0.0.1")
    assert not admits(scope, host="0.0.0.0")
    monkeypatch.setattr(auth_util, "get_secrets_auth_section", lambda: {"client_id": "filmroom"})
    monkeypatch.setattr("streamlit.web.server.server_util.get_cookie_secret", lambda: "secret")
    assert not admits(scope, host="127.0.0.1"), "nobody has signed in"


def test_who_names_folders_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    from streamlit import auth_util

    monkeypatch.setattr(auth_util, "get_secrets_auth_section", dict)
    monkeypatch.setattr(access_token, "_in_force", [])
    assert not names_folders(host="127.0.0.1"), "--no-token"
    access_token.require(access_token.AccessToken(8501))
    assert names_folders(host="127.0.0.1")
    assert not names_folders(host="0.0.0.0"), "as on the pages"
    monkeypatch.setattr(auth_util, "get_secrets_auth_section", lambda: {"client_id": "filmroom"})
    assert names_folders(host="0.0.0.0")
