"""Tables as people have them."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput, FilmroomError, NotFound
from filmroom.search.exchange.tables import read_lines, read_table, write_aside


def records(path: Path, content: bytes) -> list[dict[str, str]]:
    path.write_bytes(content)
    return [dict(row.values) for row in read_table(path)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"film,label\nf1,edema\nf2,\xc3\xb6dem\n"),
        ("bom.csv", b"\xef\xbb\xbffilm,label\r\nf1,edema\r\nf2,\xc3\xb6dem\r\n"),
        ("latin.csv", b"film,label\nf1,edema\nf2,\xf6dem\n"),
        ("semicolon.csv", b'film;label\nf1;"edema"\n\nf2;\xc3\xb6dem\n'),
        ("tab.tsv", b"film\tlabel\nf1\tedema\nf2\t\xc3\xb6dem"),
        ("utf16.csv", "film,label\nf1,edema\nf2,ödem\n".encode("utf-16")),
        ("packed.csv.gz", gzip.compress(b"film,label\nf1,edema\nf2,\xc3\xb6dem\n", mtime=0)),
        ("lines.jsonl", b'{"film": "f1", "label": "edema"}\n\n{"film": "f2", "label": "\xc3\xb6dem"}\n'),
    ],
)
def test_one_table_in_many_dresses(tmp_path: Path, name: str, content: bytes) -> None:
    assert records(tmp_path / name, content) == [
        {"film": "f1", "label": "edema"},
        {"film": "f2", "label": "ödem"},
    ]


def test_rows_know_their_line_even_after_a_quoted_line_break(tmp_path: Path) -> None:
    path = tmp_path / "r.csv"
    path.write_text('film,report\nf1,"two\nlines"\nf2,one\n')
    rows = list(read_table(path))
    assert [row.where for row in rows] == [f"{path}:2", f"{path}:4"]
    assert rows[0].get("report") == "two\nlines"
    assert rows[0].get(None) == rows[0].get("absent") == ""


def test_columns_are_found_by_any_spelling(tmp_path: Path) -> None:
    path = tmp_path / "nih.csv"
    path.write_text("Image Index,Finding Label,Bbox [x,y,w,h],,,\nf.png,Mass,1.5,2,3,4,,,\n")
    table = read_table(path)
    assert table.need("image_index") == "Image Index"
    assert table.column("x", "bbox_x") == "Bbox [x"
    (row,) = table
    assert [row.get(table.column(name)) for name in ("bbox x", "y", "w", "h")] == ["1.5", "2", "3", "4"]
    with pytest.raises(BadInput, match="no column path or film") as refused:
        table.need("path", "film")
    assert "The columns are: Image Index, Finding Label" in str(refused.value)


def test_json_values_become_text(tmp_path: Path) -> None:
    line = b'{"a": ["x", "y"], "b": null, "c": 1.5, "d": true, "e": [{"k": 1}]}'
    assert records(tmp_path / "a.jsonl", line) == [{"a": "x;y", "b": "", "c": "1.5", "d": "1", "e": '[{"k": 1}]'}]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "The file is empty"),
        (b"\n\n", "The file is empty"),
        (b"PK\x03\x04rest", "spreadsheet"),
        (b"a\x00b", "not a text file"),
        (b"film,film\n", ":1: The column film is there twice"),
        (b"film,label\nf1,a,b\n", ":2: The row has 3 values for 2 columns"),
        (b'{"a": 1}\n{"a": \n', ":2: The line is not JSON"),
        (b'{"a": 1}\n3\n', ":2: The line is not a JSON object"),
        (b'[{"a": 1}]', "one JSON array"),
        (b"\x1f\x8bnot really", "cannot be read"),
        (b"film,label\nf1," + b"x" * 200_000, ":2: The row cannot be read"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        list(read_table(path))
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_table(tmp_path / "absent.csv")


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_bytes(b"\xef\xbb\xbfq1\tedema\r\n\r\nq2\tmass")
    assert list(read_lines(path)) == [(f"{path}:1", "q1\tedema"), (f"{path}:3", "q2\tmass")]


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "new" / "run.txt"
    write_aside(path, "one\n")
    write_aside(path, "two\n")
    assert path.read_text() == "two\n"
    assert os.listdir(path.parent) == ["run.txt"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(FilmroomError, match="cannot be written"):
        write_aside(tmp_path / "folder", "x")
    assert sorted(os.listdir(tmp_path)) == ["folder", "new"]
