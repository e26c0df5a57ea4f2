"""The commands of models: list, add, use, remove; and vectors that were computed elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.search.cli.options import (
    ArchiveOption,
    JsonOption,
    WeightsOption,
    archive_folder,
    open_archive,
    print_json,
)
from filmroom.search.cli.printing import say

if TYPE_CHECKING:
    from filmroom.indexer.models.hub import Offer

models_app = typer.Typer(help="The models that can be searched with.", invoke_without_command=True)


def register(app: typer.Typer) -> None:
    app.add_typer(models_app, name="models")
    app.command("import-vectors")(import_vectors)


@models_app.callback()
def models(context: typer.Context, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """The models that can be searched with, and what this archive holds of them."""
    if context.invoked_subcommand is None:
        models_list(archive, as_json)


@models_app.command("list")
def models_list(archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """State, films embedded, films a second and nDCG@5 as measured here, size, licence."""
    from filmroom.search import status
    from filmroom.search.cli import output_models

    folder = archive_folder(archive)
    found = status.models(open_archive(archive) if (folder / "catalog.sqlite").is_file() else None)
    if as_json:
        print_json([asdict(one) for one in found])
    else:
        output_models.print_models(found)


@models_app.command("add")
def models_add(
    place: Annotated[str, typer.Argument(help="A folder, hf-hub:OWNER/NAME, or an architecture with --weights.")],
    name: Annotated[str | None, typer.Option(help="What to call it.")] = None,
    weights: WeightsOption = None,
    prompt: Annotated[str | None, typer.Option(help="Its prompt, with {} for the words.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model known; one from a hub is downloaded now."""
    from filmroom.indexer.models import registry

    def on_offer(offer: Offer) -> None:
        say(f"Downloading {offer.repository}: {offer.size_mb:,} MB, licence {offer.licence}.", err=True)

    card = registry.add_model(place, name=name, weights=weights, prompt=prompt, on_offer=on_offer)
    if as_json:
        print_json(asdict(card))
    else:
        say(f"{card.name} is ready. Embed an archive with it: filmroom index FOLDER --model {card.name}")


@models_app.command("use")
def models_use(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Let this model answer from now on where none is named, in the terminal and in the reading room."""
    from filmroom.search import status

    said = status.use_model(open_archive(archive), name)
    print_json({"model": name, "used": said}) if as_json else say(said)


@models_app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    archive: ArchiveOption = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Delete its vectors from the archive.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget an added model, or delete a model's vectors from the archive."""
    from filmroom.search import status

    said = status.remove_model(name, open_archive(archive) if vectors else None)
    print_json({"model": name, "removed": said}) if as_json else say(said)


def import_vectors(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="NPZ, Parquet or safetensors, with the films' names.")],
    model: Annotated[
        str | None, typer.Option(metavar="NAME", help="The model that made them; default: what the file says.")
    ] = None,
    films: Annotated[
        Path | None, typer.Option(metavar="TABLE", help="A table whose column film names the rows, in order.")
    ] = None,
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Keep embeddings that were computed elsewhere, of any model and shape, for films of the archive."""
    from filmroom.search.cli import output_models
    from filmroom.search.exchange.import_vectors import import_vectors as run

    done = run(open_archive(archive), file, model=model, table=films)
    if as_json:
        print_json(asdict(done))
    else:
        output_models.print_imported_vectors(done, archive_folder(archive))
