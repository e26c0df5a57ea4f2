"""The commands of reports and of what report models write: report, findings."""

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
    SourceOption,
    archive_folder,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.search.findings.generate import Plan
    from filmroom.search.findings.search import Said

CXRREPORTGEN = "cxrreportgen"


def register(app: typer.Typer) -> None:
    for command in (report, findings):
        app.command()(command)


def report(
    table: Annotated[
        Path | None,
        typer.Argument(help="CSV or JSON lines: film (or study), and report.", show_default=False),
    ] = None,
    archive: ArchiveOption = None,
    source: SourceOption = None,
    writer: Annotated[
        str | None, typer.Option("--from", metavar="MODEL", help="Or have cxrreportgen describe the films.")
    ] = None,
    endpoint: Annotated[str | None, typer.Option(metavar="URL", help="Its endpoint; films are sent there.")] = None,
    key_file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The endpoint's key; default: FILMROOM_CXRREPORTGEN_KEY."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many calls.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Send the films without asking.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Give films or studies their reports from a table, or have a model write findings with boxes."""
    if writer is None:
        if table is None:
            raise BadInput("there is no table of reports", fix="Name one, or --from cxrreportgen --endpoint URL.")
        if endpoint or key_file or limit or yes:
            raise BadInput("a table is not sent anywhere", where=table, fix="Add --from cxrreportgen, or leave it out.")
        from filmroom.search.cli import output
        from filmroom.search.exchange.import_labels import import_reports

        output.print_imported(
            import_reports(open_archive(archive).catalog, table, source=source), "report", as_json=as_json
        )
        return
    if writer != CXRREPORTGEN:
        raise BadInput("no report model has this name", where=writer, fix=f"Known: {CXRREPORTGEN}.")
    if table is not None or source is not None:
        raise BadInput("it writes findings about the archive's films, and reads no table", where=table or source)
    if endpoint is None:
        raise BadInput("its endpoint is not named", where=writer, fix="Add --endpoint URL.")
    _describe(archive, endpoint, key_file, limit=limit, yes=yes, as_json=as_json)


def _describe(
    archive: Path | None, url: str, key_file: Path | None, *, limit: int | None, yes: bool, as_json: bool
) -> None:
    from filmroom.indexer.models import cxrreportgen
    from filmroom.search.cli import output_models
    from filmroom.search.findings.generate import describe, plan

    to = cxrreportgen.endpoint(url, key_file)
    kept = open_archive(archive)
    planned = plan(kept, limit=limit)
    say(_cost(planned, url), err=True)
    if planned.calls and not yes:
        if not sys.stdin.isatty():
            raise BadInput("films are sent to another machine only when told to", where=url, fix="Add --yes.")
        typer.confirm("Send them?", abort=True, err=True)
    with output_models.calls_progress(len(planned.calls), quiet=as_json or not planned.calls) as on_call:
        done = describe(kept, planned.calls, to, on_call=on_call)
    if as_json:
        print_json(asdict(done) | {"left_out": planned.left_out, "done_before": planned.done})
    elif planned.calls:
        wrote = f"{counted(done.sentences, 'sentence')}, {counted(done.boxes, 'box', 'boxes')}"
        say(f"{counted(done.calls, 'call')}: {wrote}.")
        for film_id, why in done.failed[:10]:
            say(f"film {film_id}: {why}", err=True)
    if done.failed:
        if not as_json:
            say(f"Without findings: {counted(len(done.failed), 'film')}. Run it again to try again.", err=True)
        sys.exit(1)


def _cost(planned: Plan, url: str) -> str:
    said = f"{counted(len(planned.calls), 'call')} to {url}"
    if planned.laterals:
        said += f", {planned.laterals:,} of them with the lateral of the study"
    said += f". Described before: {counted(planned.done, 'film')}."
    out = ", ".join(f"{count:,} {why}" for why, count in planned.left_out.items())
    return f"{said} Left out: {out}." if out else said


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
    """What report models wrote about films: sentences by meaning or words, with boxes; as JSON or DICOM SR."""
    found = _found(query, archive, model, words=words, k=k, every=as_json or sr is not None)
    if sr is not None:
        from filmroom.search.findings.dicom_sr import write_reports

        done = write_reports(found, sr)
        if as_json:
            print_json(asdict(done))
        else:
            say(f"{counted(done.files, 'document')} in {sr}. They name the patient as the films do.")
            for film_id, why in done.failed[:10]:
                say(f"film {film_id}: {why}", err=True)
        if done.failed and not done.files:
            sys.exit(1)
    elif as_json:
        print_json(_as_json(found))
    else:
        from filmroom.search.cli import output_models

        output_models.print_findings(found, archive_folder(archive), any_written=bool(found) or _any(archive))


def _found(query: str, archive: Path | None, model: str | None, *, words: bool, k: int, every: bool) -> list[Said]:
    from filmroom.search.findings import search

    if not query.strip():
        found = search.everything(open_archive(archive).catalog)
        return found if every else found[:k]
    if words:
        return search.by_words(open_archive(archive), query, k)
    from filmroom.search.searcher import Searcher

    return search.by_meaning(Searcher.open(archive_folder(archive), model), query, k)


def _any(archive: Path | None) -> bool:
    from filmroom.db.writes.findings import any_written

    return any_written(open_archive(archive).catalog)


def _as_json(found: list[Said]) -> list[dict[str, Any]]:
    return [one.to_json() for one in found]
