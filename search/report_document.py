"""What every kept page is made of: one file without scripts, links or fonts, and tables in HTML and Markdown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

NOTICE = "Research use only, not for diagnosis."
_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 62rem; padding: 0 1rem; color: #1c2430;
  background: #fff; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2rem; } h3 { font-size: 1rem; }
table { border-collapse: collapse; } caption { text-align: left; color: #55606e; }
th, td { padding: .25rem .9rem .25rem 0; text-align: right; border-bottom: 1px solid #dde2e8;
  white-space: nowrap; } td:first-child { white-space: normal; }
th:first-child, td:first-child { text-align: left; }
.warn { background: #fff3d6; border-left: 4px solid #b46900; padding: .6rem 1rem; }
.films { display: flex; flex-wrap: wrap; gap: .6rem; } figure { margin: 0; width: 11rem; font-size: .8rem; }
figure img { width: 100%; height: 11rem; object-fit: contain; background: #000; }
figcaption { overflow-wrap: anywhere; }
@media (prefers-color-scheme: dark) { body { background: #14181e; color: #e3e8ee; } .warn { background: #3a2d10; }
  th, td { border-color: #333c47; } caption { color: #9aa6b4; } }
"""


@dataclass(frozen=True)
class Table:
    """A table under its title; cells are plain text."""

    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def is_markdown(path: Path) -> bool:
    return path.suffix.lower() in {".md", ".markdown"}


def html_page(title: str, parts: Sequence[str]) -> str:
    """The whole file; `parts` are HTML."""
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(title)}</title>'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def html_table(table: Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def markdown_table(table: Table, *, level: int = 2) -> list[str]:
    """Lines, the title as a heading first."""
    lines = [f"{'#' * level} {markdown_text(table.title)}", "", _row(table.columns)]
    return [*lines, _row(("---", *("---:" for _ in table.columns[1:]))), *(_row(row) for row in table.rows), ""]


def markdown_text(text: str) -> str:
    """Text that Markdown takes as text."""
    plain = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(markdown_text(cell) for cell in cells)} |"
