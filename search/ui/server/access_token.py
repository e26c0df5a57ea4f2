"""Admit whoever has the address that `filmroom serve` prints: a token in it, and in a cookie after.

An address on this machine is reached by every user of it, and by whatever else runs here.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from urllib.parse import parse_qsl, urlencode

PARAMETER = "token"


@dataclass(frozen=True)
class AccessToken:
    """The secret of one run of the server on `port`. It is not shown when it is printed."""

    port: int
    value: str = field(default_factory=lambda: secrets.token_urlsafe(24), repr=False)

    @property
    def cookie(self) -> str:
        """The cookie's name: browsers send the cookies of one port of a machine to the others, too."""
        return f"filmroom-{self.port}"

    def is_in(self, query: bytes) -> bool:
        """Return True for the query string of the address that was printed."""
        return any(name == PARAMETER and self._is(value) for name, value in parse_qsl(query.decode("latin-1")))

    def is_among(self, cookies: Iterable[bytes]) -> bool:
        """Return True for the Cookie headers of a browser that has been let in."""
        pairs = (pair.strip().partition(b"=") for header in cookies for pair in header.split(b";"))
        return any(
            name.decode("latin-1") == self.cookie and self._is(value.decode("latin-1")) for name, _, value in pairs
        )

    def set_cookie(self, path: str, *, secure: bool) -> bytes:
        """Return the Set-Cookie header. Lax: whoever follows a link to the page is still let in; scripts do not see
        it."""
        cookie = f"{self.cookie}={self.value}; Path={path}; HttpOnly; SameSite=Lax"
        return (f"{cookie}; Secure" if secure else cookie).encode()

    def _is(self, value: str) -> bool:
        return hmac.compare_digest(value.encode(), self.value.encode())


def without_token(query: bytes) -> str:
    """Return the query string that is left when the token has been taken note of."""
    pairs = parse_qsl(query.decode("latin-1"), keep_blank_values=True)
    return urlencode([(name, value) for name, value in pairs if name != PARAMETER])


_in_force: list[AccessToken] = []


def require(token: AccessToken | None) -> None:
    """Let this process ask for the token from now on, or for none."""
    _in_force[:] = [token] if token else []


def required() -> AccessToken | None:
    """Return the token that every visitor of this process has shown; None where none is asked for."""
    return _in_force[0] if _in_force else None
