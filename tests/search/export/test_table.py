from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.measure_helpers import as_json, said
from tests.search.export.conftest import House
from tests.terminal import Terminal


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_table_is_the_answer_that_search_gives(shell: Terminal, house: House, tmp_path: Path) -> None:
    done = as_json(shell, "export", "table", "effusion view:PA", "--to", tmp_path / "t.csv", "--model", house.model)
    found = as_json(shell, "search", "effusion view:PA", "-k", 100, "--model", house.model)
    table = rows(tmp_path / "t.csv")
    assert done["films"] == len(table) == found["total"] == 10
    assert [int(row["id"]) for row in table] == [hit["id"] for hit in found["hits"]]
    assert [float(row["score"]) for row in table] == pytest.approx([hit["score"] for hit in found["hits"]], abs=1e-6)
    assert [float(row["percentile"]) for row in table] == pytest.approx(
        [hit["percentile"] for hit in found["hits"]], abs=0.01
    )


@pytest.mark.parametrize("how", [["--sort", "newest"], ["--per-study"], ["--like", "3"], ["--unlike", "3"]])
def test_every_part_of_a_request_counts(how: list[str], shell: Terminal, house: House, tmp_path: Path) -> None:
    from filmroom.search.request import Order, SearchRequest

    as_json(shell, "export", "table", "effusion", "--to", tmp_path / "t.csv", "--model", house.model, *how)
    request = SearchRequest(
        "effusion",
        like=(3,) if "--like" in how else (),
        unlike=(3,) if "--unlike" in how else (),
        per_study="--per-study" in how,
        order=Order.NEWEST if "--sort" in how else Order.MATCH,
        k=100,
    )
    answer = house.door.searcher.answer(request)
    table = rows(tmp_path / "t.csv")
    assert [int(row["id"]) for row in table] == [hit.id for hit in answer.hits]
    assert [float(row["score"]) for row in table] == pytest.approx([hit.score for hit in answer.hits])


def test_every_fact_label_and_split_has_a_column(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "table", "--all", "--to", tmp_path / "t.csv", "--split", "50/25/25", "--paths")
    table = {row["path"]: row for row in rows(tmp_path / "t.csv")}
    film = table["p5-1.dcm"]
    assert (film["view"], film["sex"], film["age"], film["year"], film["rows"]) == ("PA", "F", "45", "2015", "53")
    assert (film["label:effusion"], film["label:nodule"], film["probe:edema"]) == ("1.0", "1.0", "0.25")
    assert (film["labels"], film["score"], film["rank"] != "") == ("effusion;nodule", "", True)
    assert (table["p0-0.dcm"]["collections"], table["p4-1.dcm"]["label:effusion"]) == ("chosen", "0.0")
    assert {row["split"] for row in table.values()} == {"train", "validation", "test"}
    shell("export", "table", "--all", "--to", tmp_path / "nameless.csv")
    assert "p5-1.dcm" not in (tmp_path / "nameless.csv").read_text()


def test_no_cell_is_a_formula(shell: Terminal, tmp_path: Path) -> None:
    shell("export", "table", "--all", "--to", tmp_path / "t.csv", "--paths")
    with (tmp_path / "t.csv").open(newline="", encoding="utf-8") as file:
        cells = [cell for row in csv.reader(file) for cell in row]
    wild = [cell for cell in cells if cell[:1] in "=+-@\t\r" and cell]
    assert wild == []
    assert any("=cmd|" in cell for cell in cells)
    assert any(cell.startswith("'-1+1") for cell in cells)


def test_parquet_holds_the_same(shell: Terminal, house: House, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    for name in ("t.csv", "t.parquet"):
        as_json(shell, "export", "table", "effusion", "--to", tmp_path / name, "--model", house.model)
    table, held = rows(tmp_path / "t.csv"), parquet.read_table(tmp_path / "t.parquet")
    assert held.column_names == list(table[0])
    assert str(held.schema.field("label:effusion").type) == "double"
    for row, other in zip(table, held.to_pylist(), strict=True):
        assert {name: "" if value is None else str(value) for name, value in other.items()} == row


def test_a_collection_comes_in_its_order(shell: Terminal, house: House, tmp_path: Path) -> None:
    as_json(shell, "export", "table", "--collection", "chosen", "--to", tmp_path / "t.csv")
    wanted = {house.films[f"p{n}-0.dcm"].id for n in (4, 2, 0)}
    assert {int(row["id"]) for row in rows(tmp_path / "t.csv")} == wanted
    assert "no collection of this name" in said(
        shell, "export", "table", "--collection", "x", "--to", tmp_path / "x.csv"
    )


BAD = {
    ("table", "--all"): "needs a place",
    ("table", "--to", "x.csv"): "say which films",
    ("table", "effusion", "--all", "--to", "x.csv"): "say which films",
    ("table", "--all", "--to", "x.xlsx"): "a table export ends in .csv or .parquet",
    ("pictures", "--all", "--to", "x"): "not a kind of export",
    ("table", "view:PA age:1..2", "--to", "x.csv"): "no film is chosen",
    ("table", "--all", "--to", "x.csv", "--split", "80"): "not a split",
    ("table", "--all", "--to", "x.csv", "--split", "80/-1"): "not a split",
    ("png", "--all", "--to", "x", "--bits", "12"): "8 or 16 bits",
    ("png", "--all", "--to", "x", "--window", "wide"): "not a window",
    ("dataset", "--all", "--to", "x", "--as", "zip"): "not a layout",
    ("vectors", "--all", "--to", "x.npz", "--model", "other"): "holds no vectors of this model",
    ("png", "--all", "--to", "x", "--deidentify"): "only copies are de-identified",
    ("table", "effusion", "--sort", "beauty", "--to", "x.csv"): "not an order",
}


@pytest.mark.parametrize("command", BAD, ids=" ".join)
def test_bad_input_is_one_line_and_leaves_nothing(
    command: tuple[str, ...], shell: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert BAD[command] in said(shell, "export", *command)
    assert list(tmp_path.iterdir()) == []


def test_what_is_there_is_not_overwritten(shell: Terminal, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("mine")
    assert "something there already" in said(shell, "export", "table", "--all", "--to", tmp_path / "t.csv")
    assert (tmp_path / "t.csv").read_text() == "mine"
