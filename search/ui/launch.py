"""How the reading room is started: one command line, from a checkout or an installed wheel."""

from __future__ import annotations

import ipaddress
import sys
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]

LOCAL_NAMES = ("localhost", "127.0.0.1", "::1")


def command(archive: str | Path, host: str = "127.0.0.1", port: int = 8501) -> list[str]:
    """The Streamlit command that serves `archive` on `host`:`port`.

    Everything is on the command line, because an installed wheel has no `.streamlit` folder beside the place
    where it is started. A loopback address also checks the Host header, so that no other web page can reach the
    archive through a name of its own that points here.
    """
    options: dict[str, object] = {
        "server.address": host,
        "server.port": port,
        "server.headless": "true",
        "server.fileWatcherType": "none",
        "server.maxUploadSize": 256,
        "server.showEmailPrompt": "false",
        "browser.gatherUsageStats": "false",
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": "false",
        "runner.magicEnabled": "false",
        "logger.level": "warning",
        "theme.base": HOME / "assets" / "style" / "theme.toml",
    }
    flags = [f"--{name}={value}" for name, value in options.items()]
    if is_loopback(host):
        flags += [f"--server.allowedHosts={name}" for name in dict.fromkeys((*LOCAL_NAMES, host))]
    program = [sys.executable, "-m", "streamlit", "run", str(HOME / "app.py"), *flags]
    return [*program, "--", "--archive", str(archive)]


def is_loopback(host: str) -> bool:
    """True where only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
