"""No request that the OpenAPI document allows, and none that it does not, ends in a fault of the server."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings

from tests.search.api.conftest import House, serve

schemathesis = pytest.importorskip("schemathesis")

NEVER = {("POST", "/api/v1/runs"), ("POST", "/api/v1/checks")}
"""A run may be started over any folder of this machine; each check is a process."""

AREAS = ("searching", "embedding", "scoring", "curating", "running", "watching")


@pytest.fixture(scope="module")
def described(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    folder = Path(shutil.copytree(house.folder, tmp_path_factory.mktemp("fuzzed") / "archive"))
    for served in serve(house, folder):
        yield schemathesis.openapi.from_asgi("/api/v1/openapi.json", served.client.app)


def operations(described: Any, area: str) -> list[Any]:
    everything = [found.ok() for found in described.get_all_operations()]
    assert {tag for one in everything for tag in one.tags} == set(AREAS)
    return [one for one in everything if area in one.tags and (one.method.upper(), one.path) not in NEVER]


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["POSITIVE", "NEGATIVE"])
@pytest.mark.parametrize("area", AREAS)
def test_no_request_ends_in_a_fault(area: str, mode: str, described: Any) -> None:
    asked = 0

    def check(case: Any) -> None:
        nonlocal asked
        asked += 1
        answer = case.call()
        assert answer.status_code != 500, (case, answer.text)
        if answer.status_code >= 400:
            assert answer.json()["status"] == answer.status_code
            assert "application/problem+json" in str(answer.headers["content-type"])

    some = settings(
        max_examples=12,
        deadline=None,
        database=None,
        derandomize=True,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    for operation in operations(described, area):
        try:
            strategy = operation.as_strategy(generation_mode=schemathesis.GenerationMode[mode])
            some(given(strategy)(check))()
        except Exception as nothing:  # a route without parameters cannot be asked wrongly
            if mode != "NEGATIVE" or isinstance(nothing, AssertionError):
                raise
    assert asked or area == "watching"
