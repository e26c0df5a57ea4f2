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
    evaluation = done.evaluation
    if done.seen:
        console.print(Text(str(done.seen), style="bold"))
    table = _table("query", "", *evaluation.measures)
    table.columns[1].no_wrap, table.columns[1].overflow, table.columns[1].ratio = True, "ellipsis", 1
    for qid, values in evaluation.queries.items():
        row = [f"{values[name]:.3f}" for name in evaluation.measures]
        table.add_row(Text(qid), Text(evaluation.texts[qid], style="dim"), *row)
    table.add_section()
    for group, intervals in evaluation.groups.items():
        row = [f"{intervals[name].value:.3f}" for name in evaluation.measures]
        table.add_row(Text(group), Text(f"mean of {_queries(intervals[evaluation.measures[0]].n)}", style="dim"), *row)
    means = [f"{evaluation.mean[name].value:.3f}" for name in evaluation.measures]
    table.add_row("mean", _queries(len(evaluation.queries)), *means, style="bold")
    bounded = evaluation.mean[evaluation.measures[0]].bounded
    for bound, label in (("low", "95 % interval from"), ("high", "to")) if bounded else ():
        bounds = [f"{getattr(evaluation.mean[name], bound):.3f}" for name in evaluation.measures]
        table.add_row("", label, *bounds, style="dim")
    for baseline, values in evaluation.baselines.items():
        table.add_row(baseline, "baseline", *[f"{values[name]:.3f}" for name in evaluation.measures], style="dim")
    console.print(table)
    first, count = evaluation.measures[0], len(evaluation.queries)
    perfect = f"Answered perfectly ({first} of 1): {evaluation.perfect[first]:,} of {_queries(count)}."
    console.print(perfect, markup=False)
    console.print(f"Baselines, which look at no film: {evaluation.baselines_in_words}.", markup=False, highlight=False)
    if not bounded:
        console.print(f"No interval: {_queries(count)} would say nothing of others.")
    settings = ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in evaluation.settings().items())
    console.print(Text(f"{done.model}. {settings}. {NOTICE}", style="dim"))
    print_unplaced(done.missing, done.ambiguous, "judged name")
    for sentence in evaluation.left_out:
        console.print(Text(sentence))


def print_comparison(done: Compared) -> None:
    comparison = done.comparison
    console.print(Text(f"A: {done.a}\nB: {done.b}"))
    first = comparison.measures[0].measure
    table = _table("query", "", f"{first}, B - A")
    for qid, changes in comparison.queries.items():
        table.add_row(Text(qid), Text(done.texts.get(qid, ""), style="dim"), f"{changes[first]:+.3f}")
    console.print(table)
    console.print()
    table = _table("measure", "A", "B", "B - A", "95 % interval", "p", "p (Holm)", "better", "worse", words=(0,))
    for measure in comparison.measures:
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
    perfect = f"Answered perfectly ({first} of 1): A {a:,}, B {b:,} of {_queries(comparison.n)}."
    console.print(perfect, markup=False)
    for warning in done.warnings:
        console.print(Text(f"Warning: {warning}.", style="yellow"))
    left = len(comparison.only_a) + len(comparison.only_b)
    ending = f", {left} that only one of them has left out" if left else ""
    about = f"{_queries(comparison.n)} of both{ending}. Gain {done.gain.value}. {comparison.test}. {NOTICE}"
    console.print(Text(about, style="dim"))


def print_made(done: MadeQrels, out: Path) -> None:
    groups = ", ".join(f"{name} {count}" for name, count in done.groups.items())
    grades = ", ".join(f"grade {grade} {count:,}" for grade, count in done.grades.items())
    judged = counted(done.judgements, "judgement")
    console.print(Text(f"{out}: {judged} of {counted(done.documents, 'film')} ({grades})."))
    console.print(Text(f"{_queries(done.queries)} ({groups})."))
    for names, problem in (
        (done.unread, "without a finding that the films are judged by"),
        (done.unjudged, "without a film that shows what is asked"),
    ):
        if names:
            console.print(Text(f"{_queries(len(names))} {problem}: {some(names)}"))


def print_screening(done: Screening) -> None:
    table = _table(
        "finding", "selected", "with", "without", "AUC", "95 % interval", "sens.", "spec.", "even at", words=(0,)
    )
    for finding in done.findings:
        row = finding.measured
        rates = (
            f"{rate:.2f}" if rate is not None and row.auc else "" for rate in (finding.sensitivity, finding.specificity)
        )
        counts = (f"{finding.selected:,}", f"{row.positives:,}", f"{row.negatives:,}")
        even = "" if finding.even is None else f"{finding.even:.3f}"
        table.add_row(Text(row.finding), *counts, *_interval(row.auc), *rates, even)
    if done.mean is not None:
        table.add_section()
        table.add_row("mean", "", "", "", f"{done.mean:.3f}", "", "", "", "", style="bold")
    console.print(table)
    among = f" that pass {done.where}" if done.where else ""
    console.print(
        Text(
            f"{done.model}. {counted(len(done.film_ids), 'film')}{among}; selected: score at least {done.threshold:g} "
            f"(similarity to prompts that say it minus to prompts that deny it). 0 is no measured cut; even at: the "
            f"--threshold at which sensitivity and specificity meet, by these labels. Intervals over "
            f"patients; mean and interval need five films with and five without the finding. {NOTICE}",
            style="dim",
        )
    )
    _doubts(done.weakness, *done.unknown_words)
    if done.unknown_patients:
        print_unknown_patients(done.unknown_patients)
    if done.mean is None:
        console.print("No mean AUC: too few films are labelled with and without a finding (filmroom label).")


def _doubts(*sentences: str) -> None:
    for sentence in filter(None, sentences):
        console.print(Text(sentence, style="yellow"), soft_wrap=True)


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
        accuracy = f"Accuracy {done.accuracy} over {counted(labelled, 'film')} labelled with exactly one"
        ending = f", {done.several:,} with several left out" if done.several else ""
        console.print(Text(f"{accuracy}{ending}; always choosing the most frequent: {done.largest:.3f}."))
    among = f" that pass {done.where}" if done.where else ""
    how = "softmax of 100 x cosine; every film gets one of them, whether it shows any or not"
    console.print(Text(f"{done.model}. {counted(len(done.film_ids), 'film')}{among}; {how}. {NOTICE}", style="dim"))
    _doubts(done.weakness, *done.unknown_words)


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
        bins = ", ".join(f"{group.said:.2f}: {group.observed:.2f} ({group.films:,})" for group in report.calibration)
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
    for name, reason in done.left_out.items():
        console.print(Text(f"{name}: left out. {reason}"))
    if done.alone:
        print_unknown_patients(done.alone)
    if done.straddling:
        warning = (
            f"Warning: {counted(done.straddling, 'patient')} in more than one part of the split; the figures flatter."
        )
        console.print(Text(warning, style="yellow"))
    console.print(Text(f"{done.model}. {NOTICE}", style="dim"))
    print_unplaced(done.missing, done.ambiguous, "labelled name")


def print_unknown_patients(films: int) -> None:
    """Say that films of one patient may be on both sides of a split, and narrow an interval."""
    unknown = f"Patients unknown: {counted(films, 'film')}, each counted as a patient of its own"
    console.print(Text(f"{unknown}; figures may flatter. Say whose they are with filmroom facts."))


def print_saved(probes: Sequence[SavedProbe], archive: Path) -> None:
    if not probes:
        print_command("No probe is kept. Learn one:", "probe --label NAME --save NAME", archive)
        return
    table = _table("probe", "finding", "model", "films", "AUC", words=(0, 1, 2))
    for probe in probes:
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


def _interval(interval: Interval | None) -> tuple[str, str]:
    if interval is None:
        return "", ""
    bounds = "too few films" if math.isnan(interval.low) else f"{interval.low:.3f} to {interval.high:.3f}"
    return f"{interval.value:.3f}", bounds


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
