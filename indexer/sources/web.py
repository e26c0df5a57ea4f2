"""Ask a web server for its listing: with the name and password of ~/.netrc, and no other server in its place."""

from __future__ import annotations

import codecs
from typing import TYPE_CHECKING, Any
from urllib.parse import SplitResult, urljoin, urlsplit

from filmroom.db.errors import BadInput
from filmroom.indexer.sources.credentials import goes_directly

if TYPE_CHECKING:
    import requests

TIMEOUT_SECONDS = (10, 60)

PAGE_BYTES = 64 * 2**20
"""Of a page of links: some hundred thousand."""

_CHUNK_BYTES = 2**16
_PORTS = {"http": 80, "https": 443}


class SentOn(Exception):
    """The server sends a request on to another address."""


class PageTooLong(Exception):
    """A page of links goes on and on."""


def parts_of(address: str) -> SplitResult:
    """Take an address apart. Raises BadInput where it is none."""
    try:
        parts = urlsplit(address)
        parts.port  # noqa: B018 (it is read only when it is asked for)
    except ValueError:
        raise BadInput("this is no address", fix="Write https://HOST/PATH, or s3://BUCKET/PREFIX.") from None
    return parts


def without_secrets(parts: SplitResult) -> str:
    """Write an address without what may name or let in somebody."""
    port = "" if parts.port is None else f":{parts.port}"
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def same_origin(url: str, other: str) -> bool:
    """Tell whether two addresses are of one server: scheme, host and port."""
    try:
        first, second = urlsplit(url), urlsplit(other)
        ports = [parts.port or _PORTS.get(parts.scheme) for parts in (first, second)]
    except ValueError:
        return False
    return (first.scheme, first.hostname, ports[0]) == (second.scheme, second.hostname, ports[1])


def leads_away(response: requests.Response, url: str) -> bool:
    """Tell whether an answer sends the request on to another server than `url`'s."""
    to = response.headers.get("Location")
    return bool(to and response.is_redirect and not same_origin(url, urljoin(response.url, to)))


def was_sent_on(fault: BaseException) -> bool:
    """Tell whether this, or what fsspec made of it, came of a server that sends requests on."""
    return isinstance(fault, SentOn) or isinstance(fault.__cause__, SentOn)


def client(url: str) -> dict[str, Any]:
    """Return what aiohttp needs: proxies and certificates as the environment says, the name and password as ~/.netrc
    says. aiohttp presents them to whatever address a request is sent on to, so a redirect to another raises SentOn; a
    page longer than PAGE_BYTES raises PageTooLong."""
    import aiohttp
    from requests.utils import get_netrc_auth

    class Bounded(aiohttp.ClientResponse):
        """An answer whose text, which fsspec reads whole, has an end."""

        async def text(self, encoding: str | None = None, errors: str = "strict") -> str:
            page = bytearray()
            async for chunk in self.content.iter_chunked(_CHUNK_BYTES):
                page += chunk
                if len(page) > PAGE_BYTES:
                    self.close()
                    raise PageTooLong
            return page.decode(encoding or _known(self.charset), errors)

    async def stay(_: Any, __: Any, hop: aiohttp.TraceRequestRedirectParams) -> None:
        to = hop.response.headers.get("Location") or hop.response.headers.get("URI")
        # Read by aiohttp's own class of addresses, so that what is looked at is what would be asked.
        if to is not None and not same_origin(url, str(hop.url.join(type(hop.url)(to)))):
            hop.response.close()
            raise SentOn

    hops = aiohttp.TraceConfig()
    hops.on_request_redirect.append(stay)
    known = get_netrc_auth(url)
    connect, read = TIMEOUT_SECONDS
    return {
        "auth": aiohttp.BasicAuth(*known) if known else None,
        "trust_env": not goes_directly(url),
        "timeout": aiohttp.ClientTimeout(sock_connect=connect, sock_read=read),
        "trace_configs": [hops],
        "response_class": Bounded,
    }


def _known(charset: str | None) -> str:
    """Return the name of an encoding that Python knows; UTF-8 for others."""
    try:
        return codecs.lookup(charset or "").name
    except LookupError:
        return "utf-8"
