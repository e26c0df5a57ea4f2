"""Bound what requests may cost: bytes, seconds, threads, and how many are under way; and measure them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from typing import TYPE_CHECKING

import anyio
from filmroom.search.api.context import Limits
from filmroom.search.api.metrics import Metrics
from filmroom.search.api.problems import problem

if TYPE_CHECKING:
    from starlette.responses import Response
    from starlette.types import ASGIApp, Message, Receive, Scope, Send


class _TooLarge(Exception):
    """The body of a request is."""


class _Full(Exception):
    """The bodies of all requests under way are too large together."""


class Bounded:
    """The outermost part of the interface: turns away what asks for too much, and counts every answer.

    A thread cannot be stopped. A request that took too long is answered, but keeps its place among those that work
    until its thread ends: however many are asked, there are no more threads than places.
    """

    def __init__(self, app: ASGIApp, *, opened: frozenset[str], limits: Limits, metrics: Metrics) -> None:
        self.app = app
        self.limits = limits
        self.metrics = metrics
        self.under_way = 0
        self.overdue = 0  # answered, but still at work
        self.held = 0  # bytes of bodies
        self._opened = opened
        self._places = asyncio.Semaphore(limits.working)

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
        try:
            refusal = self._refusal(scope)
            if refusal is None:
                refusal = await _Request(self, scope, receive, counted).answer()
            if refusal is not None:
                await refusal(scope, receive, counted)
        finally:
            self.under_way -= 1
            self.metrics.answered(scope, status, time.perf_counter() - started)
        return None

    def _refusal(self, scope: Scope) -> Response | None:
        """Say why a request is turned away before anything of it is read."""
        if self.under_way > self.limits.at_once:
            return busy("too many requests are under way")
        if self.overdue >= self.limits.working and not self.is_open(scope):
            return busy("requests that took too long are still being worked on")
        length = dict(scope["headers"]).get(b"content-length", b"0")
        if not length.isdigit() or int(length) > self.limits.body:
            return too_large(self.limits)
        return None

    def is_open(self, scope: Scope) -> bool:
        return scope["path"] in self._opened

    async def work(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request as soon as there is a place."""
        async with AsyncExitStack() as place:
            if not self.is_open(scope):
                await place.enter_async_context(self._places)
            await self.app(scope, receive, send)


class _Request:
    """One request: what was read of it, and whether its answer has begun."""

    def __init__(self, bounds: Bounded, scope: Scope, receive: Receive, send: Send) -> None:
        self._bounds = bounds
        self._scope = scope
        self._receive = receive
        self._send = send
        self._cancelling = anyio.CancelScope()
        self._read = 0
        self._full = False
        self._begun = False
        self._late = False

    async def answer(self) -> Response | None:
        """Answer within the time; where nothing has been sent, return what is wrong instead."""
        limits = self._bounds.limits
        task = asyncio.ensure_future(self._run())
        task.add_done_callback(self._ended)
        try:
            await asyncio.wait({task}, timeout=limits.seconds)
        finally:
            if not task.done():
                self._late = True
                self._bounds.overdue += 1
                # What waits is cancelled; what has a thread goes on, and the scope with it, until the thread ends.
                self._cancelling.cancel()
        if task.done():
            with suppress(_TooLarge, _Full):
                task.result()
        if self._begun:
            return None
        if self._late:
            return problem(504, f"it took longer than {limits.seconds:.0f} s", fix="Ask for less.")
        if self._read > limits.body:
            return too_large(limits)
        return busy("too many requests are under way") if self._full else None

    async def _run(self) -> None:
        with self._cancelling:
            await self._bounds.work(self._scope, self._some, self._watched)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._bounds.held -= self._read
        if self._late:
            self._bounds.overdue -= 1
            if not task.cancelled():
                task.exception()  # the fault of a request that was answered long ago is nobody's

    async def _some(self) -> Message:
        message = await self._receive()
        size = len(message.get("body", b""))
        self._read += size
        self._bounds.held += size
        if self._read > self._bounds.limits.body:  # whatever the header claimed
            raise _TooLarge
        if size and self._bounds.held > self._bounds.limits.bodies:
            self._full = True
            raise _Full
        return message

    async def _watched(self, message: Message) -> None:
        # What the routes say of a body that was cut off, or too late, is not to the point.
        if not self._late and (self._begun or not (self._full or self._read > self._bounds.limits.body)):
            self._begun = True
            await self._send(message)


def busy(reason: str) -> Response:
    return problem(503, reason, fix="Try again.", headers={"Retry-After": "1"})


def too_large(limits: Limits) -> Response:
    return problem(413, f"more than {limits.body >> 20} MB", fix="Send less at a time.")
