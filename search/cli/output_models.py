"""Print what the terminal shows of models, and of what models wrote."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filmroom.search.cli.counting import counted
from filmroom.search.cli.output import Console, Text, console, path_text, print_command, print_unplaced
from rich.table import Table

if TYPE_CHECKING:
    from filmroom.indexer.models.measured import FindingMeasured
    from filmroom.indexer.training.run import Adapted
    from filmroom.search.classification.quantised import Quantised
    from filmroom.search.exchange.import_vectors import ImportedVectors
    from filmroom.search.findings.search import FilmFinding
    from filmroom.search.status import ModelStatus


def print_models(models: Sequence[ModelStatus], *, added: Path) -> None:
    """Print the table; `added` is the list of those that were added."""
    table = Table(box=None, pad_edge=False, header_style="dim")
    finding = next((model.measured.finding for model in models if model.measured), None)
    for name, right in (
        ("model", False),
        ("state", False),
        ("films here", True),
        ("films/s", True),
        ("nDCG@5", True),
        *([(f"AUC of {finding}", True)] if finding else []),
        ("MB", True),
        ("licence", False),
        ("from", False),
        ("", False),
    ):
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=name.startswith("AUC"))
    for model in models:
        state = ("in use" if model.in_use else model.origin) if model.ready else "not on this disk"
        table.add_row(
            Text(model.name),
            state,
            f"{model.films:,}",
            "" if model.films_a_second is None else f"{model.films_a_second:.1f}",
            "" if model.ndcg is None else f"{model.ndcg:.3f}",
            *([_area(model.measured)] if finding else []),
            "" if model.size_mb is None else f"{model.size_mb:,}",
            Text(model.licence),
            path_text(model.place),
            Text(model.notes, style="dim"),
        )
    console.print(table)
    if any(model.origin == "added" for model in models):
        console.print(Text(f"Those that were added are there for all your archives, by {added}", style="dim"))
    if any(model.ndcg is not None for model in models):
        sets = ", ".join(sorted({f"{model.ndcg_queries}" for model in models if model.ndcg_queries}))
        console.print(Text(f"nDCG@5 as last measured on this archive, with {sets}.", style="dim"))
    for data in dict.fromkeys(model.measured_on for model in models if model.measured_on):
        console.print(Text(f"AUC with its 95 % interval, measured by the makers on {data}.", style="dim"))


def _area(measured: FindingMeasured | None) -> str:
    if measured is None:
        return "not measured"
    return f"{measured.auc:.2f} [{measured.auc_low:.2f}, {measured.auc_high:.2f}]"


def print_findings(findings: Sequence[FilmFinding], archive: Path, *, any_written: bool) -> None:
    if not findings:
        if any_written:
            print_command("No sentence says so. All of them:", "findings", archive)
        else:
            sentence = "No model has described these films. One may:"
            print_command(sentence, "report --from cxrreportgen --endpoint URL", archive)
        return
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name, right in (("film", True), ("score", True), ("boxes", True), ("sentence", False), ("file", False)):
        table.add_column(name, justify="right" if right else "left", overflow="fold", no_wrap=name.startswith("AUC"))
    for finding in findings:
        score = "" if finding.score is None else f"{finding.score:.3f}"
        boxes = f"{len(finding.finding.boxes)}" if finding.finding.boxes else ""
        table.add_row(str(finding.film.id), score, boxes, Text(finding.finding.text), path_text(finding.film.path))
    console.print(table)
    console.print("Written by a model. Research use only, not for diagnosis.", style="dim")


def print_imported_vectors(done: ImportedVectors, archive: Path) -> None:
    console.print(Text(f"{counted(done.films, 'film')} with {done.vectors} x {done.dim} vectors of {done.model} now."))
    if done.answers != done.model:
        sentence = f"{done.answers} goes on answering where no model is named. To let {done.model} answer:"
        print_command(sentence, f"models use {done.model}", archive)
    print_unplaced(done.missing, done.ambiguous, "name")


@contextmanager
def calls_progress(total: int, *, quiet: bool) -> Iterator[Callable[[], None]]:
    """Show a bar on stderr over the calls of an endpoint."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), disable=quiet) as bar:
        task = bar.add_task("Describing films", total=total)
        yield lambda: bar.advance(task)


@contextmanager
def adapt_progress(*, quiet: bool) -> Iterator[tuple[Callable[[int, int], None], Callable[[Any], None]]]:
    """Show bars for decoding, for the frozen part of the tower, and for epochs with loss and nDCG."""
    from rich.progress import Progress

    names = {
        "films": "Decoding films",
        "model": "Loading the model",
        "squares": "Preparing films",
        "maps": "Running the frozen stages",
        "epochs": "Epochs",
    }
    with Progress(console=Console(stderr=True), disable=quiet) as bar:
        tasks: dict[str, Any] = {}

        def show(stage: str, done: int, total: int, details: str = "") -> None:
            if stage not in tasks:
                tasks[stage] = bar.add_task(names[stage], total=total)
            bar.update(tasks[stage], completed=done, total=total, description=names[stage] + details)

        def on_progress(progress: Any) -> None:
            loss = "" if progress.loss is None else f", loss {progress.loss:.3f}"
            ndcg = "" if progress.ndcg is None else f", nDCG@5 {progress.ndcg:.3f}"
            show(progress.stage, progress.done, progress.total, loss + ndcg)
            if progress.stage == "epochs" and not (quiet or bar.console.is_terminal):  # a log shows no bars
                bar.console.print(f"Epoch {progress.done} of {progress.total}{loss}{ndcg}", soft_wrap=True)

        yield lambda done, total: show("films", done, total), on_progress


@contextmanager
def stages(*, quiet: bool) -> Iterator[Callable[[str], None]]:
    """Show on stderr what is being done."""
    with Console(stderr=True, quiet=quiet).status("") as status:
        yield lambda stage: status.update(Text(stage))


def print_quantised(done: Quantised, out: Path) -> None:
    table = Table(box=None, pad_edge=False, header_style="dim")
    for name in ("form", "least cosine", "mean cosine", "nDCG@5", "AUC", "films/s", ""):
        table.add_column(name, justify="left" if name in ("form", "") else "right", overflow="fold")
    first = next((form.ranked for form in done.tried if form.ranked), None)
    ndcg, area = (f"{first.ndcg[0]:.3f}", f"{first.auc[0]:.3f}") if first else ("", "")
    table.add_row("as a run embeds now", "", "", ndcg, area, f"{done.now:.1f}", "")
    for precision, rate in done.floats.items():
        table.add_row(f"{precision}, OpenVINO", "", "", "", "", f"{rate:.1f}", "")
    for form in done.tried:
        ranked = form.ranked
        ndcg, area = (f"{ranked.ndcg[1]:.3f}", f"{ranked.auc[1]:.3f}") if ranked else ("", "")
        cosines = f"{form.cosine_least:.4f}", f"{form.cosine_mean:.4f}"
        faults = "; ".join(done.faults(form)) or "kept"
        table.add_row(f"8 bits, {form.recipe}", *cosines, ndcg, area, f"{form.films_a_second:.1f}", faults)
    console.print(table)
    labels = f"by the labels of {counted(len(first.findings), 'finding')}" if first else "no labels to rank by"
    console.print(Text(f"Compared on {counted(done.films, 'film')}, {labels}.", style="dim"))
    if done.chosen is None:
        console.print(Text(f"Nothing was written: embed with {done.model} as it is.", style="yellow"))
        return
    if first is None:
        console.print(Text("How it ranks findings was not compared: the films have too few labels.", style="yellow"))
    console.print(Text(f"{done.name} is in {out}. Next: filmroom index FOLDER --model {out}"), soft_wrap=True)


def print_adapted(done: Adapted, out: Path, count: int) -> None:
    name = done.facts.name
    console.print(Text(f"{name}: trained on {counted(count, 'film')}, in {out}. Its card: {out / 'MODEL_CARD.md'}"))
    if done.ndcg is None or done.base_ndcg is None:
        console.print("Not measured: no patient was held out.")
    else:
        values = f"{done.base} {done.base_ndcg:.3f}, {name} {done.ndcg:.3f}"
        console.print(Text(f"nDCG@5 on {counted(done.held, 'held-out film')}: {values}."))
    if done.worse:
        worse = f"Warning: {name} ranks these films worse than {done.base}, which is the better choice."
        console.print(Text(worse, style="yellow"))
    console.print(Text(f"Next: filmroom index FOLDER --model {out}"))


def adapted_json(done: Adapted, out: Path, count: int) -> dict[str, Any]:
    return {
        "model": done.facts.name,
        "folder": str(out),
        "films": count,
        "fingerprint": done.facts.fingerprint,
        "held": done.held,
        "base": done.base,
        "base_ndcg": done.base_ndcg,
        "ndcg": done.ndcg,
        "worse": done.worse,
    }
