"""Write kept pages: one file without scripts, links or fonts, and tables in HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from filmroom.assets import ASSETS
from jinja2 import Environment, FileSystemLoader, StrictUndefined

NOTICE = "Research use only, not for diagnosis."
_TEMPLATES = ASSETS / "reports"


@dataclass(frozen=True)
class Table:
    """A table under its title; cells are plain text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def is_markdown(path: Path) -> bool:
    return path.suffix.lower() in {".md", ".markdown"}


def html_page(template: str, *, title: str, facts: Sequence[str], warning: str = "", **content: object) -> str:
    """Return the whole file, from a template of `assets/reports`; all that is put into it is escaped."""
    page = _environment().get_template(template)
    return page.render(title=title, facts=facts, warning=warning, notice=NOTICE, **content)


@cache
def _environment() -> Environment:
    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def markdown_table(table: Table, *, level: int = 2) -> list[str]:
    """Return the lines, the title as a heading first."""
    lines = [f"{'#' * level} {markdown_text(table.title)}", "", _row(table.columns)]
    return [*lines, _row(("---", *("---:" for _ in table.columns[1:]))), *(_row(row) for row in table.rows), ""]


def markdown_text(text: str) -> str:
    """Escape text that Markdown takes for more."""
    plain = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"
