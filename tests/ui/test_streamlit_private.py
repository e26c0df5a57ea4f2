"""The parts of Streamlit that it does not promise to keep are there in the version that is installed."""

from __future__ import annotations

import inspect

import pytest
from filmroom.search.ui.server import streamlit_private
from streamlit.runtime.media_file_manager import MediaFileManager
from streamlit.web.server.starlette import starlette_app_utils, starlette_server_config


def request(cookie: str = "") -> dict[str, object]:
    return {"type": "http", "headers": [(b"cookie", cookie.encode())]}


def test_the_folder_of_its_page_holds_what_ours_is_made_of() -> None:
    folder = streamlit_private.static_folder()
    assert (folder / "index.html").is_file()
    assert list((folder / "static" / "js").glob("*.js"))


def test_only_a_cookie_that_this_server_signed_names_a_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamlit.web.server.server_util.get_cookie_secret", lambda: "secret")
    name = starlette_server_config.USER_COOKIE_NAME
    signed = starlette_app_utils.create_signed_value("secret", name, '{"email": "ann@example.org"}').decode()
    assert streamlit_private.signed_in_user(request(f"{name}={signed}")) == {"email": "ann@example.org"}  # type: ignore[arg-type]
    other = starlette_app_utils.create_signed_value("other", name, '{"email": "ann@example.org"}').decode()
    assert streamlit_private.signed_in_user(request(f"{name}={other}")) is None  # type: ignore[arg-type]
    assert streamlit_private.signed_in_user(request()) is None  # type: ignore[arg-type]


def test_without_secrets_nobody_has_to_sign_in() -> None:
    assert not streamlit_private.sign_in_settings()


def test_bytes_can_be_kept_for_a_session() -> None:
    assert list(inspect.signature(MediaFileManager.add).parameters)[1:4] == ["path_or_data", "mimetype", "coordinates"]
