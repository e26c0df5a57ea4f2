"""Tables as people have them: CSV, TSV or JSON lines; with a BOM, in latin-1, with semicolons, gzipped.

Every fault is a BadInput that names the file and the line.
"""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import re
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import BadInput, NotFound
from filmroom.search.status import RejectedFile

MAX_BYTES = 2 * 1024**3
_KINDS = {b"PK\x03\x04": "a spreadsheet or zip file", b"%PDF": "a PDF file", b"PAR1": "a Parquet file"}


@dataclass(frozen=True)
class Row:
    """One record. `values` by the file's own column names; lists of a JSON record are joined with ";"."""

    where: str
    values: Mapping[str, str]

    def get(self, column: str | None) -> str:
        """The stripped value; "" where the column or the value is missing."""
        return "" if column is None else self.values.get(column, "").strip()


@dataclass(frozen=True)
class Table:
    """A table that is read as it is gone through. `columns` are the names in the file, in order."""

    path: Path
    columns: tuple[str, ...]
    text: str
    delimiter: str

    def column(self, *names: str) -> str | None:
        """The file's name of the first of `names` that it has, whatever the case, spaces and punctuation."""
        known = {_plain(column): column for column in reversed(self.columns)}
        return next((known[_plain(name)] for name in names if _plain(name) in known), None)

    def need(self, *names: str) -> str:
        """As `column`; raises BadInput that says what there is when none is there."""
        found = self.column(*names)
        if found is None:
            shown = ", ".join(self.columns[:12]) + (", ..." if len(self.columns) > 12 else "")
            raise BadInput(f"There is no column {' or '.join(names)}", where=self.path, fix=f"The columns are: {shown}")
        return found

    def __iter__(self) -> Iterator[Row]:
        return self._records() if self.delimiter == "json" else self._cells()

    def _records(self) -> Iterator[Row]:
        for number, record in _json_records(self.path, self.text):
            yield Row(f"{self.path}:{number}", {str(key): _scalar(value) for key, value in record.items()})

    def _cells(self) -> Iterator[Row]:
        reader = csv.reader(io.StringIO(self.text, newline=""), delimiter=self.delimiter)
        next(reader)
        line = reader.line_num + 1
        try:
            for cells in reader:
                where = f"{self.path}:{line}"
                line = reader.line_num + 1
                if not any(cell.strip() for cell in cells):
                    continue
                if any(cell.strip() for cell in cells[len(self.columns) :]):
                    raise BadInput(
                        f"The row has {len(cells)} values for {len(self.columns)} columns",
                        where=where,
                        fix="Put values that contain the separator into double quotes",
                    )
                named = zip(self.columns, cells, strict=False)
                yield Row(where, {column: cell for column, cell in named if column})
        except csv.Error as fault:
            raise BadInput(f"The row cannot be read ({fault})", where=f"{self.path}:{line}") from None


def read_table(path: Path) -> Table:
    """The table at `path`: JSON lines when it starts with a brace, else separated by tab, semicolon or comma.

    Raises BadInput where it is not a text table, is empty or has a column twice; NotFound where there is none.
    """
    text = read_text(path)
    if text.lstrip()[:1] in {"{", "["}:
        # A record may lack what others have: the columns are those of all of them.
        keys = dict.fromkeys(str(key) for _, record in _json_records(path, text) for key in record)
        if not keys:
            raise BadInput("The file is empty", where=path)
        return Table(path, tuple(keys), text, "json")
    text = text.lstrip("\r\n")
    head = text.split("\n", 1)[0]
    if not head.strip():
        raise BadInput("The file is empty", where=path)
    bare = re.sub(r'"[^"]*"', "", head)
    delimiter = max("\t;,", key=bare.count) if any(mark in bare for mark in "\t;,") else ","
    try:
        columns = next(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter))
    except csv.Error as fault:
        raise BadInput(f"The header cannot be read ({fault})", where=f"{path}:1") from None
    columns = [column.strip() for column in columns]
    twice = sorted({column for column in columns if column and columns.count(column) > 1})
    if twice:
        raise BadInput(f"The column {twice[0]} is there twice", where=f"{path}:1", fix="Rename one of them")
    return Table(path, tuple(columns), text, delimiter)


def read_text(path: Path) -> str:
    """The file as text: UTF-8 or UTF-16 by BOM, else UTF-8, else Windows-1252/latin-1; gzip is unpacked."""
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
    for bom, encoding in ((b"\xef\xbb\xbf", "utf-8-sig"), (b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16")):
        if raw.startswith(bom):
            return raw.decode(encoding, errors="replace")
    if b"\x00" in raw[:65536]:
        raise BadInput("This is not a text file", where=path, fix="Save it as CSV, TSV or JSON lines")
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")


def read_lines(path: Path) -> Iterator[tuple[str, str]]:
    """("FILE:LINE", text) of every line that is not blank."""
    for number, line in enumerate(read_text(path).splitlines(), start=1):
        if line.strip():
            yield f"{path}:{number}", line


def cell(text: str) -> str:
    """Text as it may stand in a table that is opened as a spreadsheet: bytes of a name that are no UTF-8 and control
    characters are spelled out, and nothing is taken for a formula."""
    shown = text.encode("utf-8", "backslashreplace").decode()
    shown = "".join(char if char.isprintable() else repr(char)[1:-1] for char in shown)
    return f"'{shown}" if shown.startswith(("=", "+", "-", "@")) else shown


def rejected_csv(files: Iterable[RejectedFile]) -> bytes:
    """Each file that was turned away, with reason and remedy."""
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(["root", "path", "stage", "reason", "remedy"])
    for one in files:
        writer.writerow(map(cell, (one.root, one.path, one.stage, one.reason, one.remedy)))
    return out.getvalue().encode()


def write_aside(path: Path, data: str | bytes) -> None:
    """Write `path` whole or not at all: a neighbour, synced, renamed. Raises BadInput where that fails. Bytes of file
    names that are no UTF-8 are spelled out."""
    content = data.encode("utf-8", "backslashreplace") if isinstance(data, str) else data
    aside = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, prefix=f".{path.name}.", delete=False) as file:
            aside = Path(file.name)
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        aside.chmod(0o644)
        aside.replace(path)
    except OSError as fault:
        if aside is not None:
            aside.unlink(missing_ok=True)
        raise BadInput(f"The file cannot be written ({fault.strerror})", where=path) from None


def _json_records(path: Path, text: str) -> Iterator[tuple[int, dict[str, object]]]:
    if text.lstrip().startswith("["):
        raise BadInput("This is one JSON array", where=path, fix="Write one JSON object a line (JSON lines)")
    for number, line in enumerate(text.split("\n"), start=1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (json.JSONDecodeError, RecursionError):
            raise BadInput("The line is not JSON", where=f"{path}:{number}") from None
        if not isinstance(record, dict):
            raise BadInput("The line is not a JSON object", where=f"{path}:{number}")
        yield number, record


def _scalar(value: object) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, list) and all(isinstance(item, str | int | float) for item in value):
        return ";".join(str(item) for item in value)
    return json.dumps(value, ensure_ascii=False) if isinstance(value, list | dict) else str(value)


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]+", "_", name.lower()).strip("_")
