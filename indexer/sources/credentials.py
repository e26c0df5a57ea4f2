"""Read credentials for a server: from the environment, a file of its owner alone, or ~/.netrc; never shown."""

from __future__ import annotations

import os
import stat
import tomllib
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from filmroom.db.errors import BadInput

if TYPE_CHECKING:
    import requests

_HERE = ("localhost", "127.0.0.1", "::1")


@dataclass(frozen=True)
class Credentials:
    """How a server is told who asks. Nothing of it appears in a repr. Without any, ~/.netrc is asked for the host."""

    user: str = field(default="", repr=False)
    password: str = field(default="", repr=False)
    token: str = field(default="", repr=False)
    certificate: str = field(default="", repr=False)
    key: str = field(default="", repr=False)
    ca: str = field(default="", repr=False)

    def session(self, url: str) -> requests.Session:
        """Return a session that presents them. Certificates of servers are checked, against `ca` where it is given; a
        proxy of the environment gets nothing that it could read: what is for this machine, or goes by plain http, goes
        directly."""
        import requests
        from requests.utils import get_netrc_auth

        session = requests.Session()
        if goes_directly(url):
            session.trust_env = False
            session.auth = get_netrc_auth(url)
        if self.token:
            session.auth = _Bearer(self.token)
        elif self.user:
            session.auth = (self.user, self.password)
        if self.certificate:
            session.cert = (self.certificate, self.key) if self.key else self.certificate
        if self.ca:
            session.verify = self.ca
        return session


def goes_directly(url: str) -> bool:
    """Tell whether no proxy may come between: an address of this machine, or plain HTTP, which a proxy could read."""
    parts = urlsplit(url)
    return parts.hostname in _HERE or parts.scheme == "http"


class _Bearer:
    """A token for each request; `requests` would send the entry of ~/.netrc over a plain header."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def read_credentials(path: Path | None = None) -> Credentials:
    """Read a TOML file of mode 0600 with user and password, or token; certificate and key; ca. Without a file, the
    variables FILMROOM_PACS_USER, _PASSWORD, _TOKEN, _CERTIFICATE, _KEY and _CA.

    Raises BadInput for a file that others can read, or that is none.
    """
    names = [field.name for field in fields(Credentials)]
    if path is None:
        return Credentials(**{name: os.environ.get(f"FILMROOM_PACS_{name.upper()}", "") for name in names})
    try:
        with path.open("rb") as file:
            mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
            if mode & 0o077:
                raise BadInput("others can read the credentials", where=path, fix=f"Run: chmod 600 {path}")
            values = tomllib.load(file)
    except OSError:
        raise BadInput("the credentials cannot be read", where=path, fix="Check the path.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError):
        raise BadInput("the credentials are not TOML", where=path, fix='Write lines such as: user = "..."') from None
    unknown = sorted(set(values) - set(names))
    if unknown or not all(isinstance(value, str) for value in values.values()):
        raise BadInput("the credentials hold what is not known", where=path, fix=f"Known are: {', '.join(names)}.")
    return Credentials(**values)
