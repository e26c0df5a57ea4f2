"""Count requests, queries, faults and films for Prometheus."""

from __future__ import annotations

from collections import Counter as Counted
from typing import TYPE_CHECKING

from filmroom.db.archive import Archive
from filmroom.db.reads import films
from filmroom.db.records import RunState
from filmroom.db.writes import runs
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

if TYPE_CHECKING:
    from starlette.types import Scope

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
_METHODS = ("GET", "HEAD", "POST", "PUT", "DELETE")
_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60)


class Metrics:
    """The counters of one server; `exposition` reads what the archive holds when it is asked."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "filmroom_requests", "Requests answered.", ["route", "method", "status"], registry=self.registry
        )
        self.seconds = Histogram(
            "filmroom_request_seconds", "Time to answer.", ["route"], buckets=_SECONDS, registry=self.registry
        )
        self.queries = Counter("filmroom_queries", "Searches answered.", registry=self.registry)
        self.errors = Counter("filmroom_errors", "Faults that nobody foresaw.", registry=self.registry)
        self.films = Gauge("filmroom_films", "Films that can be found.", registry=self.registry)
        self.runs = Gauge(
            "filmroom_index_runs", "Index runs by state, the last 100.", ["state"], registry=self.registry
        )

    def answered(self, scope: Scope, status: int, seconds: float) -> None:
        """Count a request, by its route and not by its address: an address may name what people look for."""
        route = scope.get("route")
        # With the prefix of its router or without it, as the framework's version has it.
        path = str(getattr(route, "path", "")).removeprefix("/api/v1") or "none"
        method = scope["method"] if scope["method"] in _METHODS else "other"
        self.requests.labels(path, method, str(status)).inc()
        self.seconds.labels(path).observe(seconds)

    def exposition(self, archive: Archive) -> bytes:
        """Return the numbers in Prometheus' text format."""
        self.films.set(films.count(archive.catalog))
        states = Counted(run.state for run in runs.runs(archive.catalog, 100))
        for state in RunState:
            self.runs.labels(state.value).set(states[state])  # none, too: it said another number before
        text: bytes = generate_latest(self.registry)
        return text
