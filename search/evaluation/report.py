"""An evaluation as a page to keep: HTML with plots and films in it, or Markdown. Needs no network to be read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from filmroom.search.evaluation.metrics import Evaluation
from filmroom.search.evaluation.statistics import FEWEST, Interval
from filmroom.search.exchange.tables import write_aside
from filmroom.search.report_document import (
    NOTICE,
    Table,
    html_page,
    html_table,
    is_markdown,
    markdown_table,
    markdown_text,
)

_SHOWN = 5


@dataclass(frozen=True)
class Page:
    """What a report says beside the figures. `warning` stands first (contamination, for one); `notes` are facts such
    as the archive's size; `thumbnail` gives a film's WebP by its id, or None."""

    title: str
    model: str
    warning: str = ""
    notes: Sequence[str] = ()
    thumbnail: Callable[[int], bytes | None] = lambda film: None


def write_report(path: Path, evaluation: Evaluation, page: Page) -> None:
    """HTML, or Markdown where `path` ends with .md; whole or not at all. Raises BadInput where it cannot be written."""
    write_aside(path, to_markdown(evaluation, page) if is_markdown(path) else to_html(evaluation, page))


def to_markdown(evaluation: Evaluation, page: Page) -> str:
    """The report with tables and, for the best and worst queries, the names of their first films."""
    lines = [f"# {page.title}", ""]
    if page.warning:
        lines += [f"**{markdown_text(page.warning)}**", ""]
    lines += [NOTICE, "", *(f"- {markdown_text(fact)}" for fact in _facts(evaluation, page)), ""]
    for table in _tables(evaluation):
        lines += markdown_table(table)
    for title, qids in _extremes(evaluation):
        lines += [f"## {title}", ""]
        for qid in qids:
            lines += [
                f"- {markdown_text(evaluation.texts[qid])} ({evaluation.measures[0]} {_first(evaluation, qid):.3f}):"
            ]
            lines += [
                f"  {rank}. {markdown_text(_said(evaluation, qid, name))}" for rank, name in _top(evaluation, qid)
            ]
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
    parts += [html_table(table) for table in _tables(evaluation)]
    parts.append(_plot(f"{first} of every query", bars, numbered=True))
    for title, qids in _extremes(evaluation):
        parts.append(f"<h2>{escape(title)}</h2>")
        parts += [_films(evaluation, page, qid) for qid in qids]
    return html_page(page.title, parts)


def _facts(evaluation: Evaluation, page: Page) -> list[str]:
    settings = evaluation.settings()
    return [
        f"Model: {page.model}",
        *page.notes,
        f"Queries: {len(evaluation.queries)}"
        + (f"; {len(evaluation.unjudged)} without a relevant film left out" if evaluation.unjudged else ""),
        f"Answered perfectly ({evaluation.measures[0]} of 1): {evaluation.perfect[evaluation.measures[0]]}",
        f"Measured with {settings['tool']}; gain {settings['gain']}; ties: {settings['ties']}",
        "Ranked: "
        + ("judged films only" if evaluation.judged_only else f"all films, to depth {evaluation.depth:,}")
        + ("; the films of a study are one document" if evaluation.per_study else "")
        + ("; fused with the ranking by report words" if evaluation.hybrid else ""),
        f"Intervals: {settings['interval']}; none for fewer than {FEWEST} queries",
    ]


def _tables(evaluation: Evaluation) -> list[Table]:
    names = evaluation.measures
    rows = [("this ranking", *(str(evaluation.mean[name]) for name in names))]
    told = {"random": "random order", "prior": "prior (ignores the query)"}
    rows += [(told[key], *(f"{values[name]:.3f}" for name in names)) for key, values in evaluation.baselines.items()]
    tables = [Table("Means", ("", *names), tuple(rows))]
    if evaluation.groups:
        grouped = [
            (group, str(values[names[0]].n), *(str(values[name]) for name in names))
            for group, values in evaluation.groups.items()
        ]
        tables.append(Table("Groups", ("group", "queries", *names), tuple(grouped)))
    each = [
        (evaluation.texts[qid], *(f"{values[name]:.3f}" for name in names))
        for qid, values in sorted(evaluation.queries.items(), key=lambda item: -item[1][names[0]])
    ]
    tables.append(Table("Queries", ("query", *names), tuple(each)))
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
        bounds = (value.low, value.value, value.high) if value.bounded else (value.value,) * 3
        low, middle, high = (left + width * min(1.0, max(0.0, one)) for one in bounds)
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
