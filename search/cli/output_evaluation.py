"""Print evaluations, comparisons, zero-shot tables, probes and grounding."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from filmroom.search.cli.counting import counted
from filmroom.search.cli.output import NOTICE, Console, Text, console, print_command, print_unplaced, some
from filmroom.search.cli.printing import printable
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.search.classification.saved_probes import Probed, SavedProbe
    from filmroom.search.classification.zero_shot_archive import Screening
    from filmroom.search.classification.zero_shot_choice import Choice
    from filmroom.search.evaluation.build_qrels import MadeQrels
    from filmroom.search.evaluation.comparison import Compared
    from filmroom.search.evaluation.evaluator import Measured
    from filmroom.search.evaluation.grounding import Grounding
    from filmroom.search.evaluation.statistics import Interval


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
        table.add_row(Text(group), Text(f"mean of {_queries(intervals[found.measures[0]].n)}", style="dim"), *row)
    means = [f"{found.mean[name].value:.3f}" for name in found.measures]
    table.add_row("mean", _queries(len(found.queries)), *means, style="bold")
    bounded = found.mean[found.measures[0]].bounded
    for bound, said in (("low", "95 % interval from"), ("high", "to")) if bounded else ():
        table.add_row("", said, *[f"{getattr(found.mean[name], bound):.3f}" for name in found.measures], style="dim")
    for baseline, values in found.baselines.items():
        table.add_row(baseline, "baseline", *[f"{values[name]:.3f}" for name in found.measures], style="dim")
    console.print(table)
    first, count = found.measures[0], len(found.queries)
    console.print(f"Answered perfectly ({first} of 1): {found.perfect[first]:,} of {_queries(count)}.", markup=False)
    if not bounded:
        console.print(f"No interval: {_queries(count)} would say nothing of others.")
    settings = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in found.settings().items())
    console.print(Text(f"{done.model}. {settings}. {NOTICE}", style="dim"))
    print_unplaced(done.missing, done.ambiguous, "judged name")
    if found.unjudged:
        console.print(Text(f"Left out, as no film here is relevant to it: {_queries(len(found.unjudged))}."))


def print_comparison(done: Compared) -> None:
    found = done.comparison
    console.print(Text(f"A: {done.a}\nB: {done.b}"))
    first = found.measures[0].measure
    table = _table("query", "", f"{first}, B - A")
    for qid, changes in found.queries.items():
        table.add_row(Text(qid), Text(done.texts.get(qid, ""), style="dim"), f"{changes[first]:+.3f}")
    console.print(table)
    console.print()
    table = _table("measure", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "better", "worse", words=(0,))
    for measure in found.measures:
        difference = measure.difference
        interval = f"{difference.low:+.3f} to {difference.high:+.3f}" if difference.bounded else "too few queries"
        change = f"{measure.difference.value:+.3f}"
        p = (f"{measure.p:.4f}", f"{measure.p_holm:.4f}")
        table.add_row(
            measure.measure,
            f"{measure.a:.3f}",
            f"{measure.b:.3f}",
            change,
            interval,
            *p,
            str(measure.better),
            str(measure.worse),
        )
    console.print(table)
    a, b = done.perfect
    said = f"Answered perfectly ({first} of 1): A {a:,}, B {b:,} of {_queries(found.n)}."
    console.print(said, markup=False)
    for warning in done.warnings:
        console.print(Text(f"Warning: {warning}.", style="yellow"))
    left = len(found.only_a) + len(found.only_b)
    said = f", {left} that only one of them has left out" if left else ""
    console.print(
        Text(f"{_queries(found.n)} of both{said}. Gain {done.gain.value}. {found.test}. {NOTICE}", style="dim")
    )


def print_made(done: MadeQrels, out: Path) -> None:
    groups = ", ".join(f"{name} {count}" for name, count in done.groups.items())
    grades = ", ".join(f"grade {grade} {count:,}" for grade, count in done.grades.items())
    judged = counted(done.judgements, "judgement")
    console.print(Text(f"{out}: {judged} of {counted(done.documents, 'film')} ({grades})."))
    console.print(Text(f"{_queries(done.queries)} ({groups})."))
    for names, said in (
        (done.unread, "without a finding that the films are judged by"),
        (done.unjudged, "without a film that shows what is asked"),
    ):
        if names:
            console.print(Text(f"{_queries(len(names))} {said}: {some(names)}"))


def print_screening(done: Screening) -> None:
    table = _table("finding", "selected", "with", "without", "AUC", "95 % interval", "sens.", "spec.", words=(0,))
    for finding in done.findings:
        row = finding.measured
        rates = (
            f"{rate:.2f}" if rate is not None and row.auc else "" for rate in (finding.sensitivity, finding.specificity)
        )
        counts = (f"{finding.selected:,}", f"{row.positives:,}", f"{row.negatives:,}")
        table.add_row(Text(row.finding), *counts, *_interval(row.auc), *rates)
    if done.mean is not None:
        table.add_section()
        table.add_row("mean", "", "", "", f"{done.mean:.3f}", "", "", "", style="bold")
    console.print(table)
    among = f" that pass {done.where}" if done.where else ""
    console.print(
        Text(
            f"{done.model}. {counted(len(done.film_ids), 'film')}{among}; selected: score at least {done.threshold:g} "
            f"(similarity to prompts that say it minus to prompts that deny it). Intervals over "
            f"patients; mean and interval need five films with and five without the finding. {NOTICE}",
            style="dim",
        )
    )
    _weakness(done.weakness)
    if done.unknown_patients:
        print_unknown_patients(done.unknown_patients)
    if done.mean is None:
        console.print("No mean AUC: too few films are labelled with and without a finding (filmroom label).")


def _weakness(said: str) -> None:
    if said:
        console.print(Text(said, style="yellow"), soft_wrap=True)


def print_choice(done: Choice) -> None:
    labelled = sum(map(sum, done.confusion))
    table = _table("candidate", "chosen", words=(0,))
    for name, count in zip(done.candidates, done.chosen, strict=True):
        table.add_row(Text(name), f"{count:,}")
    console.print(table)
    if done.accuracy is None:
        console.print("No film is labelled with exactly one of them (filmroom label), so nothing was measured.")
    else:
        console.print()
        matrix = _table("labelled \\ chosen", *done.candidates, words=(0,))
        for name, row in zip(done.candidates, done.confusion, strict=True):
            matrix.add_row(Text(name), *(f"{count:,}" for count in row))
        console.print(matrix)
        said = f"Accuracy {done.accuracy} over {counted(labelled, 'film')} labelled with exactly one"
        more = f", {done.several:,} with several left out" if done.several else ""
        console.print(Text(f"{said}{more}; always choosing the most frequent: {done.largest:.3f}."))
    among = f" that pass {done.where}" if done.where else ""
    how = "softmax of 100 x cosine; every film gets one of them, whether it shows any or not"
    console.print(Text(f"{done.model}. {counted(len(done.film_ids), 'film')}{among}; {how}. {NOTICE}", style="dim"))
    _weakness(done.weakness)


@contextmanager
def learning(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show a spinner on stderr that names the finding."""
    from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    screen = Console(stderr=True)
    # What is no screen would keep an empty line of it.
    with Progress(*columns, console=screen, disable=quiet or not screen.is_terminal, transient=True) as bar:
        task = bar.add_task("Learning", total=None)
        yield lambda name: bar.update(task, description=f"Learning {printable(name)}", advance=1)


def print_probed(done: Probed) -> None:
    for report in done.reports:
        console.print(Text(report.name, style="bold"))
        table = _table("films", "head", "AUC", "95 % interval", words=(1,))
        for point in report.curve:
            table.add_row(f"{point.films:,}", point.kind.value, *_interval(point.auc))
        console.print(table)
        bins = ", ".join(f"{one.said:.2f}: {one.observed:.2f} ({one.films:,})" for one in report.calibration)
        console.print(Text(f"Calibration, said: observed (films): {bins}. Brier {report.brier:.3f}.", style="dim"))
        console.print(
            Text(
                f"Learned from up to {counted(report.train_films, 'film')} ({report.train_positives:,} with it)"
                + (f", tuned on {report.tune_films:,}; " if report.tune_films else "; ")
                + f"held out {report.test_films:,} ({report.test_positives:,} with it) of "
                f"{counted(report.test_patients, 'patient')}.",
                style="dim",
            )
        )
    for name, why in done.left_out.items():
        console.print(Text(f"{name}: left out. {why}"))
    if done.alone:
        print_unknown_patients(done.alone)
    if done.straddling:
        said = (
            f"Warning: {counted(done.straddling, 'patient')} in more than one part of the split; the figures flatter."
        )
        console.print(Text(said, style="yellow"))
    console.print(Text(f"{done.model}. {NOTICE}", style="dim"))
    print_unplaced(done.missing, done.ambiguous, "labelled name")


def print_unknown_patients(films: int) -> None:
    """Say that films of one patient may be on both sides of a split, and narrow an interval."""
    said = f"Patients unknown: {counted(films, 'film')}, each counted as a patient of its own; figures may flatter. "
    console.print(Text(f"{said}Say whose they are with filmroom facts."))


def print_saved(found: Sequence[SavedProbe], archive: Path) -> None:
    if not found:
        print_command("No probe is kept. Learn one:", "probe --label NAME --save NAME", archive)
        return
    table = _table("probe", "finding", "model", "films", "AUC", words=(0, 1, 2))
    for probe in found:
        auc = "" if probe.auc is None else f"{probe.auc:.3f}"
        table.add_row(probe.name, Text(probe.finding), Text(probe.model), f"{probe.films:,}", auc)
    console.print(table)


def print_grounding(done: Grounding) -> None:
    columns = (
        "finding",
        "n",
        "pointing",
        "95 % interval",
        "random",
        "centre",
        "fixed point",
        "energy",
        "95 % interval",
    )
    table = _table(*columns, words=(0,))
    for row in done.rows:
        blind = (f"{value:.3f}" for value in (row.random, row.centre, row.fixed))
        style = "bold" if row is done.rows[0] else ""
        table.add_row(Text(row.name), str(row.n), *_interval(row.pointing), *blind, *_interval(row.energy), style=style)
    console.print(table)
    console.print(
        Text(
            f"{done.model}. Pointing: the map's highest point lies in a box. Energy: the map's share in the boxes; "
            "an even map has what random has. Fixed point: for each finding the best one, chosen on these boxes. "
            f"{NOTICE}",
            style="dim",
        )
    )
    print_unplaced(done.missing, done.ambiguous, "film with boxes", "films with boxes")
    if done.unread:
        console.print(Text(f"{counted(len(done.unread), 'film')} could not be read: {some(done.unread)}"))


def _interval(found: Interval | None) -> tuple[str, str]:
    if found is None:
        return "", ""
    return f"{found.value:.3f}", "too few films" if math.isnan(found.low) else f"{found.low:.3f} to {found.high:.3f}"


def _queries(count: int) -> str:
    return counted(count, "query", "queries")


def _table(*columns: str, words: Iterable[int] = (0, 1)) -> Table:
    """Return columns of figures, but for the positions in `words`."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    left = set(words)
    for at, name in enumerate(columns):
        table.add_column(
            name, justify="left" if at in left else "right", no_wrap=True, min_width=0 if at in left else len(name)
        )
    return table
