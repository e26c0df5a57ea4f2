"""Tell the requests of our own pages from those that other web pages let a visitor's browser make."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from urllib.parse import urlsplit


def from_elsewhere(headers: Mapping[str, str], *, method: str, names: Collection[str]) -> str | None:
    """Say why a request is none of ours, or None where it is. `names`: of this machine, where no others lead here.

    A page's origin is the host and port that it was loaded from, as the browser says them in Host: another port of
    this machine is another origin. Who only follows a link to a page is let in, as that shows the page to nobody else.
    """
    host = headers.get("host", "")
    if names and _name(host) not in names:
        return "This address is none of this server's."
    origin = headers.get("origin")
    if origin is not None:
        parts = urlsplit(origin)
        same = parts.scheme in ("http", "https") and parts.netloc == host
    else:
        # Not said of requests by http to other machines, nor by what is no browser.
        same = headers.get("sec-fetch-site", "none") in ("none", "same-origin") or (
            method == "GET"
            and headers.get("sec-fetch-mode") == "navigate"
            and headers.get("sec-fetch-dest") == "document"
        )
    return None if same else "This request comes from another web page."


def _name(host: str) -> str | None:
    """Return the name in a Host header, without its port; None where it is none."""
    try:
        parts = urlsplit(f"//{host}")
        _ = parts.port  # raises where it is no number
    except ValueError:
        return None
    name = parts.hostname if parts.netloc == host and "@" not in host else None
    return name.rstrip(".") if name else None
