"""Checks as jobs: started, watched, stopped, and their results read as JSON and CSV."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from filelock import FileLock
from filmroom.db.archive import CHECKS, Archive
from filmroom.db.erasure.forget import forget
from filmroom.db.errors import BadInput
from filmroom.db.reads.film_table import film_columns
from filmroom.db.reads.films import select_ids
from filmroom.db.records import Filter, Label
from filmroom.db.writes.annotations import remove_labels
from filmroom.db.writes.facts import put_facts
from filmroom.search import background_check
from filmroom.search.background_check import CheckRun, CheckState
from filmroom.search.checks.result import Pick, Result
from filmroom.search.checks.run import checked_options, run_check

from tests.search.api.conftest import Served


def until(api: Served, number: int, right: Callable[[Any], bool]) -> Any:
    end = time.monotonic() + 90
    while time.monotonic() < end:
        found = api.get(f"/checks/{number}")
        if right(found):
            return found
        time.sleep(0.1)
    raise AssertionError(api.get(f"/checks/{number}"))


def test_a_check_is_started_watched_and_read(api: Served) -> None:
    begun = api.send("POST", "/checks", 202, json={"check": "duplicates"})
    assert (begun["id"], begun["state"], begun["check"]) == (1, "running", "duplicates")
    api.send("POST", "/checks", 409, json={"check": "archive"})
    done = until(api, 1, lambda one: one["state"] != "running")
    assert (done["state"], done["error"]) == ("done", None)
    assert api.get("/checks") == [done]
    found = api.get("/checks/1/result")
    assert (found["check"], found["films"], found["ok"]) == ("duplicates", 24, done["ok"])
    answer = api.client.get("/api/v1/checks/1/result.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text)))
    assert len(rows) == len(found["picks"])
    assert answer.text.splitlines()[0].startswith("group,film,identity,why")
    api.send("POST", "/checks/1/stop", 404)
    api.send("DELETE", "/checks/1")
    api.send("GET", "/checks/1", 404)
    api.send("GET", "/checks/1/result", 404)


def running(api: Served, monkeypatch: pytest.MonkeyPatch, body: str) -> None:
    """Have the process of the next check do something else than to check."""
    monkeypatch.setattr(background_check, "_MAIN", f"{background_check._MAIN.rsplit(';', 1)[0]}; {body}; main()")
    api.send("POST", "/checks", 202, json={"check": "archive"})


def test_a_check_is_stopped(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    slow = "import time, filmroom.search.background_check as b; b.run_check = lambda *a: time.sleep(60)"
    running(api, monkeypatch, slow)
    assert api.send("POST", "/checks/1/stop", 202) == {"id": 1, "stopping": True}
    ended = until(api, 1, lambda one: one["state"] != "running")
    assert (ended["state"], ended["ok"]) == ("stopped", None)
    said = api.send("GET", "/checks/1/result", 404)
    assert "stopped" in said["what"]


def test_a_fault_of_a_check_is_told(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    failing = (
        "import filmroom.search.background_check as b; "
        "b.run_check = lambda *a: (_ for _ in ()).throw(b.BadInput('too few films', where='view:PA'))"
    )
    running(api, monkeypatch, failing)
    ended = until(api, 1, lambda one: one["state"] != "running")
    assert (ended["state"], ended["error"]) == ("failed", "view:PA: too few films.")


@pytest.mark.parametrize(
    ("check", "options"),
    [
        ("drift", {"between": ["view:PA", "view:AP"]}),
        ("drift", {"between": ["view:PA", "sex:F"]}),
        ("labels", {"findings": ["nodule"]}),
        ("next", {"findings": ["view:PA"]}),
        ("next", {"findings": ["age:80..10"]}),
    ],
)
def test_what_can_only_fail_is_refused_in_the_words_of_the_check(
    api: Served, check: str, options: dict[str, Any]
) -> None:
    refused_at_once(api, check, options)


@pytest.mark.parametrize("check", ["labels", "slices"])
def test_what_no_label_and_no_judgement_can_answer_is_refused(api: Served, check: str) -> None:
    assert api.send("POST", "/checks", 202, json={"check": check})["state"] == "running"
    until(api, 1, lambda one: one["state"] != "running")
    api.send("DELETE", "/checks/1")
    remove_labels(api.archive.catalog, source=Label("effusion").source)
    refused_at_once(api, check, {})


@pytest.mark.parametrize("check", ["duplicates", "labels", "next", "splits"])
def test_films_without_vectors_are_not_compared(api: Served, check: str) -> None:
    put_facts(api.archive.catalog, {1: {"split": "test"}, 2: {"split": "train"}}, source="table")
    for film in select_ids(api.archive.catalog, Filter())[1:].tolist():
        with api.archive.catalog.write() as connection:
            connection.exec_driver_sql("DELETE FROM embedding WHERE film_id = ?", (film,))
    refused_at_once(api, check, {"findings": ["effusion"]} if check == "next" else {})


def refused_at_once(api: Served, check: str, options: dict[str, Any]) -> None:
    """Ask for what the check itself ends in."""
    with pytest.raises(BadInput) as fault:
        run_check(api.archive, check, checked_options(check, options), lambda done, total: None)
    assert api.send("POST", "/checks", 400, json={"check": check, **options})["detail"] == str(fault.value)
    assert api.get("/checks") == []


def test_a_look_at_a_check_that_begins_does_not_end_it(api: Served) -> None:
    """Whoever asks whether it runs tries its lock."""
    api.send("POST", "/checks", 202, json={"check": "archive"})
    with FileLock(api.archive.folder / CHECKS / "1.lock"):
        time.sleep(5)
    assert until(api, 1, lambda one: one["state"] != "running")["state"] == "done"


def test_a_result_that_is_torn_is_said(api: Served) -> None:
    api.send("POST", "/checks", 202, json={"check": "archive"})
    until(api, 1, lambda one: one["state"] == "done")
    (api.archive.folder / CHECKS / "1.result").write_bytes(b"")
    assert "it is damaged" in api.send("GET", "/checks/1/result", 404)["what"]
    assert "it is damaged" in api.send("GET", "/checks/1/result.csv", 404)["what"]


def test_a_process_that_was_killed_is_no_running_check(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    running(api, monkeypatch, "import os; os._exit(3)")
    monkeypatch.setattr(background_check, "_STARTING", -1)
    assert until(api, 1, lambda one: one["state"] != "running")["state"] == "failed"
    assert api.send("GET", "/checks/1/result", 404)["what"]


@pytest.mark.parametrize("busy", [False, True], ids=["idle", "while another check runs"])
def test_what_is_asked_wrongly_starts_nothing(api: Served, monkeypatch: pytest.MonkeyPatch, busy: bool) -> None:
    if busy:
        monkeypatch.setattr("subprocess.Popen", lambda *args, **more: type("Process", (), {"wait": lambda self: 0})())
        api.send("POST", "/checks", 202, json={"check": "archive"})
        api.send("POST", "/checks", 409, json={"check": "archive"})
    for status, asked in (
        (422, {"check": "unicorns"}),
        (400, {"check": "archive", "findings": ["edema"]}),
        (400, {"check": "splits", "split_column": "fold", "collections": ["a", "b"]}),
        (404, {"check": "duplicates", "model": "nobody"}),
        (400, {"check": "drift", "between": ["year:2019"]}),
        (400, {"check": "next"}),
        (400, {"check": "next", "findings": ["edema"], "query_set": "ward"}),
        (404, {"check": "next", "query_set": "nobody"}),
        (400, {"check": "labels", "findings": ["unicorn"]}),
        (400, {"check": "slices", "findings": ["unicorn"]}),
        (422, {"check": "slices", "threshold": 7}),
        (404, {"check": "slices", "query_set": "nobody's"}),
        (400, {"check": "splits", "split_column": "fold"}),
        (404, {"check": "splits", "collections": ["nobody's", "mine"]}),
        (400, {"check": "drift", "between": ["2019", "view:PA"]}),
        (400, {"check": "drift", "between": ["year:1871", "view:PA"]}),
        (400, {"check": "drift", "between": ["view:PA", "view:PA"]}),
        (404, {"check": "drift", "between": ["collection:nobody's", "view:PA"]}),
        (404, {"check": "drift", "between": [f"run:{10**30}", "view:PA"]}),
    ):
        api.send("POST", "/checks", status, json=asked)
    assert len(api.get("/checks")) == busy


def test_results_go_with_films_that_are_forgotten(api: Served) -> None:
    api.send("POST", "/checks", 202, json={"check": "archive"})
    until(api, 1, lambda one: one["state"] == "done")
    forget(api.archive, film_columns(api.archive.catalog, ())["id"][:1])
    assert list((api.archive.folder / CHECKS).iterdir()) == []
    api.send("GET", "/checks/1/result", 404)


def test_the_oldest_results_make_room(api: Served, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background_check, "KEPT", 3)
    monkeypatch.setattr("subprocess.Popen", lambda *args, **more: type("Process", (), {"wait": lambda self: 0})())
    for number in range(1, 6):
        begun: CheckRun = background_check.start_check(api.archive, "archive", {})
        assert begun.id == number
        background_check._write(api.archive, CheckRun(number, "archive", {}, CheckState.DONE, begun.started))
    assert [one.id for one in background_check.check_runs(api.archive)] == [5, 4, 3]


def test_a_check_whose_number_was_given_again_writes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As after films were forgotten while it was under way: their picks do not come back under another name."""
    archive = Archive.create(tmp_path / "archive")
    folder = archive.folder / CHECKS
    folder.mkdir()
    old = CheckRun(1, "duplicates", {}, CheckState.RUNNING, int(time.time()))
    new = CheckRun(1, "archive", {}, CheckState.RUNNING, int(time.time()))

    def forgotten_meanwhile(*_: object) -> Result:
        (folder / "1.json").write_bytes(background_check._text(new))
        return Result(check="duplicates", films=9, ok=False, picks=(Pick(4711, "forgotten"),))

    (folder / "1.json").write_bytes(background_check._text(old))
    monkeypatch.setattr(background_check, "run_check", forgotten_meanwhile)
    background_check._write(archive, background_check._carried_out(archive, old))
    assert background_check.get(archive, 1).check == "archive"
    assert not (folder / "1.result").exists()
