"""Start the reading room: one command line, from a checkout or an installed wheel."""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import signal
import socket
import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.indexer import interrupts
from filmroom.search.ui.server.access_token import PARAMETER, AccessToken, require, required
from filmroom.search.ui.server.dicom_viewer import SCHEMES, SETTING
from filmroom.search.ui.server.loopback import LOCAL_NAMES, is_loopback

if TYPE_CHECKING:
    from starlette.middleware import Middleware

APP = Path(__file__).resolve().parents[3] / "app.py"

MAX_UPLOAD_MB = 256


def command(
    archive: str | Path,
    host: str = "127.0.0.1",
    port: int = 8501,
    *,
    token: bool = True,
    viewer: str = "",
    public: str = "",
    log: bool = False,
) -> list[str]:
    """Return the command that serves `archive` on `host`:`port`, to those who have the token of the address that it
    prints.

    Films and studies link to `viewer`. `public` is the address under which a proxy offers the server. With `log` it
    logs what it does, as lines of JSON. Raises BadInput for an address that is none.
    """
    if public and _public_host(public) is None:
        raise BadInput(
            "this is no address of a server",
            where=public,
            fix="Write it as browsers see it, without a path: https://films.example",
        )
    if viewer and not (viewer.startswith(SCHEMES) and "{study" in viewer):
        raise BadInput(
            "this is no address of a viewer",
            where=viewer,
            fix="Write it whole: 'https://ohif.example/viewer?StudyInstanceUIDs={study_uid}'.",
        )
    start = "from filmroom.search.ui.server.launch import main; main()"
    # -P: the folder it is started in must not lend us its modules.
    open_to_all = [] if token else ["--no-token"]
    linked = ["--viewer", viewer] if viewer else []
    behind = ["--public", public] if public else []
    logged = ["--log"] if log else []
    arguments = [
        "--host",
        host,
        "--port",
        str(port),
        *open_to_all,
        *linked,
        *behind,
        *logged,
        "--archive",
        str(archive),
    ]
    return [sys.executable, "-P", "-c", start, *arguments]


def check_free(host: str, port: int) -> None:
    """Raise BadInput where `host`:`port` cannot be listened on."""
    try:
        with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
            if os.name == "posix":
                probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
            probe.listen(1)
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            problem, fix = f"port {port} is taken", "Stop what listens there, or name another with --port."
        elif error.errno in (errno.EACCES, errno.EPERM):
            problem, fix = f"port {port} may not be used", "Name one above 1023 with --port."
        else:
            problem, fix = "this machine has no such address", "Name one of its own with --host."
        raise BadInput(problem, where=host, fix=fix) from None


def _public_host(public: str) -> str | None:
    """Return the name in the address of a proxy; None where it is no such address."""
    try:
        parts = urlsplit(public)
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    is_whole = parts.scheme in ("http", "https") and parts.path in ("", "/") and not (parts.query or parts.fragment)
    return parts.hostname if is_whole and "@" not in parts.netloc else None


def address(host: str, port: int, token: AccessToken | None = None, *, public: str = "") -> str:
    """Return what to open in a browser."""
    if public:
        return f"{public.rstrip('/')}/{f'?{PARAMETER}={token.value}' if token else ''}"
    name = "localhost" if host in LOCAL_NAMES else host
    if host in ("0.0.0.0", "::"):  # noqa: S104 (every address of this machine)
        name = socket.gethostname()
    known = f"/?{PARAMETER}={token.value}" if token else ""
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{known}"


def settings(host: str, port: int, *, public: str = "") -> dict[str, Any]:
    """Return Streamlit's settings.

    All are given here, because an installed wheel has no `.streamlit` folder beside the place where it is started. A
    loopback address also checks the Host header, so that no other web page can reach the archive through a name of
    its own that points here.
    """
    chosen: dict[str, Any] = {
        "server.address": host,
        "server.port": port,
        "server.headless": True,
        "server.fileWatcherType": "none",
        "server.maxUploadSize": MAX_UPLOAD_MB,
        "server.showEmailPrompt": False,
        "server.enableAgentApi": False,
        "browser.gatherUsageStats": False,
        "client.allowedOrigins": [],
        "client.toolbarMode": "minimal",
        "client.showErrorDetails": "none",
        "client.showErrorLinks": False,
        "runner.magicEnabled": False,
        "logger.level": "warning",
        "logger.hideWelcomeMessage": True,
        "theme.base": str(ASSETS / "style" / "theme.toml"),
    }
    if is_loopback(host):
        chosen["server.allowedHosts"] = sorted(own_names(host, public=public))
    if public:
        chosen["browser.serverAddress"] = _public_host(public)
    return chosen


def own_names(host: str, *, public: str = "") -> frozenset[str]:
    """Return the names by which a server on `host` is reached, by a proxy too; none where others may lead to it."""
    if not is_loopback(host):
        return frozenset()
    offered = _public_host(public)
    return frozenset((*LOCAL_NAMES, host, *([offered] if offered else [])))


def _read_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser()
    parser.add_argument("--archive", type=Path, required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=8501)
    parser.add_argument("--no-token", action="store_true")
    parser.add_argument("--viewer", default="")
    parser.add_argument("--public", default="")
    parser.add_argument("--log", action="store_true")
    return parser.parse_args()


def main() -> None:
    """Serve the pages, with the model loading beside it: the first visitor need not wait for both."""
    options = _read_options()
    ctrl_c = _CtrlC()
    if options.viewer:
        os.environ[SETTING] = options.viewer
    import streamlit as st
    from filmroom.search.ui.server import log, streamlit_private

    # Streamlit takes the first word for the script that was started, and hands the pages the others.
    sys.argv = [str(APP), "--archive", str(options.archive)]
    if options.log:
        log.take_over()
        streamlit_private.leave_logging_alone()

    def tell(event: str, text: str, **facts: str) -> None:
        if options.log:
            log.write(event, **facts)
        else:
            print(text, file=sys.stderr, flush=True)

    around = _around(options)
    streamlit_private.ask_no_address_service()
    streamlit_private.take_no_settings_of_this_folder()
    if Path(".streamlit").exists() and Path.cwd() not in (Path.home(), APP.parent):
        note = ".streamlit of this folder is not read, that of your home is."
        tell("note", f"Note: {note}", level="warning", message=note)
    require(None if options.no_token else AccessToken(options.port))

    @contextlib.asynccontextmanager
    async def beside(_: object) -> AsyncIterator[None]:
        ctrl_c.go_before_the_server()
        if streamlit_private.sign_in_settings():
            require(None)  # a sign-in says more than a token does, who it is
        # Here the port is ours: an address that is printed can be opened.
        link = address(options.host, options.port, required(), public=options.public)
        tell("listening", f"Filmroom: {link}  (Ctrl-C stops it)", address=link)
        threading.Thread(target=_warm, args=(options.archive,), daemon=True).start()
        yield

    application = st.App(APP, middleware=around, lifespan=beside)
    application.run(config=settings(options.host, options.port, public=options.public))


class _CtrlC:
    """Hears Ctrl-C: the first one ends the server, which closes what is open; before that, and a second time, it ends
    the process at once. What was written is safe at any moment. Uvicorn forces its end at the second one, with the
    traceback of what that breaks off."""

    def __init__(self) -> None:
        self._heard = self._told = False
        signal.signal(signal.SIGINT, self._outside)

    def go_before_the_server(self) -> None:
        """Hear before Uvicorn, which has put its own handler in place by now, and takes it away when it has ended."""
        server = signal.getsignal(signal.SIGINT)

        def hear(number: int, frame: FrameType | None) -> None:
            if self._heard:
                interrupts.leave(interrupts.STOPPED)
            self._heard = True
            if callable(server):
                server(number, frame)

        signal.signal(signal.SIGINT, hear)

    def _outside(self, number: int, frame: FrameType | None) -> None:
        if self._told or not self._heard:
            interrupts.leave(interrupts.STOPPED)
        self._told = True  # Uvicorn raises what it ended for once more, when it has ended


def _around(options: argparse.Namespace) -> list[Middleware]:
    """Return what stands around the pages, the outermost first."""
    from filmroom.search.ui import layout
    from filmroom.search.ui.server import admission, api, log, middleware, streamlit_private
    from starlette.middleware import Middleware

    pages = frozenset(layout.addresses())
    # Whoever a proxy brings is not at this machine.
    programs = Middleware(api.Programs, archive=options.archive, host=_public_host(options.public) or options.host)
    names = own_names(options.host, public=options.public)
    secure = options.public.startswith("https://")
    before = Middleware(admission.Admission, pages=pages, names=names, secure=secure)
    static = streamlit_private.static_folder()
    outside = Middleware(middleware.Door, pages=pages, static=static, icon=layout.ICON)
    return [*([Middleware(log.Requests, pages=pages)] if options.log else []), programs, before, outside]


def _warm(archive: Path) -> None:
    from filmroom.search.ui import layout
    from filmroom.search.ui.pages import search  # noqa: F401 (the first page, so that its imports are done)

    # What is wrong with the archive or its model, the pages say.
    with contextlib.suppress(FilmroomError):
        layout.searcher(archive).search("chest film", k=1)
