"""Tables as people have them."""

from __future__ import annotations

import csv
import gzip
import math
import os
import re
import tracemalloc
from pathlib import Path

import pytest
from filmroom.db.errors import BadInput, FilmroomError, NotFound
from filmroom.search.exchange.delimited import csv_row
from filmroom.search.exchange.tables import read_lines, read_table, write_aside


def records(path: Path, content: bytes) -> list[dict[str, str]]:
    path.write_bytes(content)
    return [{column: row.get(column) for column in row.values} for row in read_table(path)]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.csv", b"film,label\nf1,edema\nf2,\xc3\xb6dem\n"),
        ("bom.csv", b"\xef\xbb\xbffilm,label\r\nf1,edema\r\nf2,\xc3\xb6dem\r\n"),
        ("latin.csv", b"film,label\nf1,edema\nf2,\xf6dem\n"),
        ("semicolon.csv", b'film;label\nf1;"edema"\n\nf2;\xc3\xb6dem\n'),
        ("tab.tsv", b"film\tlabel\nf1\tedema\nf2\t\xc3\xb6dem"),
        ("utf16.csv", "film,label\nf1,edema\nf2,ödem\n".encode("utf-16")),
        ("utf16-be.csv", b"\xfe\xff" + "film,label\nf1,edema\nf2,ödem\n".encode("utf-16-be")),
        ("no-mark.csv", "film,label\nf1,edema\nf2,ödem\n".encode("utf-16-le")),
        ("utf32.csv", "film,label\nf1,edema\nf2,ödem\n".encode("utf-32")),
        ("said.csv", b"\xef\xbb\xbfsep=;\r\nfilm;label\r\nf1;edema\r\nf2;\xc3\xb6dem\r\n"),
        ("said-quoted.csv", b'"sep=,"\nfilm,label\nf1,edema\nf2,\xc3\xb6dem\n'),
        ("said-tab.csv", b"Sep=\t\nfilm\tlabel\nf1\tedema\nf2\t\xc3\xb6dem\n"),
        ("said-bar.csv", b"sep=|\nfilm|label\nf1|edema\nf2|\xc3\xb6dem\n"),
        ("bar.csv", b"film|label\nf1|edema\nf2|\xc3\xb6dem\n"),
        ("as-text.csv", b'film,label\n"=""f1""",edema\nf2,\xc3\xb6dem\n'),
        ("copied.csv", b"film,label\n\xe2\x80\x8bf1\xe2\x80\x8b,\xc2\xa0edema\xef\xbb\xbf\nf2,\xc3\xb6dem\n"),
        ("two-marks.csv", b"\xef\xbb\xbf\xef\xbb\xbffilm,label\nf1,edema\nf2,\xc3\xb6dem\n"),
        ("old-mac.csv", b"film,label\rf1,edema\rf2,\xc3\xb6dem\r"),
        ("decomposed.csv", b"film,label\nf1,edema\nf2,o\xcc\x88dem\n"),
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
        (b'film,label\nf1,"edema\nf2,mass\n', ":2: A quote is left open"),
        (b'sep=,\nfilm,label\nf0,x\nf1,"edema\nf2,"mass"\n', ":4: A quote is left open"),
        (b'film,"label\nf1,mass\n', ":1: A quote is left open"),
        (b"sep=;\n", "The file is empty"),
        (b"\xff\xfe" + "film,label\nf1,ed".encode("utf-16-le") + b"\x00\xd8\x41", ":2: The text is damaged (UTF-16)"),
        (b'{"film": "f1", "label": "\\ud83d"}\n', ":1: label holds half a character"),
        (b'{"film": "f1"}\n{"film": "f2\\u0000"}\n', ":2: film holds a null"),
        (b'{"film": 1' + b"0" * 5000 + b"}", ":1: The line is not JSON"),
    ],
)
def test_faults_name_file_and_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "x.csv"
    path.write_bytes(content)
    with pytest.raises(BadInput) as refused:
        [row.get(column) for row in read_table(path) for column in row.values]
    assert said in str(refused.value)
    assert str(refused.value).startswith(str(path))
    assert "\n" not in str(refused.value)


def test_a_missing_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(NotFound, match="no such file"):
        read_table(tmp_path / "absent.csv")


@pytest.mark.parametrize("missing", ["", "NaN", "nan", "None", "NA", "N/A", "n/a", "<NA>", "NULL", "null", r"\N"])
def test_a_cell_that_says_it_is_missing_has_no_text(tmp_path: Path, missing: str) -> None:
    assert records(tmp_path / "a.csv", f"film,label\nf1,{missing}\n".encode()) == [{"film": "f1", "label": ""}]


def test_json_that_says_nothing_has_no_text(tmp_path: Path) -> None:
    line = b'{"a": NaN, "b": null, "c": ["x", null, NaN]}'
    assert records(tmp_path / "a.jsonl", line) == [{"a": "", "b": "", "c": "x"}]


def test_a_file_of_two_encodings_is_read_line_by_line(tmp_path: Path) -> None:
    content = b"film,label\nf1,\xc3\xb6dem\nf2,\xf6dem\nf3,\x93mass\x94\n"
    assert [row["label"] for row in records(tmp_path / "a.csv", content)] == ["ödem", "ödem", "“mass”"]


def test_quotes_escaped_by_a_backslash(tmp_path: Path) -> None:
    content = rb"""film,report
"C:\films\f1.png","a \"shadow\", of the heart"
f2,"\"clear\""
"""
    assert records(tmp_path / "a.csv", content) == [
        {"film": r"C:\films\f1.png", "report": 'a "shadow", of the heart'},
        {"film": "f2", "report": '"clear"'},
    ]
    usual = rb"""film,report
"C:\films\","a ""shadow\"""
"""
    assert records(tmp_path / "b.csv", usual) == [{"film": "C:\\films\\", "report": 'a "shadow\\"'}]


def test_numbers_may_have_a_decimal_comma(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("film;x;y\nf1;1,5;wide\n")
    (row,) = read_table(tmp_path / "a.csv")
    assert row.number("x") == 1.5
    assert math.isnan(row.number("y"))


@pytest.mark.parametrize("separator", [",", ";", "\t", "|"])
@pytest.mark.parametrize("text", ["=1+1", "a;=1+1", "a, +1", "a|@x", "-1", "a\t=1", "\uff1d1"])
def test_no_separator_makes_a_formula_of_a_cell(separator: str, text: str) -> None:
    for cells in csv.reader([csv_row([1, text, -0.5])], delimiter=separator):
        assert not any(re.match(r"\s*[=+@\uff1d]|\s*-(?!0\.5)", one) for one in cells), cells


def test_lines(tmp_path: Path) -> None:
    path = tmp_path / "q.tsv"
    path.write_bytes("\ufeffq1\tedema\r\n\r\nq2\tmass\u2028or\x0cnodule".encode())
    assert list(read_lines(path)) == [(f"{path}:1", "q1\tedema"), (f"{path}:3", "q2\tmass\u2028or\x0cnodule")]


def test_writing_is_all_or_nothing(tmp_path: Path) -> None:
    path = tmp_path / "runs" / "run.txt"
    path.parent.mkdir()
    write_aside(path, "one\n")
    write_aside(path, "two\n")
    assert path.read_text() == "two\n"
    assert os.listdir(path.parent) == ["run.txt"]
    (tmp_path / "folder").mkdir()
    with pytest.raises(FilmroomError, match="cannot be written"):
        write_aside(tmp_path / "folder", "x")
    with pytest.raises(NotFound, match="its folder is not there"):
        write_aside(tmp_path / "missing" / "table.csv", "x")
    assert not (tmp_path / "missing").exists()
    assert sorted(os.listdir(tmp_path)) == ["folder", "runs"]


@pytest.mark.parametrize("name", ["-1.png", "=x.png", "@a", "+b", "'c", "d-1"])
def test_what_is_written_for_a_spreadsheet_is_read_back(tmp_path: Path, name: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(csv_row(["film"]) + csv_row([name]))
    assert [row.get("film") for row in read_table(path)] == [name]


@pytest.mark.parametrize("said", ["12", "12.0", " 12.0 "])
def test_a_number_that_names_is_whole(tmp_path: Path, said: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"study,x\n{said},1.0\n12.5,0\n")
    first, second = read_table(path)
    assert (first.id("study"), first.get("x"), second.id("study")) == ("12", "1.0", "12.5")


@pytest.mark.parametrize("cell", ["NaN", "None", "NA", "#N/A", "<NA>", "n.a.", "-", "null", r"\N"])
def test_cells_that_say_that_they_are_empty(tmp_path: Path, cell: str) -> None:
    path = tmp_path / "t.csv"
    path.write_text(f"film,x\na,{cell}\n")
    assert [row.get("x") for row in read_table(path)] == [""]


def test_half_a_character_in_a_name_is_refused_with_its_line(tmp_path: Path) -> None:
    path = tmp_path / "t.jsonl"
    path.write_text('{"film": "a"}\n{"film": "b", "x\\ud83d": 1}\n')
    with pytest.raises(BadInput, match=r"t\.jsonl:2: a name holds half a character"):
        read_table(path)


@pytest.mark.parametrize(("umask", "mode"), [(0o022, 0o644), (0o077, 0o600), (0o027, 0o640)])
def test_who_may_read_a_file_is_for_its_owner_to_say(tmp_path: Path, umask: int, mode: int) -> None:
    before = os.umask(umask)
    try:
        write_aside(tmp_path / "rejected.csv", "paths may hold names\n")
    finally:
        os.umask(before)
    assert (tmp_path / "rejected.csv").stat().st_mode & 0o777 == mode


@pytest.mark.parametrize(
    ("text", "line", "header"),
    [
        ("Chest films of 2024\nfilm,label\na,edema\n", 1, 2),
        ("\n\nMade by us; version 2\n\nfilm;label\na;edema\n", 3, 5),
        ('"a title, with a comma"\nwho,when\n"film"\tlabel\n', 1, 3),
    ],
)
def test_a_title_above_the_header_is_named_with_its_line(tmp_path: Path, text: str, line: int, header: int) -> None:
    path = tmp_path / "t.csv"
    path.write_text(text)
    with pytest.raises(BadInput) as refused:
        read_table(path).need("film", "image")
    assert str(refused.value) == (
        f"{path}:{line}: There is no column film or image. Line {header} looks like the header: take out what stands "
        "above it"
    )


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_a_large_table_is_held_as_its_text_alone(end: str, tmp_path: Path) -> None:
    path = tmp_path / "labels.csv"
    path.write_bytes(f"film,label{end}".encode() + f'ward/film.dcm,"edema{end}or not"{end}'.encode() * 10_000)
    table = read_table(path)
    tracemalloc.start()
    try:
        labels = {row.values["label"] for row in table}
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert labels == {f"edema{end}or not"}
    assert most < path.stat().st_size
