"""Join the REST interface to the server of the pages: the same archive, the same models in memory, the same sign-in."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.ui import layout
from filmroom.search.ui.server.loopback import LOCAL_NAMES, is_loopback
from filmroom.search.ui.server.middleware import signed_in

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Receive, Scope, Send


def interface(archive: Path, host: str) -> ASGIApp:
    """The interface of an archive on a server that listens on `host`.

    It is built when it is first asked for, so that the first page need not wait for its libraries.
    """
    built: list[ASGIApp] = []

    async def later(scope: Scope, receive: Receive, send: Send) -> None:
        if not built:
            from filmroom.search.api.app import build
            from filmroom.search.api.context import Context

            context = Context(
                archive,
                archive=partial(layout.opened, archive),
                searcher=partial(layout.searcher, archive),
                admits=partial(admits, host=host),
            )
            built.append(build(context))
        await built[0](scope, receive, send)

    return later


def admits(scope: Scope, *, host: str) -> bool:
    """Whether a request without a token comes in: from this machine to a server that it alone can reach, or from
    somebody who has signed in. Where others can reach a server without sign-in, a token is needed."""
    from streamlit.auth_util import get_secrets_auth_section

    if is_loopback(host):
        # By a name of its own that points here, another site's page would count as ours.
        return called(scope) in (*LOCAL_NAMES, host) and signed_in(scope)
    return bool(get_secrets_auth_section()) and signed_in(scope)


def called(scope: Scope) -> str:
    """The name by which a request calls this server, without the port."""
    name = str(dict(scope["headers"]).get(b"host", b""), "latin-1")
    bare = name.partition("]")[0].lstrip("[") if name.startswith("[") else name.partition(":")[0]
    return bare.lower()
