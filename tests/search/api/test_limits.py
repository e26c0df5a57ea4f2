"""What requests may cost, and what is said of those that want more or cannot be read."""

from __future__ import annotations

import errno
import os
import shutil
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from filmroom.search.searcher import Searcher

from tests.search.api.conftest import House, Served, serve


@pytest.fixture
def narrow(house: House, tmp_path: Path) -> Iterator[Served]:
    folder = Path(shutil.copytree(house.folder, tmp_path / "archive"))
    yield from serve(house, folder, body=1 << 20, seconds=0.5, at_once=2)


def test_a_body_has_a_limit_whatever_its_header_says(narrow: Served) -> None:
    said = narrow.send("POST", "/embed/files", 413, files={"files": ("x.png", b"0" * (1 << 21))})
    assert said["what"] == "more than 1 MB"

    def pieces() -> Iterator[bytes]:
        for _ in range(40):
            yield b" " * (1 << 16)

    answer = narrow.client.post("/api/v1/search", content=pieces(), headers={"content-type": "application/json"})
    assert answer.status_code == 413


def test_the_bodies_of_all_requests_have_a_limit_together(house: House, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(house.folder, tmp_path / "archive"))
    for served in serve(house, folder, bodies=1 << 20):
        large = {"json": {"texts": ["x" * 9_000] * 200}}
        answer = served.client.post("/api/v1/embed/text", **large)
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
        assert answer.json()["what"] == "too many requests are under way"
        for _ in range(30):  # what has been answered weighs no more
            served.send("POST", "/embed/text", json={"texts": ["x" * 9_000] * 10})


def test_an_answer_has_a_time(narrow: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Searcher, *args: Any) -> Any:
        time.sleep(2)

    monkeypatch.setattr(Searcher, "answer", slow)
    started = time.monotonic()
    said = narrow.send("GET", "/search?q=x", 504)
    assert time.monotonic() - started < 1.9
    assert said["title"] == "Gateway Timeout"


def test_what_took_too_long_leaves_no_more_threads_than_there_are_places(
    house: House, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    go_on, lock = threading.Event(), threading.Lock()
    running = most = 0

    def stuck(self: Searcher, *args: Any) -> Any:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        go_on.wait(30)
        with lock:
            running -= 1
        raise KeyError("never mind")

    monkeypatch.setattr(Searcher, "answer", stuck)
    folder = Path(shutil.copytree(house.folder, tmp_path / "archive"))
    for served in serve(house, folder, seconds=0.5, working=3):
        try:
            with ThreadPoolExecutor(12) as clients:
                answers = list(clients.map(served.client.get, ["/api/v1/search?q=x"] * 12))
            assert {answer.status_code for answer in answers} <= {503, 504}
            assert most == running == 3
            refused = served.client.get("/api/v1/search?q=x")
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "1")
            assert "took too long" in refused.json()["what"]
            assert served.client.get("/health").json() == {"status": "ok"}
        finally:
            go_on.set()
        monkeypatch.undo()
        for _ in range(100):
            if served.client.get("/api/v1/search?q=effusion").status_code == 200:
                break
            time.sleep(0.05)
        assert len(served.get("/search", params={"q": "effusion", "k": 3})["hits"]) == 3


def test_too_many_at_once_are_told_to_come_again(narrow: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def slow(self: Searcher, *args: Any) -> Any:
        time.sleep(0.4)
        raise KeyError("never mind")

    monkeypatch.setattr(Searcher, "answer", slow)
    answers: list[Any] = []

    def ask() -> None:
        answers.append(narrow.client.get("/api/v1/search?q=x"))

    threads = [threading.Thread(target=ask) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    busy = [one for one in answers if one.status_code == 503]
    assert busy
    assert busy[0].headers["retry-after"] == "1"


BAD: dict[str, tuple[str, str, dict[str, Any], int, str]] = {
    "no number": ("GET", "/films/abc", {}, 422, "path.film_id"),
    "a huge number": ("GET", f"/films/{2**70}", {}, 422, "path.film_id"),
    "no such film": ("GET", "/films/4711", {}, 404, "4711"),
    "no such address": ("GET", "/nothing", {}, 404, "None"),
    "no such method": ("PATCH", "/search", {}, 405, "None"),
    "too many films": ("GET", "/search?k=10001", {}, 422, "query.k"),
    "no JSON": ("POST", "/search", {"content": b"{", "headers": {"content-type": "application/json"}}, 422, "body.1"),
    "an unknown name": ("POST", "/search", {"json": {"wordz": "x"}}, 422, "body.wordz"),
    "a bad query": ("GET", "/search?q=age:old", {}, 400, "age:old"),
    "an unknown order": ("GET", "/search?order=beauty", {}, 422, "query.order"),
    "a bad window": ("GET", "/films/1/pixels?window=wide", {}, 400, "wide"),
    "no film": ("POST", "/similar", {"files": {"file": ("../../etc/x.dcm", b"no film")}}, 400, "x.dcm"),
    "a film of nobody": ("POST", "/labels", {"json": {"labels": [{"film": 99, "name": "x"}]}}, 404, "99"),
    "a wild grade": (
        "PUT", "/judgements", {"json": {"query": "x", "film": 1, "judge": "a", "grade": 9}}, 422, "body.grade",
    ),
    "words in a filter": ("POST", "/zeroshot", {"json": {"findings": ["x"], "where": "words"}}, 400, "words"),
}  # fmt: skip


@pytest.mark.parametrize("kind", BAD)
def test_bad_input_is_a_problem_with_what_where_and_fix(kind: str, api: Served) -> None:
    method, path, more, status, where = BAD[kind]
    answer = api.client.request(method, f"/api/v1{path}", **more)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    said = answer.json()
    assert {"type", "title", "status", "detail", "what", "where", "fix"} <= set(said)
    assert said["status"] == status
    assert str(said["where"]) == where
    assert said["what"] in said["detail"]


def test_an_unforeseen_fault_says_no_more_than_its_kind(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(self: Searcher, *args: Any) -> Any:
        raise KeyError("MUSTERFRAU^ANNA")

    monkeypatch.setattr(Searcher, "answer", broken)
    answer = api.client.get("/api/v1/search?q=x")
    assert answer.status_code == 500
    assert answer.headers["content-type"] == "application/problem+json"
    assert "MUSTERFRAU" not in answer.text
    assert "filmroom_errors_total 1.0" in api.client.get("/metrics").text


@pytest.mark.parametrize(("code", "status"), [(errno.ENOSPC, 507), (errno.EIO, 500)])
def test_a_full_disk_is_told_from_a_fault(api: Served, monkeypatch: pytest.MonkeyPatch, code: int, status: int) -> None:
    def fails(path: Path, data: bytes) -> int:
        raise OSError(code, os.strerror(code), str(path))

    monkeypatch.setattr(Path, "write_bytes", fails)
    answer = api.send("POST", "/embed/images", status, json={"images": ["AAAA"]})
    assert answer["what"] == {507: "the disk of the server is full", 500: "unexpected fault (OSError)"}[status]
