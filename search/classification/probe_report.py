"""What a probe is worth, as a page to keep: learning curve, calibration and their figures."""

from __future__ import annotations

import math
from html import escape
from pathlib import Path

from filmroom.search.classification.learning_curve import CurvePoint, ProbeReport
from filmroom.search.classification.linear_probe import Kind
from filmroom.search.classification.saved_probes import Probed
from filmroom.search.cli.counting import counted
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

_WIDE, _HIGH, _LEFT, _BELOW = 420, 240, 44, 34
_COLOURS = {Kind.LINEAR: "#2f7dc1", Kind.MLP: "#b46900"}


def write_page(path: Path, found: Probed) -> None:
    """HTML with plots, or Markdown where `path` ends with .md. Raises BadInput where it cannot be written."""
    facts = [
        f"Model: {found.model}",
        "Heads are fitted on stored vectors; "
        + (
            f"the split is the table's own, and {counted(found.straddling, 'patient')} in several of its parts"
            if found.straddling
            else "training and held-out films share no patient"
        ),
        "AUC: mean of the draws, 95 % interval by bootstrap over held-out patients and draws",
        *([f"Without a patient key: {counted(found.alone, 'film')}, each counted as a patient"] if found.alone else []),
        *(f"{name}: left out. {why}" for name, why in found.left_out.items()),
    ]
    if is_markdown(path):
        lines = ["# Probes", "", NOTICE, "", *(f"- {markdown_text(fact)}" for fact in facts), ""]
        for report in found.reports:
            lines += [f"## {markdown_text(report.name)}", "", markdown_text(_said(report)), ""]
            for table in _tables(report):
                lines += markdown_table(table, level=3)
        write_aside(path, "\n".join(lines).rstrip() + "\n")
        return
    parts = ["<h1>Probes</h1>", f"<p>{NOTICE}</p><ul>{''.join(f'<li>{escape(fact)}</li>' for fact in facts)}</ul>"]
    for report in found.reports:
        parts += [f"<h2>{escape(report.name)}</h2><p>{escape(_said(report))}</p>", _curve(report), _calibration(report)]
        parts += [html_table(table) for table in _tables(report)]
    write_aside(path, html_page("Probes", parts))


def _said(report: ProbeReport) -> str:
    return (
        f"{report.train_films:,} films to learn from ({report.train_positives:,} with it), {report.test_films:,} held "
        f"out ({report.test_positives:,} with it, {report.test_patients:,} patients). Brier score {report.brier:.3f}."
    )


def _tables(report: ProbeReport) -> list[Table]:
    curve = [(point.kind.value, f"{point.films:,}", str(point.auc)) for point in report.curve]
    bins = [(f"{one.low:.1f} to {one.high:.1f}", f"{one.films:,}", f"{one.said:.3f}", f"{one.observed:.3f}")
            for one in report.calibration]  # fmt: skip
    return [
        Table("Learning curve", ("head", "films", "AUC"), tuple(curve)),
        Table("Calibration", ("probability", "films", "mean probability", "share with the finding"), tuple(bins)),
    ]


def _curve(report: ProbeReport) -> str:
    most = max(point.films for point in report.curve)
    least = min(point.films for point in report.curve)
    span = math.log(most / least) or 1.0

    def x(point: CurvePoint) -> float:
        return _LEFT + _WIDE * (math.log(point.films / least) / span if most > least else 0.5)

    marks = []
    for kind in dict.fromkeys(point.kind for point in report.curve):
        points = [point for point in report.curve if point.kind is kind]
        line = " ".join(f"{x(point):.1f},{_y(point.auc.value):.1f}" for point in points)
        colour = _COLOURS[kind]
        marks.append(f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>')
        for point in points:
            said = f"{kind.value}, {counted(point.films, 'film')}: {point.auc}"
            marks.append(
                f'<line x1="{x(point):.1f}" x2="{x(point):.1f}" y1="{_y(point.auc.low):.1f}" '
                f'y2="{_y(point.auc.high):.1f}" stroke="{colour}" opacity=".5"/>'
                f'<circle cx="{x(point):.1f}" cy="{_y(point.auc.value):.1f}" r="4" fill="{colour}">'
                f"<title>{escape(said)}</title></circle>"
            )
        marks.append(
            f'<text x="{_LEFT + _WIDE + 8}" y="{_y(points[-1].auc.value) + 4:.1f}" fill="{colour}">{kind.value}</text>'
        )
    marks += [
        f'<text x="{x(point):.1f}" y="{_HIGH + 16}" text-anchor="middle">{point.films:,}</text>'
        for point in report.curve
        if point.kind is report.curve[0].kind
    ]
    return _svg(f"AUC of {report.name} by the number of labelled films", marks, "labelled films")


def _calibration(report: ProbeReport) -> str:
    marks = [
        f'<line x1="{_LEFT}" y1="{_HIGH}" x2="{_LEFT + _WIDE}" y2="0" stroke="currentColor" stroke-dasharray="4"/>'
    ]
    most = max(one.films for one in report.calibration)
    for one in report.calibration:
        said = f"{counted(one.films, 'film')}: said {one.said:.2f}, observed {one.observed:.2f}"
        radius = 3 + 7 * math.sqrt(one.films / most)
        marks.append(
            f'<circle cx="{_LEFT + _WIDE * one.said:.1f}" cy="{_y(one.observed):.1f}" r="{radius:.1f}" '
            f'fill="{_COLOURS[Kind.LINEAR]}" opacity=".8"><title>{escape(said)}</title></circle>'
        )
    marks += [
        f'<text x="{_LEFT + _WIDE * tick / 4}" y="{_HIGH + 16}" text-anchor="middle">{tick / 4:g}</text>'
        for tick in range(5)
    ]
    return _svg(f"Calibration of {report.name}: share with the finding by probability", marks, "probability said")


def _y(value: float) -> float:
    return _HIGH * (1 - value)


def _svg(title: str, marks: list[str], below: str) -> str:
    grid = [
        f'<line x1="{_LEFT}" x2="{_LEFT + _WIDE}" y1="{_y(tick / 4)}" y2="{_y(tick / 4)}" stroke="currentColor" '
        f'opacity=".2"/><text x="{_LEFT - 8}" y="{_y(tick / 4) + 4}" text-anchor="end">{tick / 4:g}</text>'
        for tick in range(5)
    ]
    name = f'<text x="{_LEFT + _WIDE / 2}" y="{_HIGH + 32}" text-anchor="middle">{escape(below)}</text>'
    return (
        f'<h3>{escape(title)}</h3><svg role="img" aria-label="{escape(title)}" '
        f'viewBox="0 -8 {_LEFT + _WIDE + 70} {_HIGH + _BELOW + 12}" width="34rem" style="max-width: 100%" '
        f'font-size="12" fill="currentColor">{"".join(grid)}{"".join(marks)}{name}</svg>'
    )
