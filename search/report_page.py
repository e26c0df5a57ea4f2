"""An evaluation as a page to keep: HTML with plots and films in it, or Markdown. Needs no network to be read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from search.evaluate import Evaluation
from search.statistics import Interval
from search.tables import write_aside

NOTICE = "Research use only, not for diagnosis."
_SHOWN = 5
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
class Page:
    """What a report says beside the figures. `warning` stands first (contamination, for one); `notes` are facts such
    as the archive's size; `thumbnail` gives a film's WebP by its id, or None."""

    title: str
    model: str
    warning: str = ""
    notes: Sequence[str] = ()
    thumbnail: Callable[[int], bytes | None] = lambda film: None


@dataclass(frozen=True)
class _Table:
    title: str
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


def write_report(path: Path, evaluation: Evaluation, page: Page) -> None:
    """HTML, or Markdown where `path` ends with .md; whole or not at all. Raises BadInput where it cannot be written."""
    markdown = path.suffix.lower() in {".md", ".markdown"}
    write_aside(path, to_markdown(evaluation, page) if markdown else to_html(evaluation, page))


def to_markdown(evaluation: Evaluation, page: Page) -> str:
    """The report with tables and, for the best and worst queries, the names of their first films."""
    lines = [f"# {page.title}", ""]
    if page.warning:
        lines += [f"**{_cell(page.warning)}**", ""]
    lines += [NOTICE, "", *(f"- {_cell(fact)}" for fact in _facts(evaluation, page)), ""]
    for table in _tables(evaluation):
        lines += [f"## {table.title}", "", _row(table.columns)]
        lines += [_row(("---", *("---:" for _ in table.columns[1:]))), *(_row(row) for row in table.rows), ""]
    for title, qids in _extremes(evaluation):
        lines += [f"## {title}", ""]
        for qid in qids:
            lines += [f"- {_cell(evaluation.texts[qid])} ({evaluation.measures[0]} {_first(evaluation, qid):.3f}):"]
            lines += [f"  {rank}. {_cell(_said(evaluation, qid, name))}" for rank, name in _top(evaluation, qid)]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def to_html(evaluation: Evaluation, page: Page) -> str:
    """One file without scripts or links: the tables, two plots, and the films that the best and worst queries found."""
    parts = [f"<h1>{escape(page.title)}</h1>"]
    if page.warning:
        parts.append(f'<p class="warn" role="note">{escape(page.warning)}</p>')
    facts = "".join(f"<li>{escape(fact)}</li>" for fact in _facts(evaluation, page))
    parts.append(f"<p>{NOTICE}</p><ul>{facts}</ul>")
    first = evaluation.measures[0]
    if evaluation.groups:
        means = {group: values[first] for group, values in evaluation.groups.items()}
        parts.append(_plot(f"{first} by group, with 95 % intervals", {"all": evaluation.mean[first]} | means))
    values = sorted(((_first(evaluation, qid), evaluation.texts[qid]) for qid in evaluation.queries), reverse=True)
    bars = {f"{text} [{number}]": Interval(value, value, value, 1) for number, (value, text) in enumerate(values)}
    parts += [_html_table(table) for table in _tables(evaluation)]
    parts.append(_plot(f"{first} of every query", bars, numbered=True))
    for title, qids in _extremes(evaluation):
        parts.append(f"<h2>{escape(title)}</h2>")
        parts += [_films(evaluation, page, qid) for qid in qids]
    return (
        f'<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><title>{escape(page.title)}</title>'
        f"<style>{_STYLE}</style></head><body><main>{''.join(parts)}</main></body></html>\n"
    )


def _facts(evaluation: Evaluation, page: Page) -> list[str]:
    settings = evaluation.settings()
    return [
        f"Model: {page.model}",
        *page.notes,
        f"Queries: {len(evaluation.queries)}"
        + (f"; {len(evaluation.unjudged)} without a relevant film left out" if evaluation.unjudged else ""),
        f"Measured with {settings['tool']}; gain {settings['gain']}; ties: {settings['ties']}",
        "Ranked: "
        + ("judged films only" if evaluation.judged_only else f"all films, to depth {evaluation.depth:,}")
        + ("; the films of a study are one document" if evaluation.per_study else ""),
        f"Intervals: {settings['interval']}",
    ]


def _tables(evaluation: Evaluation) -> list[_Table]:
    names = evaluation.measures
    rows = [("this ranking", *(str(evaluation.mean[name]) for name in names))]
    told = {"random": "random order", "prior": "prior (ignores the query)"}
    rows += [(told[key], *(f"{values[name]:.3f}" for name in names)) for key, values in evaluation.baselines.items()]
    tables = [_Table("Means", ("", *names), tuple(rows))]
    if evaluation.groups:
        grouped = [
            (group, str(values[names[0]].n), *(str(values[name]) for name in names))
            for group, values in evaluation.groups.items()
        ]
        tables.append(_Table("Groups", ("group", "queries", *names), tuple(grouped)))
    each = [
        (evaluation.texts[qid], *(f"{values[name]:.3f}" for name in names))
        for qid, values in sorted(evaluation.queries.items(), key=lambda item: -item[1][names[0]])
    ]
    tables.append(_Table("Queries", ("query", *names), tuple(each)))
    return tables


def _extremes(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    ordered = sorted(evaluation.queries, key=lambda qid: -_first(evaluation, qid))
    worst = list(reversed(ordered[_SHOWN:]))[:_SHOWN]
    shown = [("Best queries", ordered[:_SHOWN]), ("Worst queries", worst)]
    return [(title, qids) for title, qids in shown if qids]


def _first(evaluation: Evaluation, qid: str) -> float:
    return evaluation.queries[qid][evaluation.measures[0]]


def _top(evaluation: Evaluation, qid: str) -> list[tuple[int, str]]:
    return [(rank, name) for rank, (name, _) in enumerate(evaluation.run[qid][:_SHOWN], start=1)]


def _said(evaluation: Evaluation, qid: str, name: str) -> str:
    grade = evaluation.grades[qid].get(name)
    return f"{name}, " + ("not judged" if grade is None else f"grade {grade}")


def _films(evaluation: Evaluation, page: Page, qid: str) -> str:
    figures = []
    for rank, name in _top(evaluation, qid):
        picture = page.thumbnail(evaluation.film_ids[name])
        said = escape(f"{rank}. {_said(evaluation, qid, name)}")
        source = base64.b64encode(picture).decode("ascii") if picture else ""
        image = f'<img alt="{said}" src="data:image/webp;base64,{source}">' if source else ""
        figures.append(f"<figure>{image}<figcaption>{said}</figcaption></figure>")
    head = f"{evaluation.texts[qid]} ({evaluation.measures[0]} {_first(evaluation, qid):.3f})"
    return f'<h3>{escape(head)}</h3><div class="films">{"".join(figures)}</div>'


def _html_table(table: _Table) -> str:
    head = "".join(f'<th scope="col">{escape(name)}</th>' for name in table.columns)
    rows = "".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows)
    return f"<h2>{escape(table.title)}</h2><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table>"


def _plot(title: str, values: dict[str, Interval], *, numbered: bool = False) -> str:
    """Dots with intervals on a scale from 0 to 1, a row each, as inline SVG; colours follow the text."""
    left, width, step = 300, 460, 18
    height = step * len(values) + 24
    marks = [
        f'<line x1="{left + width * tick / 4}" x2="{left + width * tick / 4}" y1="0" y2="{height - 20}" '
        f'stroke="currentColor" opacity=".2"/><text x="{left + width * tick / 4}" y="{height - 4}" '
        f'text-anchor="middle">{tick / 4:g}</text>'
        for tick in range(5)
    ]
    for row, (name, value) in enumerate(values.items()):
        label = name.rsplit(" [", 1)[0] if numbered else name
        short = label if len(label) <= 42 else f"{label[:41]}…"
        low, middle, high = (left + width * min(1.0, max(0.0, one)) for one in (value.low, value.value, value.high))
        y = step * row + 10
        marks.append(
            f'<text x="{left - 8}" y="{y + 4}" text-anchor="end">{escape(short)}</text>'
            f'<line x1="{low:.1f}" x2="{high:.1f}" y1="{y}" y2="{y}" stroke="#2f7dc1" stroke-width="3"/>'
            f'<circle cx="{middle:.1f}" cy="{y}" r="4.5" fill="#2f7dc1">'
            f"<title>{escape(label)}: {value.value:.3f}</title></circle>"
        )
    return (
        f'<h2>{escape(title)}</h2><svg role="img" aria-label="{escape(title)}" '
        f'viewBox="0 0 {left + width + 20} {height}" width="100%" font-size="12" '
        f'fill="currentColor">{"".join(marks)}</svg>'
    )


def _row(cells: Sequence[str]) -> str:
    return f"| {' | '.join(_cell(cell) for cell in cells)} |"


def _cell(text: str) -> str:
    """Text that Markdown takes as text."""
    plain = " ".join(text.split())
    for mark in "\\`*_[]<>|":
        plain = plain.replace(mark, f"\\{mark}")
    return plain
