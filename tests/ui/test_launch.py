from __future__ import annotations

from pathlib import Path

import pytest

from search.ui.launch import command, is_loopback


def test_it_listens_on_this_machine_alone_unless_told_otherwise() -> None:
    said = command(Path("/films"))
    assert "--server.address=127.0.0.1" in said
    assert "--server.allowedHosts=localhost" in said
    assert said[-2:] == ["--archive", "/films"]
    assert "--browser.gatherUsageStats=false" in said


def test_an_open_address_checks_no_host_names() -> None:
    assert not any("allowedHosts" in flag for flag in command("/films", "0.0.0.0", 80))


def test_what_it_names_is_there() -> None:
    said = command("/films")
    theme = next(flag.split("=", 1)[1] for flag in said if flag.startswith("--theme.base"))
    assert Path(theme).is_file()
    assert Path(said[said.index("run") + 1]).is_file()


@pytest.mark.parametrize(
    ("host", "local"),
    [("127.0.0.1", True), ("localhost", True), ("::1", True), ("127.9.9.9", True), ("0.0.0.0", False), ("h", False)],
)
def test_loopback(host: str, local: bool) -> None:
    assert is_loopback(host) is local
