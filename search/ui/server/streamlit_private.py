"""Use what Streamlit does not promise to keep: the only module that does, and why `streamlit` is bounded above.

Each function imports what it needs when it is called: a page that needs none of it does not wait for it, and the
sign-in check is the first to ask for the parts of the server.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from starlette.types import Scope
    from streamlit.navigation.page import Page as Page


def static_folder() -> Path:
    """Give the folder of Streamlit's own page, scripts and styles."""
    from streamlit.file_util import get_static_dir

    return Path(get_static_dir())


def take_no_settings_of_this_folder() -> None:
    """Keep Streamlit from reading `.streamlit` in the current folder, settings and sign-in: what lies beside films from
    elsewhere is not the owner's. Those of the user (`~/.streamlit`) are read."""
    from streamlit import file_util

    file_util.get_project_streamlit_file_path = file_util.get_streamlit_file_path


def ask_no_address_service() -> None:
    """Keep Streamlit from asking a service of the internet for this machine's address, which it does where a websocket
    is none of its own page's."""
    from streamlit import net_util

    net_util.get_external_ip = lambda: None


def leave_logging_alone() -> None:
    """Keep Streamlit from giving every logger of its own a handler that prints."""
    from streamlit import logger as streamlit_logger

    def by_root(logger: logging.Logger) -> None:
        logger.propagate = True

    streamlit_logger.setup_formatter = by_root


def add_media(data: bytes, kind: str, slot: str) -> str:
    """Keep bytes for the session that asks, and give their address; `kind` is their MIME type.

    What stood in `slot` before is forgotten with the next run. Needs a running session.
    """
    from streamlit.runtime import get_instance

    return str(get_instance().media_file_mgr.add(data, kind, slot))


def sign_in_settings() -> Mapping[str, Any]:
    """Give the section [auth] of the secrets; empty where nobody has to sign in."""
    from streamlit.auth_util import get_secrets_auth_section

    return get_secrets_auth_section()


def signed_in_user(scope: Scope) -> dict[str, Any] | None:
    """Read the signed cookie of a request; None where it has none, or one that this server has not signed."""
    from starlette.requests import HTTPConnection
    from streamlit.auth_util import get_cookie_with_chunks
    from streamlit.web.server.server_util import get_cookie_secret
    from streamlit.web.server.starlette.starlette_app_utils import decode_signed_value
    from streamlit.web.server.starlette.starlette_server_config import USER_COOKIE_NAME

    cookies = HTTPConnection(scope).cookies

    def decoded(name: str) -> bytes | None:
        return decode_signed_value(get_cookie_secret(), name, cookies.get(name, "").encode("latin-1", "replace"))

    cookie = get_cookie_with_chunks(decoded, USER_COOKIE_NAME)
    return None if cookie is None else dict(json.loads(cookie))
