"""Write an evaluation as a page to keep: HTML with plots and films in it, or Markdown. Needs no network to be read."""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.search.evaluation.metrics import BASELINES, Evaluation
from filmroom.search.evaluation.statistics import Interval
from filmroom.search.exchange.tables import write_aside
from filmroom.search.report_document import (
    NOTICE,
    Table,
    html_page,
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
    """Write HTML, or Markdown where `path` ends with .md; whole or not at all. Raises BadInput where it cannot be
    written."""
    write_aside(path, to_markdown(evaluation, page) if is_markdown(path) else to_html(evaluation, page))


def to_markdown(evaluation: Evaluation, page: Page) -> str:
    """Return the report with tables and, for the best and worst queries, the names of their first films."""
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
                f"  {rank}. {markdown_text(_film_caption(evaluation, qid, name))}"
                for rank, name in _top(evaluation, qid)
            ]
        lines.append("")
    return "\n".join(lines).rstrip() + "\n"


def to_html(evaluation: Evaluation, page: Page) -> str:
    """Write one file without scripts or links: the tables, two plots, and the films that the best and worst queries
    found."""
    first = evaluation.measures[0]
    by_group = None
    if evaluation.groups:
        means = [("all", evaluation.mean[first])]
        means += [(group, values[first]) for group, values in evaluation.groups.items()]
        by_group = _plot(f"{first} by group, with 95 % intervals", means)
    values = sorted(((_first(evaluation, qid), evaluation.texts[qid]) for qid in evaluation.queries), reverse=True)
    dots = [(text, Interval(value, value, value, 1)) for value, text in values]
    return html_page(
        "evaluation.html",
        title=page.title,
        facts=_facts(evaluation, page),
        warning=page.warning,
        tables=_tables(evaluation),
        by_group=by_group,
        by_query=_plot(f"{first} of every query", dots),
        extremes=[(title, [_query(evaluation, page, qid) for qid in qids]) for title, qids in _extremes(evaluation)],
    )


def _facts(evaluation: Evaluation, page: Page) -> list[str]:
    settings = evaluation.settings()
    return [
        f"Model: {page.model}",
        *page.notes,
        f"Queries: {len(evaluation.queries)}",
        *evaluation.left_out,
        f"Answered perfectly ({evaluation.measures[0]} of 1): {evaluation.perfect[evaluation.measures[0]]}",
        f"Measured with {settings['tool']}; gain {settings['gain']}; ties: {settings['ties']}",
        "Ranked: "
        + ("judged films only" if evaluation.judged_only else f"all films, to depth {evaluation.depth:,}")
        + ("; the films of a study are one document" if evaluation.per_study else "")
        + ("; fused with the ranking by report words" if evaluation.hybrid else ""),
        f"Intervals: {settings['interval']}",
    ]


def _tables(evaluation: Evaluation) -> list[Table]:
    names = evaluation.measures
    rows = [("this ranking", *(str(evaluation.mean[name]) for name in names))]
    rows += [
        (f"{key}: {BASELINES[key]}", *(f"{values[name]:.3f}" for name in names))
        for key, values in evaluation.baselines.items()
    ]
    tables = [Table("Means", ("", *names), tuple(rows))]
    if evaluation.groups:
        grouped = [
            (group, str(values[names[0]].n), *(str(values[name]) for name in names))
            for group, values in evaluation.groups.items()
        ]
        tables.append(Table("Groups", ("group", "queries", *names), tuple(grouped)))
    rows_by_query = [
        (evaluation.texts[qid], *(f"{values[name]:.3f}" for name in names))
        for qid, values in sorted(evaluation.queries.items(), key=lambda item: -item[1][names[0]])
    ]
    tables.append(Table("Queries", ("query", *names), tuple(rows_by_query)))
    return tables


def _extremes(evaluation: Evaluation) -> list[tuple[str, list[str]]]:
    ordered = sorted(evaluation.queries, key=lambda qid: -_first(evaluation, qid))
    worst = list(reversed(ordered[_SHOWN:]))[:_SHOWN]
    lists = [("Best queries", ordered[:_SHOWN]), ("Worst queries", worst)]
    return [(title, qids) for title, qids in lists if qids]


def _first(evaluation: Evaluation, qid: str) -> float:
    return evaluation.queries[qid][evaluation.measures[0]]


def _top(evaluation: Evaluation, qid: str) -> list[tuple[int, str]]:
    return [(rank, name) for rank, (name, _) in enumerate(evaluation.run[qid][:_SHOWN], start=1)]


def _film_caption(evaluation: Evaluation, qid: str, name: str) -> str:
    grade = evaluation.grades[qid].get(name)
    return f"{name}, " + ("not judged" if grade is None else f"grade {grade}")


def _query(evaluation: Evaluation, page: Page, qid: str) -> dict[str, object]:
    """Return a query with its first films, as its template takes them."""
    films = []
    for rank, name in _top(evaluation, qid):
        picture = page.thumbnail(evaluation.film_ids[name])
        webp = base64.b64encode(picture).decode("ascii") if picture else ""
        films.append({"said": f"{rank}. {_film_caption(evaluation, qid, name)}", "webp": webp})
    title = f"{evaluation.texts[qid]} ({evaluation.measures[0]} {_first(evaluation, qid):.3f})"
    return {"said": title, "films": films}


def _plot(title: str, values: Sequence[tuple[str, Interval]]) -> dict[str, object]:
    """Return dots with intervals on a scale from 0 to 1, a row each, as places in an SVG."""
    left, width, step = 300, 460, 18
    dots = []
    for row, (label, value) in enumerate(values):
        bounds = (value.low, value.value, value.high) if value.bounded else (value.value,) * 3
        low, middle, high = (left + width * min(1.0, max(0.0, bound)) for bound in bounds)
        dots.append({
            "y": step * row + 10,
            "short": label if len(label) <= 42 else f"{label[:41]}…",
            "low": f"{low:.1f}",
            "middle": f"{middle:.1f}",
            "high": f"{high:.1f}",
            "said": f"{label}: {value.value:.3f}",
        })  # fmt: skip
    return {
        "title": title,
        "left": left,
        "width": left + width + 20,
        "height": step * len(values) + 24,
        "ticks": [{"x": left + width * tick / 4, "label": f"{tick / 4:g}"} for tick in range(5)],
        "dots": dots,
    }
