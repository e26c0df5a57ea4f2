"""Read tables as people have them: CSV, TSV or JSON lines; with a BOM, in Windows-1252 or UTF-16, semicolons, gzipped.

Every fault is a BadInput that names the file and the line.
"""

from __future__ import annotations

import gzip
import io
import json
import math
import os
import re
import secrets
import unicodedata
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from filmroom.db.errors import BadInput, NotFound
from filmroom.search.cli.counting import some_of
from filmroom.search.exchange.delimited import Layout, csv_row, decode, layout, lines_of, rows
from filmroom.search.status import RejectedFile

MAX_BYTES = 2 * 1024**3
_JSON = "json"
_ABOVE = 10
"""Lines at the top of a table in which a header is looked for that a title stands above."""
_MISSING = {
    "",
    *["nan", "-nan", "none", "na", "n/a", "<na>", "#n/a", "#na", "null", "nat", "n.a.", "n.a", "-", "--", "\\n"],
    "#n/a n/a",
}
_UNSEEN = "\u200b\u200e\u200f\u2060\ufeff"
"""Zero-width characters come at the ends of cells that were copied, and no film's name begins with them."""
_FORMULA_TEXT = re.compile(r'="((?:[^"]|"")*)"')
_KINDS = {b"PK\x03\x04": "a spreadsheet or zip file", b"%PDF": "a PDF file", b"PAR1": "a Parquet file"}


@dataclass(frozen=True)
class Row:
    """One record. `values` by the file's own column names; lists of a JSON record are joined with ";"."""

    where: str
    values: Mapping[str, str]

    def get(self, column: str | None) -> str:
        """Return the stripped value in composed Unicode; "" where the column or the value is missing, or says that it
        is (NaN, None, NA ...). Raises BadInput for what is no text: half a character, or a null."""
        if column is None:
            return ""
        value = self.values.get(column, "").strip().strip(_UNSEEN).strip()
        value = _as_typed(value) if value[:1] in {"=", "'"} else value
        if value.isascii() and "\0" not in value:
            return "" if value.lower() in _MISSING else value
        return unicodedata.normalize("NFC", _sound(value, str(column), self.where))

    def id(self, column: str | None) -> str:
        """Read as `get` does what names a patient or study: pandas writes 50414267 as 50414267.0."""
        value = self.get(column)
        return re.sub(r"^(\d+)\.0$", r"\1", value) if value.endswith(".0") else value

    def number(self, column: str | None) -> float:
        """Return the value as a number, with a decimal point or comma; NaN where it is none."""
        try:
            return float(self.get(column).replace(",", "."))
        except ValueError:
            return math.nan


@dataclass(frozen=True)
class Table:
    """A table that is read as it is gone through. `columns` are the names in the file, in order."""

    path: Path
    columns: tuple[str, ...]
    layout: Layout

    def column(self, *names: str) -> str | None:
        """Return the file's name of the first of `names` that it has, whatever the case, spaces and punctuation."""
        known = {plain(column): column for column in reversed(self.columns)}
        return next((known[plain(name)] for name in names if plain(name) in known), None)

    def need(self, *names: str) -> str:
        """Find a column as `column` does; raises BadInput that says what there is when none is there."""
        column = self.column(*names)
        if column is None:
            fix = self._title(names) or f"The columns are: {some_of(self.columns)}"
            where = self.path if self.layout.delimiter == _JSON else f"{self.path}:{self.layout.first}"
            raise BadInput(f"There is no column {' or '.join(names)}", where=where, fix=fix)
        return column

    def _title(self, names: tuple[str, ...]) -> str:
        """Say so where one of the next lines has the column, and a title stands above it."""
        lines = [] if self.layout.delimiter == _JSON else lines_of(self.layout.text)[1:_ABOVE]
        for number, line in enumerate(lines, self.layout.first + 1):
            cells = {plain(cell) for cell in re.split(r"[\t;,|]", line)}
            if any(plain(name) in cells for name in names):
                return f"Line {number} looks like the header: take out what stands above it"
        return ""

    def __iter__(self) -> Iterator[Row]:
        return self._records() if self.layout.delimiter == _JSON else self._cells()

    def _records(self) -> Iterator[Row]:
        for number, record in _json_records(self.path, self.layout.text):
            yield Row(f"{self.path}:{number}", {str(key): _scalar(value) for key, value in record.items()})

    def _cells(self) -> Iterator[Row]:
        for line, cells in islice(rows(self.path, self.layout), 1, None):
            if not any(cell.strip() for cell in cells):
                continue
            where = f"{self.path}:{line}"
            if any(cell.strip() for cell in cells[len(self.columns) :]):
                raise BadInput(
                    f"The row has {len(cells)} values for {len(self.columns)} columns",
                    where=where,
                    fix="Put values that contain the separator into double quotes",
                )
            yield Row(where, {column: cell for column, cell in zip(self.columns, cells, strict=False) if column})


def read_table(path: Path) -> Table:
    """Return the table at `path`: JSON lines when it starts with a brace, else separated by what its `sep=` line says,
    or by tab, semicolon or comma.

    Raises BadInput where it is not a text table, is empty or has a column twice; NotFound where there is none.
    """
    text = read_text(path)
    if text.lstrip()[:1] in {"{", "["}:
        # A record may lack what others have: the columns are those of all of them.
        records = _json_records(path, text)
        keys = dict.fromkeys(_sound(str(key), "a name", f"{path}:{line}") for line, record in records for key in record)
        if not keys:
            raise BadInput("The file is empty", where=path)
        return Table(path, tuple(keys), Layout(text, _JSON, 1))
    table = layout(path, text)
    line, header = next(rows(path, table))
    columns = [unicodedata.normalize("NFC", column.strip().strip(_UNSEEN).strip()) for column in header]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise BadInput(f"The column {twice[0]} is there twice", where=f"{path}:{line}", fix="Rename one of them")
    return Table(path, tuple(columns), table)


def read_text(path: Path) -> str:
    """Return the file as text (`delimited.decode`); gzip is unpacked."""
    try:
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
        if raw[:2] == b"\x1f\x8b":
            with gzip.open(io.BytesIO(raw)) as file:
                raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise NotFound("There is no such file", where=path) from None
    except (OSError, EOFError) as fault:
        raise BadInput(f"The file cannot be read ({type(fault).__name__})", where=path) from None
    if len(raw) > MAX_BYTES:
        raise BadInput(f"The file is larger than {MAX_BYTES // 1024**3} GiB", where=path, fix="Split it")
    if raw[:4] in _KINDS:
        raise BadInput(
            f"This is {_KINDS[raw[:4]]}, not a text table",
            where=path,
            fix="Save it as CSV, TSV or JSON lines",
        )
    return decode(raw, path)


def source_name(source: str | None, path: Path) -> str:
    """Return what labels, reports or facts of a file are said to come from; bytes of its name that are no UTF-8 are
    spelled out."""
    return (source or path.name).encode("utf-8", "backslashreplace").decode()


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """Yield ("FILE:LINE", text) of every line that is not blank."""
    for number, line in enumerate(lines_of(read_text(path)), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def rejected_csv(files: Iterable[RejectedFile]) -> bytes:
    """Return each file that was turned away, with reason and remedy."""
    table = [("root", "path", "stage", "reason", "remedy")]
    table += [(file.root, file.path, file.stage, file.reason, file.remedy) for file in files]
    return "".join(map(csv_row, table)).encode()


def write_aside(path: Path, data: str | bytes) -> None:
    """Write `path` whole or not at all: a neighbour, synced, renamed. Others may read it where the umask lets them.
    Raises BadInput where that fails, NotFound where its folder is not there. Bytes of file names that are no UTF-8 are
    spelled out."""
    check_folder_of(path)
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    part = path.with_name(f".filmroom-{secrets.token_hex(8)}")
    try:
        with part.open("xb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as fault:
        part.unlink(missing_ok=True)
        raise BadInput(f"The file cannot be written ({fault.strerror})", where=path) from None


def check_folder_of(path: Path) -> None:
    """Raise NotFound where there is no folder to put `path` into: a mistyped one is not made."""
    if not path.absolute().parent.is_dir():
        raise NotFound("its folder is not there", where=path, fix="Make it first, or name another place.")


def empty_folder(folder: Path) -> None:
    """Make `folder`, or take it as it is where it is empty. Raises BadInput where it holds something or cannot be
    made."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise BadInput("the folder is not empty", where=folder, fix="Name a new one.")
    except OSError as fault:
        raise BadInput(f"the folder cannot be made ({fault.strerror})", where=folder) from None


def _json_records(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    if text.lstrip().startswith("["):
        raise BadInput("This is one JSON array", where=path, fix="Write one JSON object a line (JSON lines)")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            raise BadInput("The line is not JSON", where=f"{path}:{number}") from None
        if not isinstance(record, dict):
            raise BadInput("The line is not a JSON object", where=f"{path}:{number}")
        yield number, record


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list) and all(item is None or isinstance(item, str | int | float) for item in value):
        return ";".join(str(item) for item in value if item is not None and item == item)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _sound(text: str, subject: str, where: str) -> str:
    """Return the text itself. Raises BadInput where it is none: half a character, or a null."""
    try:
        text.encode()
    except UnicodeEncodeError:
        fault = f"{subject} holds half a character (a lone surrogate)"
        raise BadInput(fault, where=where, fix="Write the file anew as UTF-8") from None
    if "\0" in text:
        raise BadInput(f"{subject} holds a null character", where=where, fix="Take it out")
    return text


def _as_typed(value: str) -> str:
    """Return what a spreadsheet shows: ="00012" keeps its zeros as text, and so does an apostrophe before a sign (which
    is how `cell` writes one)."""
    if formula := _FORMULA_TEXT.fullmatch(value):
        return formula[1].replace('""', '"').strip()
    return value[1:] if value[:1] == "'" and value[1:2] in {"=", "+", "-", "@"} else value


def plain(name: str) -> str:
    """Return a column's name without case, spaces and punctuation."""
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
