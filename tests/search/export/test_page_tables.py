from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from filmroom.db.records import Film, Label, State, Tags
from filmroom.search.export import page_tables
from filmroom.search.results import Hit


def film(root: Path, name: str, film_id: int = 1, **tags: object) -> Film:
    return Film(film_id, str(root), name, 0, State.PRESENT, 1, Tags(rows=4, columns=3, **tags), (Label("effusion"),))  # type: ignore[arg-type]


def test_a_table_has_a_row_a_film_and_says_the_score(tmp_path: Path) -> None:
    ranked = Hit(1, film(tmp_path, "a,b.png", view="PA", age=70), 0.25, 99.5)
    bare = film(tmp_path, "odd-\udcff.png", 2)
    rows = list(csv.DictReader(io.StringIO(page_tables.as_csv([ranked, bare], paths=True).decode())))
    assert [row["path"] for row in rows] == ["a,b.png", "odd-\\udcff.png"]
    assert (rows[0]["rank"], rows[0]["score"], rows[0]["percentile"]) == ("1", "0.25", "99.5")
    assert (rows[1]["rank"], rows[1]["score"]) == ("", "")
    assert rows[0]["labels"] == "effusion"
    assert "a,b" not in page_tables.as_csv([ranked, bare]).decode(), "names of files, unless asked for"


def test_a_probability_of_a_probe_is_no_label(tmp_path: Path) -> None:
    scored = replace(film(tmp_path, "a.png"), labels=(Label("effusion"), Label("nodule", 0.9, "probe")))
    (row,) = csv.DictReader(io.StringIO(page_tables.as_csv([scored]).decode()))
    assert row["labels"] == "effusion"


def test_parquet_holds_what_the_table_holds(tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    data = page_tables.as_parquet([Hit(1, film(tmp_path, "a.png", view="PA"), 0.25, 99.5), film(tmp_path, "b.png", 2)])
    table = parquet.read_table(io.BytesIO(data)).to_pylist()
    assert [(row["id"], row["score"], row["view"]) for row in table] == [(1, 0.25, "PA"), (2, None, None)]
    assert page_tables.as_parquet([])
