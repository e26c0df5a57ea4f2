"""The same request, asked at every door: terminal, Python, page, REST and exports give the same films and numbers."""

from __future__ import annotations

import base64
import csv
import json
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.records import Label
from filmroom.db.writes import annotations
from filmroom.db.writes.annotations import Judgement, Report
from filmroom.search.python_api import OpenArchive
from filmroom.search.request import from_parameters

from tests.measure_helpers import as_json, said
from tests.search.api.conftest import House, Served, serve
from tests.terminal import Terminal

WORDS = "effusion"
REQUESTS: dict[str, dict[str, Any]] = {
    "words": {"query": WORDS},
    "words against": {"query": "effusion -nodule"},
    "words of a negation": {"query": "no effusion"},
    "a view": {"query": "effusion view:PA"},
    "no view": {"query": "effusion -view:PA"},
    "sex and age": {"query": "effusion sex:F age:41..47"},
    "years": {"query": "effusion year:2012..2016"},
    "a label": {"query": "label:effusion"},
    "a probe": {"query": "probe:edema>0.2"},
    "a tag": {"query": "tag:teaching"},
    "a collection": {"query": "nodule collection:chosen"},
    "what reports say": {"query": "nodule says:effusion"},
    "what reports deny": {"query": "nodule denies:effusion"},
    "report words": {"query": 'nodule "pleural effusion"'},
    "a finding": {"query": 'finding:"pleural effusion"'},
    "alternatives": {"query": "nodule (view:PA OR label:effusion)"},
    "a path": {"query": "nodule path:p1"},
    "a film": {"like": [3]},
    "films for and against": {"query": "view:AP", "like": [3, 5], "unlike": [7]},
    "words and films": {"query": WORDS, "like": [3], "unlike": [8]},
    "a study's best": {"query": WORDS, "per_study": True},
    "reports' words too": {"query": WORDS, "hybrid": True},
    "reports' words, a study's best": {"query": "effusion view:PA", "hybrid": True, "per_study": True},
    "judged": {"query": WORDS, "judged": True},
    "the newest": {"query": WORDS, "order": "newest"},
    "the oldest of a filter": {"query": "view:PA", "order": "oldest"},
    "by age": {"query": "effusion sex:F", "order": "age"},
    "a percentile": {"query": WORDS, "least": "50%"},
    "a score": {"query": WORDS, "least": "0.0"},
    "a percentile of films": {"like": [3], "least": "75%"},
    "all at once": {
        "query": "effusion -nodule year:2010..",
        "like": [3],
        "unlike": [8],
        "per_study": True,
        "judged": True,
        "order": "newest",
        "least": "20%",
    },
}
REPORTS = [f"{'Left' if n % 3 else 'No'} pleural effusion." + " Old rib fracture." * (n % 4) for n in range(10)]
Answer = list[tuple[int, float | None, float | None]]


@pytest.fixture(scope="module")
def asked(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The archive with reports and judgements, too."""
    folder = Path(shutil.copytree(house.folder, tmp_path_factory.mktemp("asked") / "archive"))
    for served in serve(house, folder):
        catalog = served.archive.catalog
        known = {film.path: film.id for film in house.films.values()}
        reports = [Report(text, study_uid=f"1.2.826.0.7.{patient}") for patient, text in enumerate(REPORTS)]
        annotations.put_reports(catalog, reports, source="test")
        for path, grade in (("p1-0.dcm", 3), ("p3-1.dcm", 2), ("p0-0.dcm", 0), ("p2-1.dcm", 0)):
            annotations.judge(catalog, Judgement(WORDS, known[path], "anna", grade))
        annotations.put_labels(catalog, [(known["p5-0.dcm"], Label("effusion", 1.0, "reader"))])
        yield served


@pytest.fixture
def typed(asked: Served, terminal: Terminal) -> Terminal:
    """The terminal, on the same archive."""
    terminal.archive = asked.archive.folder
    return terminal


def of_json(found: Any) -> Answer:
    return [(hit["id"], hit["score"], hit["percentile"]) for hit in found["hits"]]


def arguments(request: dict[str, Any]) -> list[object]:
    named = {"per_study": "--per-study", "hybrid": "--hybrid", "judged": "--judged"}
    given = [request.get("query", "")]
    given += [flag for name, flag in named.items() if request.get(name)]
    for name in ("like", "unlike"):
        given += [part for one in request.get(name, []) for part in (f"--{name}", one)]
    given += [part for name, flag in (("order", "--sort"), ("least", "--least")) if name in request
              for part in (flag, request[name])]  # fmt: skip
    return given


def address(request: dict[str, Any]) -> dict[str, str]:
    names = {"query": "q", "per_study": "study", "order": "sort"}

    def written(value: Any) -> str:
        return ",".join(map(str, value)) if isinstance(value, list) else str(value).replace("True", "true")

    return {names.get(name, name): written(value) for name, value in request.items()}


def same(one: Answer, other: Answer) -> bool:
    """The same films, and numbers as far as they are printed: scores with six places, percentiles with two."""

    def near(a: float | None, b: float | None, places: int) -> bool:
        return a is b is None or (a is not None and b is not None and abs(a - b) <= 0.51 * 10**-places)

    return [row[0] for row in one] == [row[0] for row in other] and all(
        near(mine[1], theirs[1], 6) and near(mine[2], theirs[2], 2) for mine, theirs in zip(one, other, strict=True)
    )


@pytest.mark.parametrize("kind", REQUESTS)
def test_every_door_gives_the_same_films_and_numbers(kind: str, asked: Served, typed: Terminal, tmp_path: Path) -> None:
    request = REQUESTS[kind]
    model, more = asked.house.model, {"k": 40}
    door = OpenArchive(asked.archive.folder, model=str(model))
    python = door.search(**request, **more)
    wanted = [(hit.id, hit.score, hit.percentile) for hit in python.hits]
    assert 0 < len(wanted) <= 24
    assert len(wanted) == python.total or request.get("per_study")

    # The page shows the films that a reader points at before the answer; the other doors leave them out.
    shown = replace(from_parameters(address(request) | {"n": "40"}), liked_first=False)
    page = door.searcher.answer(shown)
    assert [(hit.id, hit.score, hit.percentile) for hit in page.hits] == wanted

    terminal = of_json(as_json(typed, "search", *arguments(request), "-k", 40, "--model", model))
    assert same(terminal, wanted)
    assert of_json(asked.send("POST", "/search", json=request | more)) == terminal
    query = {"q" if name == "query" else name: value for name, value in request.items()}
    assert of_json(asked.get("/search", params=query | more)) == terminal

    as_json(typed, "export", "table", *arguments(request), "--to", tmp_path / "t.csv", "--model", model)
    with (tmp_path / "t.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    exported = [
        (int(row["id"]), *(float(row[name]) if row[name] else None for name in ("score", "percentile"))) for row in rows
    ]
    assert same(exported, wanted)
    door.export("cohort", to=tmp_path / "c.json", **request)
    cohort = json.loads((tmp_path / "c.json").read_text())
    assert [film[0] for film in cohort["films"]] == [film for film, *_ in wanted]


def test_a_film_from_outside_gives_the_same_everywhere(asked: Served, typed: Terminal, tmp_path: Path) -> None:
    film = asked.house.films["p3-1.dcm"]
    path, model = Path(film.root) / film.path, asked.house.model
    terminal = of_json(as_json(typed, "search", "view:PA", "--like", path, "-k", 40, "--model", model))
    assert terminal[0][0] == film.id
    with path.open("rb") as file:
        assert of_json(asked.send("POST", "/similar?q=view:PA&k=40", files={"file": ("film.dcm", file)})) == terminal
    body = {"query": "view:PA", "uploads": [base64.b64encode(path.read_bytes()).decode()], "k": 40}
    assert of_json(asked.send("POST", "/search", json=body)) == terminal
    as_json(typed, "export", "cohort", "view:PA", "--like", path, "--to", tmp_path / "c.json", "--model", model)
    cohort = json.loads((tmp_path / "c.json").read_text())
    assert [one[0] for one in cohort["films"]] == [hit[0] for hit in terminal]
    asked.send("POST", "/search", 400, json={"uploads": ["no base64!"]})


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--least", "very"], "no score to cut off at"),
        (["--least", "90%,x"], "no score to cut off at"),
        (["--least", "170%"], "no score to cut off at"),
        (["--sort", "beauty"], "not an order"),
        (["--like", "nowhere.dcm"], "no such file"),
        (["--like", "."], "no such file"),
        (["--like", "1", "--unlike", "1"], "for and against"),
    ],
)
def test_what_cannot_be_meant_is_one_line_at_every_door(
    more: list[str], words: str, asked: Served, terminal: Terminal, tmp_path: Path
) -> None:
    terminal.archive = asked.archive.folder
    assert words in said(terminal, "search", "effusion", *more, "--model", asked.house.model)
    assert words in said(terminal, "export", "table", "effusion", *more, "--to", tmp_path / "t.csv")
    if "--least" in more:
        assert words in asked.send("GET", "/search", 400, params={"q": "effusion", "least": more[1]})["what"]
    if "--unlike" in more:
        assert words in asked.send("GET", "/search", 400, params={"like": 1, "unlike": 1})["what"]
    assert not list(tmp_path.glob("*t.csv*"))


def test_a_least_score_needs_something_to_be_scored(asked: Served, terminal: Terminal) -> None:
    terminal.archive = asked.archive.folder
    assert "there are no scores" in said(terminal, "search", "view:PA", "--least", "90%")
    assert "there are no scores" in asked.send("GET", "/search?q=view:PA&least=90%25", 400)["what"]
