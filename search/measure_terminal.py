"""What the terminal shows of evaluations, comparisons, zero-shot tables, probes and grounding."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from search.terminal import NOTICE, console

if TYPE_CHECKING:
    from search.measuring import Measured


def print_evaluation(done: Measured) -> None:
    found = done.evaluation
    if done.seen:
        console.print(Text(str(done.seen), style="bold"))
    table = _table("query", "", *found.measures)
    table.columns[1].no_wrap, table.columns[1].overflow, table.columns[1].ratio = True, "ellipsis", 1
    for qid, values in found.queries.items():
        row = [f"{values[name]:.3f}" for name in found.measures]
        table.add_row(Text(qid), Text(found.texts[qid], style="dim"), *row)
    table.add_section()
    for group, intervals in found.groups.items():
        row = [f"{intervals[name].value:.3f}" for name in found.measures]
        table.add_row(Text(group), Text(f"mean of {intervals[found.measures[0]].n} queries", style="dim"), *row)
    means = [f"{found.mean[name].value:.3f}" for name in found.measures]
    table.add_row("mean", f"{len(found.queries)} queries", *means, style="bold")
    for bound, said in (("low", "95 % interval from"), ("high", "to")):
        table.add_row("", said, *[f"{getattr(found.mean[name], bound):.3f}" for name in found.measures], style="dim")
    for baseline, values in found.baselines.items():
        table.add_row(baseline, "baseline", *[f"{values[name]:.3f}" for name in found.measures], style="dim")
    console.print(table)
    settings = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.settings().items())
    console.print(Text(f"{done.model}. {settings}. {NOTICE}", style="dim"))
    _print_unplaced(done.missing, done.ambiguous, "judged names")
    if found.unjudged:
        console.print(Text(f"{len(found.unjudged):,} queries have no relevant film here and are left out."))


def _print_unplaced(missing: Sequence[str], ambiguous: Sequence[str], what: str) -> None:
    for names, said in ((missing, "match no film"), (ambiguous, "match several films")):
        if names:
            shown = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            console.print(Text(f"{len(names):,} {what} {said}: {shown}"))


def _table(*columns: str, words: Iterable[int] = (0, 1)) -> Table:
    """Columns of figures, but for the positions in `words`."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    left = set(words)
    for at, name in enumerate(columns):
        table.add_column(
            name, justify="left" if at in left else "right", no_wrap=True, min_width=0 if at in left else len(name)
        )
    return table
