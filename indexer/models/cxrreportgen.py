"""Ask a CXRReportGen endpoint (Azure Machine Learning): films in, sentences with boxes out.

Source: Microsoft's "How to use CXRReportGen" and its examples. The endpoint sees the square in the middle of the
frontal picture, and its boxes are shares of that square.
"""

from __future__ import annotations

import base64
import io
import json
import math
import os
import random
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.db.writes.findings import Box, Finding
from numpy.typing import NDArray
from PIL import Image

KEY = "FILMROOM_CXRREPORTGEN_KEY"
"""Setting: the key of the endpoint."""

SOURCE = "cxrreportgen"
TIMEOUT = 90.0
TRIES = 5
_COLUMNS = ("frontal_image", "lateral_image", "indication", "technique", "comparison")
_SHORT_SIDE = 1024
_MOST_BYTES = 8 << 20
_MOST_CHARACTERS = 2000
_LONGEST_WAIT = 60.0


class EndpointFault(FilmroomError):
    """The endpoint cannot be used: no further film is sent."""


class BadAnswer(FilmroomError):
    """What came back for a film cannot be used: nothing of it is kept, and the next film is sent."""


@dataclass(frozen=True)
class Endpoint:
    """Where films are sent. The key is not shown when it is printed."""

    url: str
    key: str = field(repr=False)


@dataclass(frozen=True)
class Sent:
    """A film as it is sent: PNG, 8 bit, and its size in pixels."""

    png: bytes
    width: int
    height: int


def endpoint(url: str, key_file: Path | None = None) -> Endpoint:
    """Return the endpoint at `url` with the key of the file, else of the environment. Raises BadInput.

    Only https, as key and films would be readable on the way otherwise; http for this machine alone.
    """
    parts = urlsplit(url)
    on_this_machine = parts.hostname in ("localhost", "127.0.0.1", "::1")
    if not parts.hostname or (parts.scheme != "https" and not (parts.scheme == "http" and on_this_machine)):
        raise BadInput("an endpoint's address begins with https://", where=url, fix="Copy it from its deployment.")
    if parts.username or parts.password:
        raise BadInput("an address holds no password", where=parts.hostname, fix=f"Put the key into {KEY}.")
    if key_file is not None:
        try:
            key = key_file.read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError):
            raise BadInput("the key cannot be read", where=key_file) from None
    else:
        key = os.environ.get(KEY, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        raise BadInput("there is no key for the endpoint", where=key_file or KEY, fix=f"Set {KEY}, or --key-file FILE.")
    return Endpoint(url, key)


def as_sent(grey: NDArray[np.uint16]) -> Sent:
    """Return a film (H, W), 0 black to 65535 white, as PNG; its short side at most 1024."""
    height, width = grey.shape
    share = min(1.0, _SHORT_SIDE / min(height, width))
    picture = Image.fromarray((grey >> 8).astype(np.uint8))
    if share < 1:
        size = (max(1, round(width * share)), max(1, round(height * share)))
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    picture.save(out, "PNG")
    return Sent(out.getvalue(), picture.width, picture.height)


def ask(
    to: Endpoint, frontal: Sent, lateral: Sent | None = None, *, sleep: Callable[[float], None] = time.sleep
) -> list[Finding]:
    """Return what the endpoint finds on a frontal film, seen together with the lateral of its study where there is one.

    Boxes are in shares of the frontal film. Raises EndpointFault, also after five tries; BadAnswer.
    """
    pictures = [base64.b64encode(view.png).decode() if view else "" for view in (frontal, lateral)]
    columns = [name for name in _COLUMNS if lateral or name != "lateral_image"]
    values = [pictures[0], *([pictures[1]] if lateral else []), "", "", ""]
    body = {"input_data": {"columns": columns, "index": [0], "data": [values]}, "params": {}}
    answer = _post(to, json.dumps(body).encode(), sleep)
    return read_answer(answer, width=frontal.width, height=frontal.height, where=_host(to))


def read_answer(answer: bytes, *, width: int, height: int, where: str | None = None) -> list[Finding]:
    """Return the findings of an answer for a frontal picture of this size. Raises EndpointFault for what is no answer
    of CXRReportGen, BadAnswer for findings or boxes that make no sense."""
    try:
        content = json.loads(answer)
        output = content[0]["output"]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        page = answer.lstrip()[:1] == b"<"
        raise EndpointFault(
            f"it answers {'a web page' if page else 'something'} that is no answer of CXRReportGen",
            where=where,
            fix="Check the address: that of a deployment ends with /score.",
        ) from None
    try:
        rows = json.loads(output) if isinstance(output, str) else output
        if not isinstance(rows, list):
            raise TypeError
        return [_finding(row, width=width, height=height) for row in rows]
    except (ValueError, KeyError, IndexError, TypeError, RecursionError):
        raise BadAnswer("the endpoint's findings cannot be read", where=where) from None


def on_film(box: Box, *, width: int, height: int) -> Box:
    """Turn a box in shares of the square in the middle into in shares of the picture of `width` x `height` pixels."""
    side = min(width, height)
    left, top = (width - side) // 2, (height - side) // 2
    x0, y0, x1, y1 = box
    return (
        (x0 * side + left) / width,
        (y0 * side + top) / height,
        (x1 * side + left) / width,
        (y1 * side + top) / height,
    )


def _finding(row: Any, *, width: int, height: int) -> Finding:
    text, boxes = row
    if not isinstance(text, str) or not text.strip():
        raise TypeError
    text = " ".join("".join(char if char.isprintable() else " " for char in text).split())[:_MOST_CHARACTERS]
    if boxes is None:
        return Finding(text)
    return Finding(text, tuple(on_film(_box(box), width=width, height=height) for box in boxes))


def _box(numbers: Any) -> Box:
    if not all(isinstance(number, int | float) and not isinstance(number, bool) for number in numbers):
        raise TypeError
    x0, y0, x1, y1 = (float(number) for number in numbers)
    if not all(math.isfinite(side) and 0 <= side <= 1 for side in (x0, y0, x1, y1)) or x0 >= x1 or y0 >= y1:
        raise BadAnswer("the endpoint's boxes are out of range", fix="They should be shares of a square, from 0 to 1.")
    return x0, y0, x1, y1


def _opener(url: str) -> urllib.request.OpenerDirector:
    """Return what sends to `url`: no redirects, and no proxy to this machine.

    A proxy that the environment names reads what is sent by http, films and key. By https it is asked for a tunnel
    (CONNECT) and learns host and port alone.
    """
    direct = [urllib.request.ProxyHandler({})] if urlsplit(url).scheme == "http" else []
    return urllib.request.build_opener(_NoRedirects, *direct)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """A redirect would carry the key to another address."""

    def redirect_request(self, *_: Any, **__: Any) -> None:
        return None


def _post(to: Endpoint, body: bytes, sleep: Callable[[float], None]) -> bytes:
    """Return the body of the answer. 429, 5xx, time-outs and broken connections are tried again, later each time."""
    opener = _opener(to.url)
    headers = {"Content-Type": "application/json", "Accept": "application/json", "Authorization": f"Bearer {to.key}"}
    problem, wait = "", 0.0
    for number in range(TRIES):
        if number:
            sleep(max(wait, 2.0 ** (number - 1) * random.uniform(0.75, 1.25)))
        # One for each try: a proxy changes what it is given, and the third time it would be plain http.
        request = urllib.request.Request(to.url, body, headers)  # noqa: S310 (https, or this machine)
        try:
            with opener.open(request, timeout=TIMEOUT) as answer:
                content: bytes = answer.read(_MOST_BYTES + 1)
        except urllib.error.HTTPError as fault:
            if fault.code != 429 and fault.code < 500:
                raise _refused(to, fault.code) from None
            problem, wait = f"it answers status {fault.code}", _retry_after(fault.headers.get("Retry-After"))
        except TimeoutError:
            problem, wait = f"it does not answer within {TIMEOUT:.0f} s", 0.0
        except (urllib.error.URLError, HTTPException, OSError) as fault:
            late = isinstance(getattr(fault, "reason", None), TimeoutError)
            problem = f"it does not answer within {TIMEOUT:.0f} s" if late else "it cannot be reached"
            wait = 0.0
        else:
            if len(content) > _MOST_BYTES:
                raise EndpointFault(f"its answer is longer than {_MOST_BYTES >> 20} MB", where=_host(to))
            return content
    raise EndpointFault(
        f"{problem} ({TRIES} tries)", where=_host(to), fix="Run the same command again later: what was done is kept."
    )


def _refused(to: Endpoint, code: int) -> EndpointFault:
    if code in (401, 403):
        return EndpointFault(f"it does not accept the key (status {code})", where=_host(to), fix=f"Check {KEY}.")
    if 300 <= code < 400:
        return EndpointFault(f"it sends on to another address (status {code})", where=_host(to), fix="Name that one.")
    return EndpointFault(
        f"it refuses the request (status {code})",
        where=_host(to),
        fix="Check the address: that of a deployment ends with /score.",
    )


def _retry_after(header: str | None) -> float:
    return min(float(header), _LONGEST_WAIT) if header and header.isdecimal() else 0.0


def _host(to: Endpoint) -> str:
    return urlsplit(to.url).netloc
