from __future__ import annotations

from pathlib import Path

import pytest
from filmroom.db.errors import BadInput
from filmroom.search.ui.server.launch import APP, address, command, own_names, settings
from filmroom.search.ui.server.loopback import is_loopback


def test_it_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    said = command(Path("/films"))
    assert said[said.index("--host") + 1] == "127.0.0.1"
    assert said[-2:] == ["--archive", "/films"]
    chosen = settings("127.0.0.1", 8501)
    assert "localhost" in chosen["server.allowedHosts"]
    assert chosen["browser.gatherUsageStats"] is False


def test_a_viewer_is_handed_on_and_one_that_is_none_is_refused() -> None:
    viewer = "https://ohif.example/viewer?StudyInstanceUIDs={study_uid}"
    named = command(Path("/films"), viewer=viewer)
    assert named[named.index("--viewer") + 1] == viewer
    for wrong in ("ohif", "javascript:alert({study_uid})", "https://ohif.example"):
        with pytest.raises(BadInput, match="no address of a viewer"):
            command(Path("/films"), viewer=wrong)


def test_a_server_behind_a_proxy_knows_its_name() -> None:
    public = "https://films.example"
    named = command(Path("/films"), public=public, log=True)
    assert named[named.index("--public") + 1] == public
    assert "--log" in named
    assert "films.example" in own_names("127.0.0.1", public=public)
    chosen = settings("127.0.0.1", 8501, public=public)
    assert {"films.example", "localhost"} <= set(chosen["server.allowedHosts"])
    assert not is_loopback(chosen["browser.serverAddress"]), "whoever comes by it is not at this machine"
    assert address("127.0.0.1", 8501, public="https://films.example:8443/") == "https://films.example:8443/"
    for wrong in ("films.example", "https://films.example/room", "ftp://films.example", "https://a@b", "https://a:x"):
        with pytest.raises(BadInput, match="no address of a server"):
            command(Path("/films"), public=wrong)


def test_an_open_address_checks_no_host_names() -> None:
    assert "server.allowedHosts" not in settings("0.0.0.0", 80)


def test_what_it_names_is_there() -> None:
    assert Path(settings("127.0.0.1", 8501)["theme.base"]).is_file()
    assert APP.is_file()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("h", False)],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
