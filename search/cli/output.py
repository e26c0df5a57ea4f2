"""Print what the terminal shows: tables, bars and JSON shapes. Text from files is never taken for markup."""

from __future__ import annotations

import os
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filmroom.db.archive import place_of
from filmroom.db.errors import BadInput
from filmroom.db.records import SAME_UID, Counts, Facet, same_uid_note
from filmroom.indexer.decoding.rejections import reason_of
from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import typed
from filmroom.search.cli.printing import json_line, printable
from rich import console as rich_console
from rich import text as rich_text
from rich.segment import Segment
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.db.doctor import Examination
    from filmroom.indexer.phantom.demo_archive import DemoSummary
    from filmroom.indexer.pipeline import Summary
    from filmroom.search.exchange.import_facts import ImportedFacts
    from filmroom.search.exchange.import_labels import Imported
    from filmroom.search.results import Results
    from filmroom.search.status import DuplicateFile, RejectedFile, Status
    from rich.style import Style


class Text(rich_text.Text):
    """Text of which every character is visible, and none is taken for markup."""

    def __init__(self, text: str = "", style: str | Style = "", **how: Any) -> None:
        super().__init__(printable(text), style, **how)


class Console(rich_console.Console):
    """A console that prints text as it is: no markup, no emoji, and no character that would steer the terminal."""

    def __init__(self, **how: Any) -> None:
        super().__init__(highlight=False, markup=False, emoji=False, **how)

    def render_str(self, text: str, **how: Any) -> rich_text.Text:
        """Keep the lines; what stands in them is printable."""
        return super().render_str("\n".join(map(printable, text.split("\n"))), **how)

    def render(
        self, renderable: rich_console.RenderableType, options: rich_console.ConsoleOptions | None = None
    ) -> Iterator[Segment]:
        """Yield what a renderable puts into a segment: its own control codes stand apart from text."""
        for segment in super().render(renderable, options):
            if segment.control or segment.text.isprintable() or segment.text == "\n":
                yield segment
            else:
                yield Segment("\n".join(map(printable, segment.text.split("\n"))), segment.style)

    def on_broken_pipe(self) -> None:
        raise BrokenPipeError  # the door says what that means, as for what is printed without a console


console = Console(width=None if (sys.stdout and sys.stdout.isatty()) or "COLUMNS" in os.environ else 160)
"""What is redirected to a file or a pipe has no width of its own: wide enough that no column is cut."""

_FEW = 20

NOTICE = "Research use only, not for diagnosis."


def print_results(results: Results, archive: Path) -> None:
    if not results.hits:
        for sentence in (*results.reading.slips, *results.advice):
            console.print(Text(sentence))
        print_command("No film passes these filters. Loosen one of them, or see what there is:", "status", archive)
        return
    for sentence in results.reading.sentences:
        console.print(Text(sentence))
    if results.learned:
        console.print(Text(results.learned.sentence))
    if results.weakness:
        card = f" Its card: {results.limits.card}" if results.limits.card else ""
        console.print(Text(f"{results.weakness}{card}", style="yellow"), soft_wrap=True)
    if results.contrary:
        console.print(Text(results.contrary, style="yellow"))
    if results.doubt:
        console.print(Text(results.doubt, style="yellow"))
    table = _table("", "id", "score", "percentile", "view", "labels", "film", numeric=(0, 1, 2, 3))
    for hit in results.hits:
        table.add_row(
            str(hit.rank),
            str(hit.id),
            "" if hit.score is None else f"{hit.score:.3f}",
            hit.standing,
            Text(hit.film.tags.view or ""),
            Text(", ".join(hit.film.label_names)),
            path_text(hit.film.path),
        )
    console.print(table)
    console.print(
        f"{len(results.hits)} of {counted(results.total, 'film')}, {results.model}, {results.took_ms:.0f} ms. {NOTICE}",
        style="dim",
    )


@contextmanager
def index_progress(*, quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """Show on stderr how far a run is: as a bar, or in a log, in which a bar draws nothing, a line for each quarter."""
    screen = Console(stderr=True)
    if quiet or screen.is_terminal:
        with _bar(screen, quiet=quiet) as show:
            yield show
    else:
        yield _quarters(screen)


@contextmanager
def _bar(screen: Console, *, quiet: bool) -> Iterator[Callable[[Counts], None]]:
    """Show a bar that starts at what is done already, with films a second and the time that is left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TaskProgressColumn,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    bar = Progress(*columns, console=screen, disable=quiet)
    task = bar.add_task("Indexing", total=None, rate="")
    began, start = time.monotonic(), 0

    def show(counts: Counts) -> None:
        nonlocal began, start
        # Only now, so that a fault before the first file is the one line that is printed.
        bar.start()
        known = bar.tasks[0].total
        if known != counts.listed:
            began, start = time.monotonic(), counts.done
        rate = (counts.done - start) / max(1e-3, time.monotonic() - began)
        # A few files say more of how long it took to begin than of how fast it goes.
        speed = f"{rate:.1f} files/s" if counts.done >= start + _FEW else ""
        bar.update(task, total=counts.listed, completed=counts.done, rate=speed)

    try:
        yield show
    finally:
        if bar.live.is_started:
            bar.stop()


def _quarters(log: Console) -> Callable[[Counts], None]:
    printed = 0

    def show(counts: Counts) -> None:
        nonlocal printed
        if counts.done - printed >= max(1, counts.listed / 4):
            printed = counts.done
            log.print(f"Indexing: {counts.done:,} of {counted(counts.listed, 'file')}")

    return show


def print_summary(done: Summary, archive: Path) -> None:
    counts = done.counts
    table = _table("", "files", numeric=(1,))
    for name in ("indexed", "unchanged", "duplicate", "rejected"):
        table.add_row(name, f"{getattr(counts, name):,}")
        if name == "rejected":
            for code, count in done.reasons.items():
                table.add_row(Text(f"  {reason_of(code)}", style="dim"), Text(f"{count:,}", style="dim"))
    table.add_section()
    table.add_row("listed", f"{counts.listed:,}")
    table.add_row("gone", f"{counts.gone:,}")
    console.print(table)
    rate = f", {counts.indexed / done.seconds:.1f} films a second" if counts.indexed else ""
    console.print(f"{done.seconds:.1f} s{rate}. Archive: ", Text(place_of(archive)), sep="")
    if done.same_uid:
        _print_same_uid([duplicate.path for duplicate in done.same_uid], archive)
    if not counts.listed:
        console.print("Nothing was found there: no film is added, and none is taken away.")
    if done.stopped:
        console.print("Stopped. What was done is kept: run the same command again to go on.")
    elif counts.rejected and not done.fruitless:
        print_command("What to do about rejected files:", "rejected", archive)


def _print_same_uid(paths: Sequence[str], archive: Path | str) -> None:
    print_command(f"{same_uid_note(paths)}. See them:", "duplicates", archive)


def refusal(done: Summary, archive: Path) -> BadInput:
    """Say why a run that was to index files has indexed none."""
    reasons = ", ".join(f"{reason_of(code)} ({count:,})" for code, count in done.reasons.items())
    if done.counts.listed == 1:
        return BadInput(
            f"the one file listed was rejected ({', '.join(map(reason_of, done.reasons))})",
            fix=f"See it: {typed('rejected', archive)}",
        )
    return BadInput(
        f"all {done.counts.listed:,} files listed were rejected: {reasons}",
        fix=f"See them: {typed('rejected', archive)}",
    )


def print_command(sentence: str, command: str, archive: Path | str) -> None:
    """Print what to type next, on a line that is never broken: it can be copied."""
    console.print(Text(f"{sentence} {typed(command, archive)}"), soft_wrap=True)


def print_imported(done: Imported, noun: str, *, as_json: bool) -> None:
    if as_json:
        console.print(Text(json_line(asdict(done))), soft_wrap=True)
        return
    console.print(
        f"{counted(done.rows, 'row')}: {counted(done.added, noun)} for {counted(done.films, 'film')}.",
    )
    if done.labels:
        _print_facets("Labels", [Facet(name, count) for name, count in done.labels.items()])
    print_unplaced(done.missing, done.ambiguous, "name")
    if done.empty:
        console.print(f"{counted(done.empty, 'row')} without any {noun}.")
    if done.contradicted:
        console.print(
            f"{counted(done.contradicted, 'label')} both given and denied to a film, or given beside no finding, "
            "and left out."
        )


def print_facts(done: ImportedFacts, *, as_json: bool) -> None:
    if as_json:
        console.print(Text(json_line(asdict(done))), soft_wrap=True)
        return
    console.print(f"{counted(done.rows, 'row')}: facts of {counted(done.films, 'film')}.")
    for counts, heading in (
        (done.given, "Given"),
        (done.own, "Kept as the films' own headers say otherwise (--overwrite takes the table's)"),
        (done.unread, "Not certain, and left out"),
    ):
        if counts:
            console.print(f"{heading}: {', '.join(f'{name} {count:,}' for name, count in sorted(counts.items()))}")
    print_unplaced(done.missing, done.ambiguous, "name")


def print_unplaced(missing: Sequence[str], ambiguous: Sequence[str], noun: str, many: str | None = None) -> None:
    """Print the first of the names that could not be given to one film."""
    for names, problem in ((missing, "matched no film"), (ambiguous, "matched several films")):
        if names:
            console.print(Text(f"{counted(len(names), noun, many)} {problem}: {some(names)}"))


def some(names: Sequence[str]) -> str:
    return ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")


def print_status(status: Status) -> None:
    console.print(Text(status.archive, style="bold"))
    files = status.files
    console.print(
        f"{counted(status.films, 'film')}, {status.megabytes:,.1f} MB. Files: {files.indexed:,} indexed, "
        f"{files.duplicate:,} duplicate, {files.rejected:,} rejected, {files.gone:,} gone."
    )
    for model in status.models:
        extent = counted(model.films, "film")
        if not model.complete:
            extent = f"{model.films:,} of {counted(status.films, 'film')}; index again to complete it"
        console.print(Text(f"Model {model.label}: {extent} ({model.vectors} x {model.dim})"))
        if (ivf := model.ivf) is not None:
            console.print(
                f"  IVF index, {ivf.probes} of {ivf.lists} lists probed: recall@10 {ivf.recall:.3f} of the exact "
                f"ranking, {ivf.approximate_ms:.1f} ms instead of {ivf.exact_ms:.0f} ms."
            )
        if (hnsw := model.hnsw) is not None:
            console.print(
                f"  HNSW index of the server, ef_search {hnsw.ef_search}: recall@10 {hnsw.recall:.3f} of the exact "
                f"ranking, {hnsw.approximate_ms:.1f} ms instead of {hnsw.exact_ms:.0f} ms."
            )
    for root in status.roots:
        console.print(Text("Folder "), path_text(root), sep="")
    _print_facets("Views", status.views)
    _print_facets("Labels", status.labels)
    console.print(f"Labels on {counted(status.labelled, 'film')}, {counted(status.reports, 'report')}.")
    if status.burned_in:
        line = f"Perhaps with words burned into their pixels: {counted(status.burned_in, 'film')}. See them:"
        print_command(line, "search has:burned-in", status.archive)
    if status.same_uid:
        _print_same_uid(status.same_uid, status.archive)
    if status.writer:
        console.print(Text("Writing now: "), path_text(status.writer), sep="")
    for run in status.runs:
        when = time.strftime("%Y-%m-%d %H:%M", time.localtime(run.started_at))
        line = f"Run {run.id}, {when}: {run.state}, {run.counts.indexed:,} indexed of {run.counts.listed:,}"
        console.print(Text(line + (f" ({run.message})" if run.message else ""), style="dim"))


def _print_facets(name: str, facets: Sequence[Any]) -> None:
    if facets:
        counts = ", ".join(f"{facet.value} {facet.count:,}" for facet in facets[:12])
        console.print(Text(f"{name}: {counts}{', ...' if len(facets) > 12 else ''}"))


def print_rejected(files: Sequence[RejectedFile], archive: Path) -> None:
    if not files:
        console.print("No file is rejected.")
        return
    table = _table("file", "stage", "reason", "what to do")
    for file in files:
        table.add_row(path_text(file.path), file.stage, Text(file.reason), Text(file.remedy))
    console.print(table)
    forgotten = sum(file.forgotten for file in files)
    if forgotten < len(files):
        print_command("Try them again:", "index FOLDER --retry", archive)
    if forgotten:
        print_command("Take what was forgotten on request:", "index FOLDER --bring-back", archive)


def print_duplicates(files: Sequence[DuplicateFile]) -> None:
    if not files:
        console.print("No file is a duplicate.")
        return
    table = _table("file", "why", "film", "indexed from", numeric=(2,))
    for file in files:
        table.add_row(path_text(file.path), file.why, str(file.film), path_text(file.of_path))
    console.print(table)
    tally = Counter(file.why for file in files)
    console.print(", ".join(f"{count:,} {reason}" for reason, count in tally.most_common()) + ".")
    if any(file.code == SAME_UID for file in files):
        console.print(
            "Pictures that bear the UID of another are indexed as films of their own with index --keep-apart."
        )


def print_examination(examination: Examination) -> None:
    for space in examination.spaces:
        console.print(Text(f"{space.space.model}: {space.films:,} of {counted(examination.films, 'film')}"))
    for note in examination.notes:
        console.print(Text(f"{note}."))
    for fault in examination.faults:
        console.print(Text(f"Fault: {fault.what}. {fault.remedy}", style="red"))
    if examination.healthy:
        console.print(f"{counted(examination.films, 'film')}: catalog, vectors and index agree.")


@contextmanager
def demo_progress(total: int, *, quiet: bool) -> Iterator[Callable[[int], None]]:
    from rich.progress import Progress

    log = Console(stderr=True)
    if not quiet and not log.is_terminal:  # a bar draws nothing in a log: a line for each quarter
        yield lambda done: log.print(f"Drawing phantoms: {done} of {total}") if done % max(1, total // 4) == 0 else None
        return
    with Progress(console=log, disable=quiet) as bar:
        task = bar.add_task("Drawing phantoms", total=total)
        yield lambda done: bar.update(task, completed=done, total=max(done, total))


def print_demo(folder: Path, done: DemoSummary) -> None:
    console.print(
        Text(f"{done.films} synthetic films and {done.pictures} pictures in {folder} (phantoms, no patients).")
    )
    console.print(Text(f"Next: filmroom index {folder / 'films'} --archive {folder / 'archive'}"))


def _table(*columns: str, numeric: Sequence[int] = ()) -> Table:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for at, name in enumerate(columns):
        table.add_column(name, justify="right" if at in numeric else "left", overflow="fold")
    return table


def path_text(path: str) -> Text:
    """Return a file's name as it may be printed."""
    return Text(path)
