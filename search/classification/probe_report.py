"""Write what a probe is worth as a page to keep: learning curve, calibration and their figures."""

from __future__ import annotations

import math
from collections.abc import Sequence
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
    is_markdown,
    markdown_table,
    markdown_text,
)

_WIDE, _HIGH, _LEFT = 420, 240, 44
_COLOURS = {Kind.LINEAR: "#2f7dc1", Kind.MLP: "#b46900"}


def write_page(path: Path, probed: Probed) -> None:
    """Write HTML with plots, or Markdown where `path` ends with .md. Raises BadInput where it cannot be written."""
    facts = [
        f"Model: {probed.model}",
        "Heads are fitted on stored vectors; "
        + (
            f"the split is the table's own, and {counted(probed.straddling, 'patient')} in several of its parts"
            if probed.straddling
            else "training and held-out films share no patient"
            + (", as far as patients are known" if probed.alone else "")
        ),
        "AUC: mean of the draws, 95 % interval by bootstrap over held-out patients and draws",
        *([f"Patients unknown: {counted(probed.alone, 'film')}, each counted as a patient"] if probed.alone else []),
        *(f"{name}: left out. {reason}" for name, reason in probed.left_out.items()),
    ]
    if is_markdown(path):
        lines = ["# Probes", "", NOTICE, "", *(f"- {markdown_text(fact)}" for fact in facts), ""]
        for report in probed.reports:
            lines += [f"## {markdown_text(report.name)}", "", markdown_text(_summary(report)), ""]
            for table in _tables(report):
                lines += markdown_table(table, level=3)
        write_aside(path, "\n".join(lines).rstrip() + "\n")
        return
    probes = [
        {
            "name": report.name,
            "said": _summary(report),
            "curve": _curve(report),
            "calibration": _calibration(report),
            "tables": _tables(report),
        }
        for report in probed.reports
    ]
    write_aside(path, html_page("probes.html", title="Probes", facts=facts, probes=probes))


def _summary(report: ProbeReport) -> str:
    return (
        f"{report.train_films:,} films to learn from ({report.train_positives:,} with it), {report.test_films:,} held "
        f"out ({report.test_positives:,} with it, {report.test_patients:,} patients). Brier score {report.brier:.3f}."
    )


def _tables(report: ProbeReport) -> list[Table]:
    curve = [(point.kind.value, f"{point.films:,}", str(point.auc)) for point in report.curve]
    bins = [(f"{group.low:.1f} to {group.high:.1f}", f"{group.films:,}", f"{group.said:.3f}", f"{group.observed:.3f}")
            for group in report.calibration]  # fmt: skip
    return [
        Table("Learning curve", ("head", "films", "AUC"), tuple(curve)),
        Table("Calibration", ("probability", "films", "mean probability", "share with the finding"), tuple(bins)),
    ]


def _curve(report: ProbeReport) -> dict[str, object]:
    """Return the learning curve as places in an SVG: a line with intervals for each kind of head."""
    most = max(point.films for point in report.curve)
    least = min(point.films for point in report.curve)
    span = math.log(most / least) or 1.0

    def x(point: CurvePoint) -> float:
        return _LEFT + _WIDE * (math.log(point.films / least) / span if most > least else 0.5)

    lines = []
    for kind in dict.fromkeys(point.kind for point in report.curve):
        points = [point for point in report.curve if point.kind is kind]
        dots = [
            {
                "x": f"{x(point):.1f}",
                "y": f"{_y(point.auc.value):.1f}",
                "low": f"{_y(point.auc.low):.1f}",
                "top": f"{_y(point.auc.high):.1f}",
                "said": f"{kind.value}, {counted(point.films, 'film')}: {point.auc}",
            }
            for point in points
        ]
        lines.append({
            "name": kind.value,
            "colour": _COLOURS[kind],
            "points": " ".join(f"{dot['x']},{dot['y']}" for dot in dots),
            "dots": dots,
            "end": f"{_y(points[-1].auc.value) + 4:.1f}",
        })  # fmt: skip
    sizes = [point for point in report.curve if point.kind is report.curve[0].kind]
    columns = [{"x": f"{x(point):.1f}", "label": f"{point.films:,}"} for point in sizes]
    return _plot(f"AUC of {report.name} by the number of labelled films", columns) | {"lines": lines}


def _calibration(report: ProbeReport) -> dict[str, object]:
    """Return the calibration as places in an SVG: a dot a group, the larger the more films it holds."""
    most = max(group.films for group in report.calibration)
    dots = [
        {
            "x": f"{_LEFT + _WIDE * group.said:.1f}",
            "y": f"{_y(group.observed):.1f}",
            "r": f"{3 + 7 * math.sqrt(group.films / most):.1f}",
            "said": f"{counted(group.films, 'film')}: said {group.said:.2f}, observed {group.observed:.2f}",
        }
        for group in report.calibration
    ]
    columns = [{"x": str(_LEFT + _WIDE * tick / 4), "label": f"{tick / 4:g}"} for tick in range(5)]
    plot = _plot(f"Calibration of {report.name}: share with the finding by probability", columns)
    return plot | {"dots": dots, "colour": _COLOURS[Kind.LINEAR]}


def _y(value: float) -> float:
    return _HIGH * (1 - value)


def _plot(title: str, columns: Sequence[dict[str, str]]) -> dict[str, object]:
    """Return what both plots have: the frame, a scale from 0 to 1 at its left, and what stands below it."""
    rows = [{"y": _y(tick / 4), "label": f"{tick / 4:g}"} for tick in range(5)]
    return {
        "title": title,
        "left": _LEFT,
        "right": _LEFT + _WIDE,
        "high": _HIGH,
        "rows": rows,
        "columns": columns,
    }
