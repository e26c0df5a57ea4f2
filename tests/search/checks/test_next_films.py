"""The films to label next are those that teach most, and nothing is written."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.reads.film_table import film_columns
from filmroom.db.writes.annotations import Judgement, judge
from filmroom.db.writes.query_sets import put_query_set
from filmroom.search.checks.next_films import unsure

from tests.terminal import Terminal


def test_a_probe_asks_for_what_it_is_unsure_of_and_not_for_the_same_twice() -> None:
    rng = np.random.default_rng(2)
    rows = rng.normal(size=(200, 8)).astype(np.float32)
    rows[150:] = rows[150]  # fifty pictures of one film
    rows /= np.linalg.norm(rows, axis=1, keepdims=True)
    has = rows[:, 0] > 0.1
    truth = np.full(200, np.nan)
    truth[:60] = has[:60]
    found = unsure(rows, truth, rng.random(200), 20)
    assert len(set(found.rows.tolist())) == 20
    assert (found.rows >= 60).all()
    assert (found.rows >= 150).sum() <= 1
    others = np.setdiff1d(np.arange(60, 150), found.rows)
    assert np.abs(rows[found.rows, 0] - 0.1).mean() < np.abs(rows[others, 0] - 0.1).mean()


def test_without_both_kinds_the_likeliest_come_first() -> None:
    rows = np.eye(12, dtype=np.float32)
    prior = np.linspace(0, 1, 12)
    assert unsure(rows, np.full(12, np.nan), prior, 3).rows.tolist() == [11, 10, 9]


def test_the_command_lists_films_that_are_not_labelled(terminal: Terminal, films: Any, tiny: Path) -> None:
    folder = films(24)
    terminal("index", folder, "--model", tiny, "--workers", 1)
    catalog = Archive.open(terminal.archive).catalog
    ids = film_columns(catalog, ())["id"]
    names = film_columns(catalog, ["path"])["path"]
    table = folder.parent / "labels.csv"
    table.write_text("film,label,value\n" + "".join(f"film-{at:03}.png,edema,{at % 2}\n" for at in range(10)))
    terminal("label", table)
    before = catalog.changes()
    found: Any = terminal.json("check", "next", "Edema", "-k", 5, "--csv", folder.parent / "next.csv")
    assert terminal.code == 0, terminal.err
    labelled = {film for film, name in zip(ids, names, strict=True) if name < "film-010"}
    assert len({one["film"] for one in found["picks"]} - labelled) == 5
    assert found["figures"] == {"labelled films": 10, "with the finding": 5, "films to label": 5}
    assert (folder.parent / "next.csv").read_text().startswith("group,film,identity,why,finding,probability")
    assert catalog.changes() == before
    first: Any = terminal.json("check", "next", "pneumothorax", "-k", 3)
    assert first["figures"] == {"labelled films": 0, "with the finding": 0, "films to label": 3}
    assert first["notes"][0] == "No film has a label of this name: the likeliest films by words come first."
    for asked, said in ((("edema", "-k", 0), "not a number of films"),):
        terminal("check", "next", *asked)
        assert (terminal.code, len(terminal.err.strip().splitlines())) == (1, 1)
        assert said in terminal.err


def test_a_query_set_asks_for_the_first_films_that_nobody_has_judged(
    terminal: Terminal, films: Any, tiny: Path
) -> None:
    terminal("index", films(24), "--model", tiny, "--workers", 1)
    catalog = Archive.open(terminal.archive).catalog
    put_query_set(catalog, "ward", ["edema", "effusion"])
    first: Any = terminal.json("search", "edema", "-k", 10)
    ranked = [hit["id"] for hit in first["hits"]]
    for film in (ranked[0], ranked[4]):
        judge(catalog, Judgement("edema", film, "reader", 1))
    found: Any = terminal.json("check", "next", "--query-set", "ward", "-k", 100)
    assert found["figures"] == {"queries": 2, "judged of their first ten": 2, "left to judge": 18}
    asked = [pick["film"] for pick in found["picks"] if pick["query"] == "edema"]
    assert asked == [film for film in ranked if film not in (ranked[0], ranked[4])]
    shares = [pick["share of nDCG"] for pick in found["picks"]]
    assert shares == sorted(shares, reverse=True)
    assert found["picks"][0]["query"] == "effusion"  # the first film of the other is judged
    for pick in found["picks"]:
        judge(catalog, Judgement(pick["query"], pick["film"], "reader", 0))
    out = terminal("check", "next", "--query-set", "ward")
    assert "The first ten films of all 2 queries are judged." in out


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (("--query-set", "nobody"), "there is no query set of this name"),
        ((), "next is of a finding or of a query set"),
        (("edema", "--query-set", "ward"), "next is of a finding or of a query set"),
    ],
)
def test_what_next_cannot_be_asked_is_one_line(
    terminal: Terminal, films: Any, tiny: Path, asked: tuple[str, ...], answer: str
) -> None:
    terminal("index", films(2), "--model", tiny, "--workers", 1)
    terminal("check", "next", *asked)
    assert (terminal.code, len(terminal.err.strip().splitlines())) == (1, 1)
    assert answer in terminal.err
