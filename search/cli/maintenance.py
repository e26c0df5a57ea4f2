"""Define the commands that care for an archive: copies, duplicates, films that must go, and who may ask it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.db.errors import BadInput
from filmroom.search.cli.counting import counted
from filmroom.search.cli.options import ArchiveOption, JsonOption, open_archive, print_json, typed
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.db.erasure.forget import Forgotten
    from filmroom.indexer.live.spool import Dropped

token_app = typer.Typer(help="Tokens for the REST interface: one for each person or program.", no_args_is_help=True)


def register(app: typer.Typer) -> None:
    for command in (backup, restore, copy, forget, duplicates):
        app.command()(command)
    app.add_typer(token_app, name="token")


def backup(
    target: Annotated[
        Path,
        typer.Argument(
            metavar="FILE|DIR",
            help="A file to write, or a folder, empty or with a backup that is brought up to date. It holds the "
            "archive's key.",
        ),
    ],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Copy the archive into one file, as of one instant, while it is in use. The films' own files are not in it.

    Into a folder that holds a backup only what is new is written, and what was forgotten since is overwritten there.
    """
    from filmroom.db.backup import backup as write

    done = write(open_archive(archive), target)
    if as_json:
        print_json(asdict(done))
    else:
        new = "" if done.new_megabytes is None else f" of which {done.new_megabytes:,.1f} were new"
        size = f"{done.megabytes:,.1f} MB{new}"
        say(f"{counted(done.films, 'film')} in {target}, {size}. Keep it as you keep the archive.")


def restore(
    file: Annotated[Path, typer.Argument(metavar="FILE|DIR", help="A file or folder that `filmroom backup` wrote.")],
    folder: Annotated[Path, typer.Argument(metavar="DIR", help="A new or empty folder.")],
    as_json: JsonOption = False,
) -> None:
    """Make an archive of a backup, in a folder that is new or empty."""
    from filmroom.db.backup import restore as read

    done = read(file, folder)
    if as_json:
        print_json(asdict(done))
    else:
        say(f"{counted(done.films, 'film')} restored. Search them: {typed('search WORDS', folder)}")


def copy(
    source: Annotated[str, typer.Argument(metavar="ARCHIVE", help="A folder, or postgresql://HOST/DATABASE.")],
    target: Annotated[str, typer.Argument(metavar="NEW", help="A new folder, or a database without an archive.")],
    as_json: JsonOption = False,
) -> None:
    """Copy an archive to a PostgreSQL server, or from there to a folder: all of it, compared row by row, or nothing.

    The key of its patients goes from this machine's folder to this machine's folder, and never to the server. The
    films' own files stay where they are.
    """
    from filmroom.db.archive import Archive, folder_of, place_of
    from filmroom.db.postgresql.copying import copy as copied

    old, new = folder_of(source), folder_of(target)
    done = copied(Archive.open(old), Archive.create(new))
    if as_json:
        print_json(asdict(done))
    else:
        say(f"{counted(done.films, 'film')} in {done.rows:,} rows copied and compared: all are the same.")
        say(f"Search them: {typed('search WORDS', new)}. The key of the patients is {new / 'patient.key'}")
        say(f"What is indexed into {place_of(old)} from now on is not in the copy.")


def forget(
    films: Annotated[
        list[int] | None, typer.Argument(metavar="ID...", help="Ids of films.", show_default=False)
    ] = None,
    archive: ArchiveOption = None,
    patient: Annotated[str | None, typer.Option(metavar="KEY", help="All films of this patient key.")] = None,
    not_remembered: Annotated[
        bool, typer.Option("--not-remembered", help="Keep no mark: the next index run takes them again.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Delete films from the archive for good, with all that is known of them, and overwrite where they stood.

    The films' own files are left alone, but for those that `filmroom receive` has kept: they go with the last film of
    theirs. So that the next index run does not bring the films back, keyed hashes of their identities are kept;
    `filmroom index --bring-back` takes them again. Without films: overwrite and delete what earlier deletions left.
    """
    from filmroom.db.archive import place_of
    from filmroom.db.erasure import forget as forgetting
    from filmroom.db.reads.films import films as films_of
    from filmroom.indexer.live import spool
    from filmroom.indexer.sources import film_cache

    opened = open_archive(archive)
    ids = list(dict.fromkeys([*(films or []), *(forgetting.of_patient(opened, patient) if patient else [])]))
    if ids and not yes:
        if as_json:
            raise BadInput("nobody can be asked", where="--json", fix="Add --yes.")
        typer.confirm(f"Delete {counted(len(ids), 'film')} from {place_of(opened.folder)} for good?", abort=True)
    known, copies = films_of(opened.catalog, ids), spool.holding(opened, ids)
    film_cache.drop(known)  # whatever ends this process, and once more below: they may be looked at until then
    try:
        done = forgetting.forget(opened, ids, patients=[patient] if patient else [], remember=not not_remembered)
    finally:
        # The rows may be gone though their place could not be overwritten.
        film_cache.drop(known)
        received = spool.drop(opened, copies)
        if not ids:
            spool.drop_left(opened)
    if received.stay:
        say(_what_stays(received.stay, received.films), err=True)
    if as_json:
        print_json(asdict(done))
    else:
        _print_forgotten(done, received, on_server=not opened.catalog.is_file)


def _print_forgotten(done: Forgotten, received: Dropped, *, on_server: bool) -> None:
    if not done.films:
        say("No film was named. What earlier deletions left is overwritten.")
        return
    say(f"{counted(done.films, 'film')} and {counted(done.reports, 'report')} are forgotten.")
    files = "Their own files are where they were."
    if received.files:
        files = "The files that were received are deleted, others are where they were."
    next_run = "The next index run takes them again."
    if done.remembered:
        next_run = "An index run turns them away, unless it is given --bring-back."
    say(f"{files} {next_run}")
    say("Backups, exports and models trained before still hold what they held.")
    if on_server:
        say("So do the server's files and its log until they are written over, and the indexes of other machines until")
        say("they open the archive again. To write its files anew, which locks the archive: filmroom forget")


def _what_stays(files: int, films: Sequence[int]) -> str:
    ids = " ".join(map(str, films[:8])) + (" ..." if len(films) > 8 else "")
    return (
        f"{counted(files, 'received file')} kept: other frames in it are films of the archive. "
        f"To delete it, forget those too: filmroom forget {ids}"
    )


def duplicates(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """List files that are not indexed because the same film is: the same bytes, or the same UID with another
    picture."""
    from filmroom.search.cli import output
    from filmroom.search.status import duplicate_files

    duplicates = duplicate_files(open_archive(archive).catalog)
    if as_json:
        print_json([asdict(duplicate) for duplicate in duplicates])
    else:
        output.print_duplicates(duplicates)


@token_app.command("add")
def token_add(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    archive: ArchiveOption = None,
    scope: Annotated[str, typer.Option(help="read, or write: to change the archive, too.")] = "read",
    as_json: JsonOption = False,
) -> None:
    """Make a token and print it. It is not kept and cannot be shown again."""
    from filmroom.db.writes import tokens

    if scope not in tuple(tokens.Scope):
        raise BadInput("not a scope", where=scope, fix="Use read or write.")
    token = tokens.add(open_archive(archive).catalog, name, tokens.Scope(scope))
    if as_json:
        print_json({"name": name, "scope": scope, "token": token})
    else:
        say(token)
        say(f"Keep it now: it is shown once. Send it as: Authorization: Bearer {token[:12]}...", err=True)


@token_app.command("list")
def token_list(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """List who has a token, and what it allows."""
    from filmroom.db.writes import tokens

    holders = tokens.listed(open_archive(archive).catalog)
    if as_json:
        print_json([asdict(holder) for holder in holders])
        return
    for holder in holders:
        day = time.strftime("%Y-%m-%d", time.localtime(holder.created_at))
        say(f"{holder.name}: {holder.scope}, made {day}{', revoked' if holder.revoked_at else ''}")
    if not holders:
        say("There is no token.")


@token_app.command("revoke")
def token_revoke(
    name: Annotated[str, typer.Argument(help="Whose it is.")],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """End a token at once."""
    from filmroom.db.writes import tokens

    tokens.revoke(open_archive(archive).catalog, name)
    print_json({"name": name, "revoked": True}) if as_json else say(f"{name} is revoked.")
