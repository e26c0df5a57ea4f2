"""Sign-in by OpenID Connect: a real provider, the real code flow, a real Chromium."""

from __future__ import annotations

import base64
import json
import os
import re
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.ui.room import Room, free_port, needs_chromium, settle
from tests.ui.visitors import join, run_page

pytestmark = [*needs_chromium, pytest.mark.filterwarnings("ignore::DeprecationWarning")]
CLIENT = "filmroom"
PAGES = ("", "film?film=1", "collections", "zeroshot", "evaluate", "judge", "map", "check", "archive")
SIGN_IN = ["html", "heading", "markdown", "Sign in"]
"""All that a page hands to somebody who has not signed in: its style, its title, a line and the button."""
Claims = dict[str, Any]


class Provider:
    """An OpenID provider on this machine. `forge` may replace the ID token that it hands out."""

    def __init__(self) -> None:
        import flask
        import oidc_provider_mock
        from werkzeug.serving import make_server

        self.forge: Callable[[Claims, Any], str] | None = None
        app = oidc_provider_mock.app()

        @app.after_request
        def forged(answer: flask.Response) -> flask.Response:
            if self.forge and flask.request.path == "/oauth2/token" and answer.status_code == 200:
                said = answer.get_json()
                payload = said["id_token"].split(".")[1]
                claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
                said["id_token"] = self.forge(claims, flask.g.oidc_provider_mock_storage.jwk)
                answer.set_data(json.dumps(said))
            if answer.mimetype == "text/html":  # its pages take their looks from elsewhere
                answer.set_data(re.sub(r"<link[^>]*>", "", answer.get_data(as_text=True)))
            return answer

        self.server = make_server("127.0.0.1", 0, app, threaded=True)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()


def signed(claims: Claims, key: Any) -> str:
    from authlib import jose

    return str(jose.jwt.encode({"alg": "RS256"}, claims, key).decode())


def unsigned(claims: Claims, key: Any) -> str:
    parts = ({"alg": "none", "typ": "JWT"}, claims)
    return ".".join(base64.urlsafe_b64encode(json.dumps(one).encode()).rstrip(b"=").decode() for one in parts) + "."


def by_a_stranger(claims: Claims, key: Any) -> str:
    from authlib import jose

    return signed(claims, jose.JsonWebKey.generate_key("RSA", 2048, is_private=True))


FORGERIES: dict[str, Callable[[Claims, Any], str]] = {
    "for another application": lambda claims, key: signed({**claims, "aud": ["another"]}, key),
    "for another application, handed on": lambda claims, key: signed({**claims, "aud": "another", "azp": CLIENT}, key),
    "from another issuer": lambda claims, key: signed({**claims, "iss": "http://elsewhere.example"}, key),
    "of yesterday": lambda claims, key: signed({**claims, "exp": int(time.time()) - 86_400}, key),
    "of another sign-in": lambda claims, key: signed({**claims, "nonce": "another"}, key),
    "without a signature": unsigned,
    "signed by a stranger": by_a_stranger,
}


@pytest.fixture(scope="module")
def provider() -> Iterator[Provider]:
    pytest.importorskip("oidc_provider_mock", reason="pip install oidc-provider-mock")
    pytest.importorskip("authlib", reason="pip install 'filmroom[auth]'")
    found = Provider()
    yield found
    found.server.shutdown()


@pytest.fixture(scope="module")
def guarded(provider: Provider, archive_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Room]:
    """The archive, served to those who sign in at the provider."""
    folder = tmp_path_factory.mktemp("guarded")
    port = free_port()
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "secrets.toml").write_text(
        f"""[auth]
redirect_uri = "http://127.0.0.1:{port}/oauth2callback"
cookie_secret = "{os.urandom(24).hex()}"
client_id = "{CLIENT}"
client_secret = "secret"
server_metadata_url = "{provider.url}/.well-known/openid-configuration"
"""
    )
    served = Room(archive_folder, port=port, env=os.environ | {"HOME": str(folder)})
    yield served
    served.close()


def sign_in(page: Any, room: Room, person: str) -> None:
    page.get_by_role("button", name="Sign in").click()
    page.locator("input[name=sub]").fill(person)
    page.get_by_role("button", name="Authorize").click()
    page.wait_for_url(f"{room.url}/**")


def handed_out(room: Room, page: str = "", query: str = "", cookies: Mapping[str, str] | None = None) -> list[str]:
    """The kinds of all that a page hands to a new visitor, whose browser has these cookies; of a button, its words."""
    cookies = cookies or {}
    headers = {"Origin": room.url, "Cookie": "; ".join(f"{name}={value}" for name, value in cookies.items())}
    with join(room.url, headers, xsrf=cookies.get("_streamlit_xsrf", "")) as socket:
        parts = run_page(socket, page, query)
    return [part.button.label or str(part.WhichOneof("type")) for part in parts]


def status(url: str, method: str = "GET") -> int:
    try:
        with urllib.request.urlopen(urllib.request.Request(url, method=method, data=None)) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as fault:
        return fault.code


def test_every_page_asks_for_a_sign_in(tab: Any, guarded: Room) -> None:
    """Seen in a browser once; what each page hands out is all that a browser could show."""
    tab.goto(guarded.url)
    tab.get_by_role("button", name="Sign in").wait_for()
    settle(tab)
    assert tab.locator(".grid, canvas, input, [data-testid=stMetric]").count() == 0
    assert {path: handed_out(guarded, *path.split("?")) for path in PAGES} == dict.fromkeys(PAGES, SIGN_IN)


def test_who_signs_in_reads_and_signs_out(tab: Any, guarded: Room, provider: Provider) -> None:
    provider.forge = None
    tab.goto(f"{guarded.url}/?n=48")
    sign_in(tab, guarded, "kb@example.org")
    tab.goto(f"{guarded.url}/?n=48")
    image = tab.locator(".grid .frame img[src*='/media/']").first.get_attribute("src")
    assert tab.evaluate("async (address) => (await fetch(address)).status", image) == 200
    assert status(guarded.url + image) == 403
    tab.goto(f"{guarded.url}/judge?judged=effusion")
    tab.wait_for_function("[...document.querySelectorAll('input')].some((one) => one.value === 'kb@example.org')")
    tab.get_by_role("link", name="Sign out").click()
    tab.wait_for_url(f"{provider.url}/**")
    tab.goto(guarded.url)
    tab.get_by_role("button", name="Sign in").wait_for()
    assert status(guarded.url + image) == 403


def test_the_interface_for_programs_is_open_to_who_has_signed_in(tab: Any, guarded: Room, provider: Provider) -> None:
    provider.forge = None

    def ask(path: str, method: str = "GET", **body: Any) -> int:
        """Ask with the browser's cookies, and without a line in its console for what is refused."""
        address = f"{guarded.url}/api/v1{path}"
        return int(tab.context.request.fetch(address, method=method, **({"data": body} if body else {})).status)

    tab.goto(guarded.url)
    assert ask("/search?q=effusion") == 401
    assert ask("/films/1/tags", "PUT", tags=["seen"]) == 401
    sign_in(tab, guarded, "kb@example.org")
    script = "async () => (await fetch('/api/v1/search?q=effusion')).status"
    assert tab.evaluate(script) == 200
    assert ask("/films/1/tags", "PUT", tags=["seen"]) == 200
    assert ask("/runs", "POST", paths=["/nowhere/at/all"]) == 404
    assert status(f"{guarded.url}/api/v1/status") == 401
    tab.goto(f"{guarded.url}/")
    tab.get_by_role("link", name="Sign out").click()
    tab.wait_for_url(f"{provider.url}/**")
    tab.goto(guarded.url)
    assert ask("/search?q=effusion") == 401


def test_uploads_wait_for_a_sign_in(guarded: Room) -> None:
    assert status(f"{guarded.url}/_stcore/upload_file/session/file", "PUT") == 403


def test_tokens_that_were_not_made_for_this_sign_in_are_refused(tab: Any, guarded: Room, provider: Provider) -> None:
    """The first in a browser; the others by the same requests, with its cookies."""
    first, *others = FORGERIES
    provider.forge = FORGERIES[first]
    tab.goto(guarded.url)
    with tab.expect_request("**/auth/login?*") as asked:
        sign_in(tab, guarded, "mallory@example.org")
    tab.get_by_role("button", name="Sign in").wait_for()
    settle(tab)
    assert tab.locator(".grid").count() == 0, first

    def signed_in() -> list[str]:
        form = tab.context.request.get(asked.value.url)
        answer = tab.context.request.post(form.url, form={"sub": "mallory@example.org"})
        assert answer.url.startswith(guarded.url), "the provider has not let her go on"
        cookies = {cookie["name"]: cookie["value"] for cookie in tab.context.cookies(guarded.url)}
        return handed_out(guarded, cookies=cookies)

    for name in others:
        provider.forge = FORGERIES[name]
        assert signed_in() == SIGN_IN, name
    provider.forge = None
    assert "bidi_component" in signed_in(), "a token that nobody has forged shows the films"


def test_a_forged_cookie_opens_nothing(tab: Any, guarded: Room) -> None:
    said = base64.b64encode(json.dumps({"is_logged_in": True, "origin": guarded.url}).encode()).decode()
    tab.context.add_cookies([{"name": "_streamlit_user", "value": f"{said}.x.y", "url": guarded.url}])
    tab.goto(guarded.url)
    tab.get_by_role("button", name="Sign in").wait_for()
