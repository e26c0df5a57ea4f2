"""Open the terminal door: hand on what was typed, print what comes back. Heavy imports wait for their command."""

from __future__ import annotations

import os
import signal
import sys

_name = os.path.splitext(os.path.basename(sys.argv[0]))[0]
if _name == "filmroom" and signal.getsignal(signal.SIGINT) is signal.default_int_handler:
    # Until a command is under way there is nothing to clean up, and libraries are half imported: Ctrl-C just ends it.
    signal.signal(signal.SIGINT, signal.SIG_DFL)

import errno
import gc
from copy import copy
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, NoReturn

import typer
from filmroom.db.errors import BadInput, FilmroomError
from filmroom.indexer import interrupts
from filmroom.search.cli import evaluation, exporting, findings, importing, maintenance, models
from filmroom.search.cli.checks import commands as check_commands
from filmroom.search.cli.live import receiving, watching
from filmroom.search.cli.options import (
    ArchiveOption,
    BodyOption,
    CredentialsOption,
    HybridOption,
    IndexCommand,
    JsonOption,
    JudgedOption,
    LeastOption,
    LikeOption,
    LimitOption,
    ModalityOption,
    ModelOption,
    OrderOption,
    QueryCommand,
    RateOption,
    RayOption,
    SinceOption,
    StudiesOption,
    StudyOption,
    UnlikeOption,
    WeightsOption,
    archive_folder,
    examples,
    in_a_folder,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import discard_output, json_line, open_missing_streams, say

app = typer.Typer(
    name="filmroom",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _print_version(version_asked_for: bool) -> None:
    if version_asked_for:
        from importlib.metadata import version

        say(f"filmroom {version('filmroom')}")
        raise typer.Exit


@app.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="Print the version and stop.")
    ] = False,
) -> None:
    """Search X-ray archives by meaning: type a finding, browse the films that match. Research use only, not for
    diagnosis."""


def main() -> None:
    """Run the command that was typed; ends the process at once where it was interrupted."""
    with interrupts.leaving():
        run()


def run() -> None:
    """Run a command; a fault is one line on stderr and exit code 1, an interrupt is 130."""
    gc.set_threshold(50_000)  # imports make many objects and drop few: to look among them took a tenth of a start
    open_missing_streams()
    for stream in (sys.stdout, sys.stderr):
        # A file name may hold bytes that are no UTF-8, and a pipe may be ASCII: print what can be printed.
        stream.reconfigure(errors="backslashreplace")  # type: ignore[union-attr]
    # A run of `index` hears Ctrl-C for itself, and before it there is nothing to clean up.
    interrupts.listen(raising=sys.argv[1:2] != ["index"])
    try:
        try:
            _with(sys.argv[1:2])()
        finally:
            sys.stdout.flush()  # here a reader that has left, or a full disk, can still be told from a fault
    except FilmroomError as error:
        _fail(" ".join(str(error).split()))
    except KeyboardInterrupt:
        sys.exit(interrupts.STOPPED)
    except BrokenPipeError:
        # Whoever read our output has gone (`filmroom search ... | head`): not a fault.
        discard_output()
        sys.exit(0)
    except Exception as error:
        if os.environ.get("FILMROOM_DEBUG"):
            raise
        if isinstance(error, OSError) and error.errno == errno.ENOSPC:
            _fail("the disk is full. Make room and run the command again; what was committed is kept.")
        _fail(f"unexpected fault ({type(error).__name__}). Set FILMROOM_DEBUG=1 to see where, and please report it.")


def _with(command_path: list[str]) -> typer.Typer:
    """Return the program with the one command that was named: typer reads the signature of every command it has before
    it runs one, which took longer than `status` itself."""
    only = copy(app)
    only.registered_commands = [
        command
        for command in app.registered_commands
        if command.callback is not None and [command.name or command.callback.__name__] == command_path
    ]
    only.registered_groups = [group for group in app.registered_groups if [group.name] == command_path]
    return only if only.registered_commands or only.registered_groups else app


@app.command(cls=IndexCommand)
def index(
    sources: Annotated[
        list[str],
        typer.Argument(metavar="PATH|URL...", help="Folders, files, DICOMweb servers, buckets.", show_default=False),
    ],
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding processes; default: one a CPU.")] = None,
    retry: Annotated[bool, typer.Option("--retry", help="Try again what was rejected before.")] = False,
    any_modality: Annotated[bool, typer.Option("--any-modality", help="Also CT, MR, colour captures.")] = False,
    hash_uids: Annotated[bool, typer.Option("--hash-uids", help="Keep keyed hashes of the UIDs.")] = False,
    bring_back: Annotated[bool, typer.Option("--bring-back", help="Also what was forgotten on request.")] = False,
    keep_apart: Annotated[
        bool, typer.Option("--keep-apart", help="Also pictures that bear the instance UID of another.")
    ] = False,
    max_megapixels: Annotated[
        float, typer.Option(min=0.01, max=1e5, help="Pixels of a file, all frames, in millions.")
    ] = 100,
    max_megabytes: Annotated[float, typer.Option(min=0.01, max=1e6, help="Size of a file.")] = 512,
    max_seconds: Annotated[float, typer.Option(min=0.1, help="Time to decode a file.")] = 5,
    max_memory: Annotated[float, typer.Option(min=64, max=1e6, help="Memory of a decoder, in megabytes.")] = 2048,
    ray: RayOption = None,
    modality: ModalityOption = None,
    body: BodyOption = None,
    since: SinceOption = None,
    study: StudyOption = None,
    limit: LimitOption = None,
    requests_per_second: RateOption = None,
    credentials: CredentialsOption = None,
    as_json: JsonOption = False,
) -> None:
    """Index folders, files, DICOMweb servers or buckets: new films are embedded, known ones left alone."""
    from filmroom.indexer.decoding.limits import Limits
    from filmroom.indexer.models.registry import DEFAULT_MODEL, add_model, load_towers
    from filmroom.indexer.pipeline import Options, check
    from filmroom.indexer.pipeline import index as run
    from filmroom.search.cli import output
    from filmroom.search.sources.read_sources import read_sources

    limits = Limits(
        max_pixels=int(max_megapixels * 1e6),
        max_bytes=int(max_megabytes * 2**20),
        seconds=max_seconds,
        memory_bytes=int(max_memory * 2**20),
    )
    options = Options(
        limits,
        workers,
        retry=retry,
        any_modality=any_modality,
        hash_uids=hash_uids,
        bring_back=bring_back,
        keep_apart=keep_apart,
        ray=ray,
    )
    films_to_index = read_sources(
        sources, modality, body, since, study, limit, requests_per_second=requests_per_second, credentials=credentials
    )
    check(films_to_index, options)  # before the archive is made, and before a model is loaded for nothing
    towers = load_towers(model or DEFAULT_MODEL, weights=weights)
    if model and Path(model).is_dir():
        # Later searches name no folder: the archive must find its model again.
        add_model(model)
    opened = open_archive(archive, create=True)
    with output.index_progress(quiet=as_json) as on_progress:
        done = run(opened, films_to_index, towers, options=options, on_progress=on_progress)
    del towers  # with its threads, which must be gone before the interpreter is
    if as_json:
        print_json(asdict(done.counts) | {"same_uid": len(done.same_uid), "seconds": round(done.seconds, 3)})
    else:
        output.print_summary(done, opened.folder)
    if done.stopped:
        opened.catalog.close()
        sys.exit(interrupts.STOPPED)
    if done.fruitless:
        raise output.refusal(done, opened.folder)


@app.command(cls=QueryCommand)
def search(
    query: Annotated[str, typer.Argument(help='Words, fields and "exact report words".')] = "",
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    k: Annotated[int, typer.Option("--k", "-k", min=1, max=10_000, help="Films to print.")] = 10,
    offset: Annotated[int, typer.Option(min=0, help="Films to pass over.")] = 0,
    like: LikeOption = None,
    unlike: UnlikeOption = None,
    per_study: StudiesOption = False,
    hybrid: HybridOption = False,
    judged: JudgedOption = False,
    order: OrderOption = "match",
    least: LeastOption = None,
    as_json: JsonOption = False,
) -> None:
    """Find films: words, fields such as view:AP, -term, "report words"."""
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # for one query: to start its threads takes longer than it all
    from filmroom.search.cli import output
    from filmroom.search.request import request_of
    from filmroom.search.searcher import Searcher

    if not query.strip() and not like and not unlike:
        raise BadInput("there is nothing to search for", fix='Try: filmroom search "pleural effusion view:AP"')
    searcher = Searcher.open(archive_folder(archive), model, weights=weights)
    request = request_of(
        query,
        like=examples(like),
        unlike=unlike or [],
        upload=searcher.upload,
        per_study=per_study,
        hybrid=hybrid,
        judged=judged,
        order=order,
        least=least,
        k=k,
        offset=offset,
    )
    results = searcher.answer(request)
    if as_json:
        print_json(results.to_json())
    else:
        output.print_results(results, searcher.archive.folder)


@app.command()
def status(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """Show what is in the archive, and what the last runs did."""
    from filmroom.search import status as overview
    from filmroom.search.cli import output

    archive_status = overview.status(archive_folder(archive))
    if as_json:
        print_json(asdict(archive_status))
    else:
        output.print_status(archive_status)


@app.command()
def rejected(
    archive: ArchiveOption = None,
    csv: Annotated[Path | None, typer.Option(metavar="FILE", callback=in_a_folder, help="Write them as CSV.")] = None,
    as_json: JsonOption = False,
) -> None:
    """List the files that could not be indexed: where, why, and what to do."""
    from filmroom.search import status as overview
    from filmroom.search.cli import output
    from filmroom.search.exchange import tables

    opened = open_archive(archive)
    files = overview.rejected_files(opened.catalog)
    if csv is not None:
        tables.write_aside(csv, tables.rejected_csv(files))
    elif as_json:
        print_json([asdict(file) for file in files])
    else:
        output.print_rejected(files, opened.folder)


@app.command()
def doctor(
    archive: ArchiveOption = None,
    repair: Annotated[bool, typer.Option("--repair", help="Mend by the side whose checksum is right.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Compare catalog, vectors and index; exit code 1 where they disagree."""
    from filmroom.db import doctor as examiner
    from filmroom.search.cli import output

    opened = open_archive(archive)
    examination = examiner.repair(opened) if repair else examiner.examine(opened)
    if as_json:
        print_json(asdict(examination) | {"healthy": examination.healthy})
    else:
        output.print_examination(examination)
    if not examination.healthy:
        sys.exit(1)


@app.command()
def demo(
    folder: Annotated[Path, typer.Argument(help="Where to write the films.")],
    films: Annotated[int, typer.Option(min=120, max=5000, help="How many films.")] = 160,
    seed: Annotated[int, typer.Option(help="Another seed, other films.")] = 7,
    as_json: JsonOption = False,
) -> None:
    """Write a synthetic archive: chest phantoms as DICOM, with labels, reports, queries and judgements."""
    from filmroom.indexer.phantom.demo_archive import write_demo
    from filmroom.search.cli import output

    with output.demo_progress(films, quiet=as_json) as on_progress:
        done = write_demo(folder, films=films, seed=seed, progress=on_progress)
    if as_json:
        print_json(asdict(done))
    else:
        output.print_demo(folder, done)


@app.command()
def serve(
    archive: ArchiveOption = None,
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port to listen on.")] = 8501,
    no_token: Annotated[bool, typer.Option("--no-token", help="Let in whoever reaches the page.")] = False,
    viewer: Annotated[
        str, typer.Option(metavar="URL", help="Your DICOM viewer, with {study_uid} where the study's UID goes.")
    ] = "",
    public: Annotated[
        str, typer.Option(metavar="URL", help="Where browsers reach it, by a proxy on this machine: https://HOST")
    ] = "",
    as_json: Annotated[bool, typer.Option("--json", help="Log requests and faults, as lines of JSON.")] = False,
) -> None:
    """Open the reading room: pages in the browser, on this machine unless told otherwise.

    The address that is printed holds a token, new each time, without which nobody is let in; the browser keeps it in a
    cookie. Where people sign in (OpenID Connect), there is none.
    """
    from filmroom.db.archive import is_there
    from filmroom.search.ui.server.launch import check_free, command
    from filmroom.search.ui.server.loopback import is_loopback

    folder = archive_folder(archive)
    check_free(host, port)
    program = command(folder, host, port, token=not no_token, viewer=viewer, public=public, log=as_json)

    def note(text: str) -> None:
        say(json_line({"level": "warning", "event": "note", "message": text}) if as_json else f"Note: {text}", err=True)

    if no_token:
        reached = "from this machine" if is_loopback(host) and not public else "from any machine"
        note(f"without a token. Whoever reaches the page {reached} sees every film.")
    elif not is_loopback(host):
        note(f"{host} can be reached by other machines. Whoever has the address sees every film.")
    if not is_there(folder):
        note(f"there is no archive at {folder} yet; the page says how to make one.")
    if os.name == "posix":
        # The server takes the place of this process: what stops one stops the other.
        os.execv(program[0], program)  # noqa: S606
    import subprocess

    sys.exit(subprocess.call(program))  # noqa: S603


def _fail(message: str) -> NoReturn:
    try:
        sys.stdout.flush()
    except OSError:
        discard_output()  # at the end of the process it would fail again, in words of Python's
    say(f"filmroom: {message}", err=True)
    sys.exit(1)


watching.register(app)
receiving.register(app)
importing.register(app)
findings.register(app)
models.register(app)
maintenance.register(app)
exporting.register(app)
evaluation.register(app)
check_commands.register(app)

if __name__ == "__main__":
    main()
