"""Read cells of delimited text: its encoding, its separator, its quotes, and where a row is damaged."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.errors import BadInput

_SEPARATORS = "\t;,"
_SAID = re.compile(r'"?sep=(.)"?', re.IGNORECASE)  # Excel's own hint in the first line
_ESCAPED_QUOTE = re.compile(r'(?<!\\)((?:\\\\)*)\\"')
_LINE_END = re.compile(r"\r\n|\r|\n")
_MARKS = (
    (b"\xef\xbb\xbf", "utf-8"),
    (b"\xff\xfe\x00\x00", "utf-32-le"),
    (b"\x00\x00\xfe\xff", "utf-32-be"),
    (b"\xff\xfe", "utf-16-le"),
    (b"\xfe\xff", "utf-16-be"),
)
_UNSAFE = ("=", "+", "-", "@", "\N{FULLWIDTH EQUALS SIGN}", "\N{FULLWIDTH PLUS SIGN}")
_FORMULA_WITHIN = re.compile(r"([;,|\t]\s*)(?=[=+\-@])")
_QUOTED = re.compile(r'[;,|\t"\r\n]|^\s|\s$')


@dataclass(frozen=True)
class Layout:
    """How a text is a table: `text` from its header on, which is the file's line `first`."""

    text: str
    delimiter: str
    first: int


def decode(raw: bytes, path: Path) -> str:
    """Decode bytes as text: by the byte order mark, else UTF-8, else UTF-16 where every other byte is zero, else each
    line that is no UTF-8 as Windows-1252. Raises BadInput with the line where a UTF-16 or UTF-32 file is damaged."""
    for mark, encoding in _MARKS:
        if raw.startswith(mark):
            return _by_line(raw[3:]) if encoding == "utf-8" else _strictly(raw[len(mark) :], encoding, path)
    if b"\x00" in raw[:65536]:
        guess = _without_mark(raw[:4096])
        if guess is None:
            raise BadInput("This is not a text file", where=path, fix="Save it as CSV, TSV or JSON lines")
        return _strictly(raw, guess, path)
    return _by_line(raw)


def lines_of(text: str) -> list[str]:
    """Return the lines of a text as editors count them. `str.splitlines` would also cut at U+2028 and at form feeds."""
    return _LINE_END.split(text)


def layout(path: Path, text: str) -> Layout:
    """Find header and separator. Raises BadInput where there is no header."""
    lines = iter(_LINE_END.finditer(text))
    at, first, declared = 0, 1, None
    while True:
        end = next(lines, None)
        head = text[at : end.start() if end else len(text)]
        hint = _SAID.fullmatch(head.strip(" "))
        if head.strip() and not hint:
            break
        if end is None:
            raise BadInput("The file is empty", where=path)
        declared = hint[1] if hint else declared
        at, first = end.end(), first + 1
    bare = re.sub(r'"[^"]*"', "", head)
    separated = any(separator in bare for separator in _SEPARATORS)
    likely = max(_SEPARATORS, key=bare.count) if separated else "|" if "|" in bare else ","
    likeliest = Layout(text[at:], declared or likely, first)
    # Some programs write a quote within quotes as \", which is told by the rows that cannot be read otherwise.
    if '\\"' in text and not _sound(likeliest):
        other = Layout(_ESCAPED_QUOTE.sub(r'\1""', likeliest.text), likeliest.delimiter, first)
        return other if _sound(other) else likeliest
    return likeliest


def rows(path: Path, table: Layout) -> Iterator[tuple[int, list[str]]]:
    """Yield (line, cells) of the header and every row. Raises BadInput with the line where a quote is not closed."""
    reader = csv.reader(_with_ends(table.text), delimiter=table.delimiter, strict=True)
    line = table.first
    try:
        for cells in reader:
            yield line, cells
            line = table.first + reader.line_num
    except csv.Error as fault:
        where = f"{path}:{line}"
        if "unexpected end" in str(fault) or "expected after" in str(fault):
            fix = "Write a quote within a quoted value twice, and close what was opened"
            raise BadInput("A quote is left open, or stands within a quoted value", where=where, fix=fix) from None
        raise BadInput(f"The row cannot be read ({fault})", where=where) from None


def cell(text: str) -> str:
    """Write text as it may stand in a table that is opened as a spreadsheet: bytes of a name that are no UTF-8 and
    control characters are spelled out, and nothing is taken for a formula, whatever the spreadsheet takes for a
    separator."""
    safe = text.encode("utf-8", "backslashreplace").decode()
    safe = "".join(char if char.isprintable() else repr(char)[1:-1] for char in safe)
    safe = _FORMULA_WITHIN.sub(r"\1'", safe)
    return f"'{safe}" if safe.startswith(_UNSAFE) else safe


def csv_row(values: Iterable[object]) -> str:
    """Return a row of a CSV that is handed out. Text goes through `cell`, and is quoted where it holds any usual
    separator."""
    return ",".join(map(_written, values)) + "\r\n"


def _written(value: object) -> str:
    if not isinstance(value, str):
        return "" if value is None else str(value)
    safe = cell(value)
    return '"' + safe.replace('"', '""') + '"' if _QUOTED.search(safe) else safe


def _with_ends(text: str) -> Iterator[str]:
    """Yield lines with what ends them. `io.StringIO` would hold four bytes for each character of a large table."""
    at = 0
    for end in _LINE_END.finditer(text):
        yield text[at : end.end()]
        at = end.end()
    if at < len(text):
        yield text[at:]


def _sound(table: Layout) -> bool:
    """Tell whether every row can be read and none has more values than the header."""
    reader = csv.reader(_with_ends(table.text), delimiter=table.delimiter, strict=True)
    try:
        columns = len(next(reader))
        return all(len(cells) <= columns or not any(cells[columns:]) for cells in reader)
    except csv.Error:
        return False


def _without_mark(start: bytes) -> str | None:
    even, odd = start[::2].count(0), start[1::2].count(0)
    if not even and odd * 3 > len(start):
        return "utf-16-le"
    return "utf-16-be" if not odd and even * 3 > len(start) else None


def _strictly(raw: bytes, encoding: str, path: Path) -> str:
    try:
        return raw.decode(encoding)
    except UnicodeDecodeError as fault:
        line = raw[: fault.start].decode(encoding, "replace").count("\n") + 1
        name = encoding[:6].upper()
        raise BadInput(f"The text is damaged ({name})", where=f"{path}:{line}", fix="Save it as UTF-8") from None


def _by_line(raw: bytes) -> str:
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError:
        return "\n".join(_line(part) for part in raw.split(b"\n"))


def _line(raw: bytes) -> str:
    for encoding in ("utf-8", "cp1252"):
        try:
            return raw.decode(encoding)
        except UnicodeDecodeError:
            continue
    return raw.decode("latin-1")
