"""Define the command that watches folders."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from filmroom.search.cli.live import loop
from filmroom.search.cli.options import ArchiveOption, JsonOption, ModelOption, WeightsOption, open_archive


def register(app: typer.Typer) -> None:
    app.command()(watch)


def watch(
    folders: Annotated[list[Path], typer.Argument(metavar="FOLDER...", help="Folders of films.", show_default=False)],
    archive: ArchiveOption = None,
    model: ModelOption = None,
    weights: WeightsOption = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Decoding processes; default: one a CPU.")] = None,
    any_modality: Annotated[bool, typer.Option("--any-modality", help="Also CT, MR, colour captures.")] = False,
    poll: Annotated[
        bool, typer.Option("--poll", help="Look through the folders; network drives are looked through anyway.")
    ] = False,
    as_json: JsonOption = False,
) -> None:
    """Index folders and go on as their films change, until Ctrl-C. Files that are still being written wait."""
    from filmroom.db.files.standing import WATCHING
    from filmroom.indexer.live.watch import check_folders
    from filmroom.indexer.live.watch import watch as run

    checked = check_folders(folders)
    opened = open_archive(archive, create=True)
    listener = loop.lines(as_json=as_json)
    rounds = loop.rounds_of(opened, listener, model=model, weights=weights, workers=workers, any_modality=any_modality)
    places = ", ".join(map(str, checked))
    with loop.until_stopped(opened, WATCHING, places):
        listener.note(f"Watching {places}. Stop with Ctrl-C.")
        run(rounds, checked, listener, poll=poll)
