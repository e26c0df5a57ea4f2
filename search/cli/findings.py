"""Define the commands about what report models write: describe films, and search the findings."""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import (
    ArchiveOption,
    JsonOption,
    ModelOption,
    WordsCommand,
    archive_folder,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.search.findings.generate import Plan
    from filmroom.search.findings.search import FilmFinding


def register(app: typer.Typer) -> None:
    app.command(cls=WordsCommand)(findings)


def describe_films(
    archive: Path | None, url: str, key_file: Path | None, *, limit: int | None, yes: bool, as_json: bool
) -> None:
    """Have cxrreportgen write findings about the archive's films, and print what came of it."""
    from filmroom.indexer.models import cxrreportgen
    from filmroom.search.cli import output_models
    from filmroom.search.findings.generate import describe, plan

    to = cxrreportgen.endpoint(url, key_file)
    opened = open_archive(archive)
    planned = plan(opened, limit=limit)
    say(_cost(planned, url), err=True)
    if planned.calls and not yes:
        if not sys.stdin.isatty():
            raise BadInput("films are sent to another machine only when told to", where=url, fix="Add --yes.")
        typer.confirm("Send them?", abort=True, err=True)
    with output_models.calls_progress(len(planned.calls), quiet=as_json or not planned.calls) as on_call:
        done = describe(opened, planned.calls, to, on_call=on_call)
    if as_json:
        print_json(asdict(done) | {"left_out": planned.left_out, "done_before": planned.done})
    elif planned.calls:
        wrote = f"{counted(done.sentences, 'sentence')}, {counted(done.boxes, 'box', 'boxes')}"
        say(f"{counted(done.calls, 'call')}: {wrote}.")
        for film_id, reason in done.failed[:10]:
            say(f"film {film_id}: {reason}", err=True)
    if done.failed:
        if not as_json:
            say(f"Without findings: {counted(len(done.failed), 'film')}. Run it again to try again.", err=True)
        sys.exit(1)


def _cost(planned: Plan, url: str) -> str:
    words = f"{counted(len(planned.calls), 'call')} to {url}"
    if planned.laterals:
        words += f", {planned.laterals:,} of them with the lateral of the study"
    words += f". Described before: {counted(planned.done, 'film')}."
    out = ", ".join(f"{count:,} {reason}" for reason, count in planned.left_out.items())
    return f"{words} Left out: {out}." if out else words


def findings(
    query: Annotated[str, typer.Argument(help="What the sentences should say; without it all are listed.")] = "",
    archive: ArchiveOption = None,
    model: ModelOption = None,
    words: Annotated[bool, typer.Option("--words", help="By the very words; needs no model.")] = False,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=100_000, help="Findings to print.")] = 10,
    sr: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Write them as DICOM Structured Reports, into a new folder.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Find what report models wrote about films: sentences by meaning or words, with boxes; as JSON or DICOM SR."""
    matches = _findings(query, archive, model, words=words, k=k, every=as_json or sr is not None)
    if sr is not None:
        from filmroom.search.findings.dicom_sr import write_reports

        done = write_reports(matches, sr)
        if as_json:
            print_json(asdict(done))
        else:
            say(f"{counted(done.files, 'document')} in {sr}. They name the patient as the films do.")
            for film_id, reason in done.failed[:10]:
                say(f"film {film_id}: {reason}", err=True)
        if done.failed and not done.files:
            sys.exit(1)
    elif as_json:
        print_json(_as_json(matches))
    else:
        from filmroom.search.cli import output_models

        output_models.print_findings(matches, archive_folder(archive), any_written=bool(matches) or _any(archive))


def _findings(
    query: str, archive: Path | None, model: str | None, *, words: bool, k: int, every: bool
) -> list[FilmFinding]:
    from filmroom.search.findings import search

    if not query.strip():
        matches = search.everything(open_archive(archive).catalog)
        return matches if every else matches[:k]
    if words:
        return search.by_words(open_archive(archive), query, k)
    from filmroom.search.searcher import Searcher

    return search.by_meaning(Searcher.open(archive_folder(archive), model), query, k)


def _any(archive: Path | None) -> bool:
    from filmroom.db.writes.findings import any_written

    return any_written(open_archive(archive).catalog)


def _as_json(matches: list[FilmFinding]) -> list[dict[str, Any]]:
    return [match.to_json() for match in matches]
