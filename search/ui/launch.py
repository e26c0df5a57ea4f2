"""How the reading room is started: one command line, from a checkout or an installed wheel."""

from __future__ import annotations

import contextlib
import ipaddress
import sys
import threading
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
    start = f"import sys; sys.path.insert(0, {str(HOME)!r}); from search.ui.launch import main; main()"
    # -P: the folder it is started in must not lend us its modules.
    return [sys.executable, "-P", "-c", start, "run", str(HOME / "app.py"), *flags, "--", "--archive", str(archive)]


def main() -> None:
    """Streamlit's own command line, with the model loading beside it: the first visitor need not wait for both."""
    archive = Path(sys.argv[sys.argv.index("--archive") + 1])
    threading.Thread(target=_warm, args=(archive,), daemon=True).start()
    from streamlit.web.cli import main as streamlit

    streamlit(prog_name="streamlit")


def _warm(archive: Path) -> None:
    from db.errors import FilmroomError
    from search.ui import frame, home  # noqa: F401 (the first page, so that its imports are done)

    # What is wrong with the archive or its model, the pages say.
    with contextlib.suppress(FilmroomError):
        frame.searcher(archive).search("chest film", k=1)


def is_loopback(host: str) -> bool:
    """True where only this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
