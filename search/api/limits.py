"""Bound what requests may cost: bytes, seconds, and how many are under way; and measure them."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

from filmroom.search.api.context import Limits
from filmroom.search.api.metrics import Metrics
from filmroom.search.api.problems import problem

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _TooLarge(Exception):
    """The body of a request is."""


class _Full(Exception):
    """The bodies of all requests under way are too large together."""


class Bounded:
    """The outermost part of the interface: turns away what asks for too much, and counts every answer."""

    def __init__(self, app: ASGIApp, *, limits: Limits, metrics: Metrics) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.under_way = 0
        self.held = 0  # bytes of bodies

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self.app(scope, receive, send)
        started = time.perf_counter()
        status = 500

        async def counted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        self.under_way += 1
        read: list[int] = []
        try:
            await self._answer(scope, receive, counted, read)
        finally:
            self.under_way -= 1
            self.held -= sum(read)
            self.metrics.answered(scope, status, time.perf_counter() - started)
        return None

    async def _answer(self, scope: Scope, receive: Receive, send: Send, read: list[int]) -> None:
        limits, begun, seen, full = self.limits, False, 0, False

        async def some() -> Message:
            nonlocal seen, full
            message = await receive()
            size = len(message.get("body", b""))
            read.append(size)
            seen += size
            self.held += size
            if seen > limits.body:  # whatever the header claimed
                raise _TooLarge
            if size and self.held > limits.bodies:
                full = True
                raise _Full
            return message

        async def watched(message: Message) -> None:
            nonlocal begun
            # What the routes say of a body that was cut off is not to the point.
            if begun or not (full or seen > limits.body):
                begun = True
                await send(message)

        busy = problem(503, "too many requests are under way", fix="Try again.", headers={"Retry-After": "1"})
        if self.under_way > limits.at_once:
            return await busy(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"0")
        too_large = problem(413, f"more than {limits.body >> 20} MB", fix="Send less at a time.")
        if not length.isdigit() or int(length) > limits.body:
            return await too_large(scope, receive, send)
        try:
            await asyncio.wait_for(self.app(scope, some, watched), limits.seconds)
        except (_TooLarge, _Full):
            pass
        except TimeoutError:
            if not begun:
                answer = problem(504, f"it took longer than {limits.seconds:.0f} s", fix="Ask for less.")
                return await answer(scope, receive, send)
        if seen > limits.body and not begun:
            await too_large(scope, receive, send)
        elif full and not begun:
            await busy(scope, receive, send)
        return None
