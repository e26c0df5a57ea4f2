from __future__ import annotations

import csv
import io
from dataclasses import replace
from pathlib import Path

import pytest
from filmroom.db.records import Film, Label
from filmroom.search.export import page_tables
from filmroom.search.request import SearchRequest
from filmroom.search.results import Hit

from tests.measure_helpers import as_json
from tests.search.export.conftest import House
from tests.terminal import Terminal


def rows(table: bytes | str) -> list[dict[str, str]]:
    text = table if isinstance(table, str) else table.decode()
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_page_hands_out_the_table_of_an_export(shell: Terminal, house: House, tmp_path: Path) -> None:
    hits = house.door.searcher.answer(SearchRequest("effusion", k=100)).hits
    for paths in ([], ["--paths"]):
        target = tmp_path / f"t{len(paths)}.csv"
        as_json(shell, "export", "table", "effusion", "--to", target, "--model", house.model, *paths)
        handed, exported = rows(page_tables.as_csv(house.archive, hits, paths=bool(paths))), rows(target.read_text())
        assert list(handed[0]) == list(exported[0])
        for row, other in zip(handed, exported, strict=True):
            for name in ("score", "percentile"):
                assert float(row.pop(name)) == pytest.approx(float(other.pop(name)), abs=1e-6)
        assert handed == exported
    (film,) = [row for row in handed if row["path"] == "p0-0.dcm"]
    assert (film["tags"], film["collections"], film["label:nodule"]) == ("'-1+1;teaching", "chosen", "1.0")


def test_a_film_of_no_answer_has_no_rank_and_names_of_files_are_asked_for(house: House) -> None:
    odd = replace(house.films["p1-0.dcm"], path="odd-\udcff,1.png")
    table = page_tables.as_csv(house.archive, [Hit(4, house.films["p5-1.dcm"], 0.25, 99.5), odd], paths=True)
    ranked, bare = rows(table)
    assert (ranked["rank"], ranked["score"], ranked["percentile"], ranked["view"]) == ("4", "0.25", "99.5", "PA")
    assert (bare["rank"], bare["score"], bare["path"]) == ("", "", "odd-\\udcff,1.png")
    assert "odd" not in page_tables.as_csv(house.archive, [odd]).decode()


def test_a_probability_of_a_probe_is_no_label(house: House) -> None:
    film = replace(house.films["p1-0.dcm"], labels=(Label("effusion"), Label("edema", 0.9, "probe")))
    (row,) = rows(page_tables.as_csv(house.archive, [film]))
    assert (row["labels"], row["probe:edema"]) == ("effusion", "0.9")


def test_parquet_holds_what_the_table_holds(house: House) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    films: list[Hit | Film] = [Hit(1, house.films["p5-1.dcm"], 0.25, 99.5), house.films["p1-0.dcm"]]
    table = parquet.read_table(io.BytesIO(page_tables.as_parquet(house.archive, films)))
    assert table.column_names == list(rows(page_tables.as_csv(house.archive, films))[0])
    shown = [(row["rank"], row["score"], row["view"]) for row in table.to_pylist()]
    assert shown == [(1, 0.25, "PA"), (None, None, "AP")]
    assert page_tables.as_parquet(house.archive, [])
