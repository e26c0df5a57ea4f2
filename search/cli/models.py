"""Define the commands of models: adapt, list, quantise, add, use, remove; and vectors that were computed elsewhere."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from filmroom.db.errors import BadInput
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
    app.command()(adapt)
    app.command("import-vectors")(import_vectors)


@models_app.callback()
def models(context: typer.Context, archive: ArchiveOption = None, as_json: JsonOption = False) -> None:
    """List the models that can be searched with, and what this archive holds of them."""
    if context.invoked_subcommand is None:
        models_list(archive, as_json=as_json)


def adapt(
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write the model.")],
    archive: ArchiveOption = None,
    base: Annotated[str, typer.Option(metavar="NAME", help="The model to begin with.")] = "filmroom-mini",
    weights: WeightsOption = None,
    only: Annotated[
        str, typer.Option(metavar="QUERY", help='Which films: fields, such as "view:PA year:2019..".')
    ] = "",
    epochs: Annotated[int, typer.Option(min=1, help="At most: by labels 8, by words until nDCG@5 rises no more.")] = 20,
    loss: Annotated[
        str | None, typer.Option(help="labels, siglip or clip; default: labels where they tell findings apart.")
    ] = None,
    held: Annotated[float, typer.Option(min=0, max=0.9, help="Share of the patients to validate on.")] = 0.15,
    train_text: Annotated[bool, typer.Option("--train-text", help="Train the text tower too.")] = False,
    seed: Annotated[int, typer.Option(help="Of the split, the order and the augmentation.")] = 0,
    device: Annotated[str | None, typer.Option(help="cpu or cuda; default: a GPU where there is one.")] = None,
    as_json: JsonOption = False,
) -> None:
    """Train a model on the films of an archive with their labels and reports. Run it again to go on after a kill."""
    from filmroom.indexer.models.open_clip.towers import usable_device
    from filmroom.indexer.models.registry import checkpoint, load_towers
    from filmroom.indexer.training.data.archive import training_films
    from filmroom.indexer.training.data.films import patients_apart
    from filmroom.indexer.training.run import adapt as run
    from filmroom.indexer.training.run import refuse_taken
    from filmroom.indexer.training.train import Loss, Options
    from filmroom.search.checks.subgroups.model_card import add_slices
    from filmroom.search.classification.zero_shot_archive import filter_of
    from filmroom.search.cli import output, output_models

    if loss is not None and loss not in tuple(Loss):
        raise BadInput("not a loss", where=loss, fix="Use labels, siglip or clip.")
    where = filter_of(only)
    refuse_taken(out)  # before anything is written there
    source = checkpoint(base, weights=weights)
    opened = open_archive(archive)
    options = Options(
        epochs=epochs,
        loss=Loss(loss) if loss else None,
        held=held,
        train_text=train_text,
        seed=seed,
        device=usable_device(device),
    )
    with output_models.adapt_progress(quiet=as_json) as (on_films, on_progress):
        films = training_films(opened, out / "work", where=where, progress=on_films)
        done = run(films, source, out, options=options, progress=on_progress)
    add_slices(out / "MODEL_CARD.md", opened, load_towers(str(out)), films, share=held, seed=seed)
    if as_json:
        print_json(output_models.adapted_json(done, out, len(films)))
    else:
        output_models.print_adapted(done, out, len(films))
        if any(not film.patient_known for film in films):
            output.print_command(f"Held out: {patients_apart(films)}. Say whose they are:", "facts FILE", opened.folder)


@models_app.command("list")
def models_list(
    archive: ArchiveOption = None,
    finding: Annotated[
        str | None, typer.Option(metavar="NAME", help="Show how well each model was measured to find this.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """State, films embedded, films a second and nDCG@5 as measured here, size, licence."""
    from filmroom.db.archive import is_there
    from filmroom.indexer.models.registry import added_path
    from filmroom.search import status
    from filmroom.search.cli import output_models

    folder = archive_folder(archive)
    statuses = status.models(open_archive(archive) if is_there(folder) else None, finding=finding)
    if as_json:
        print_json([asdict(model) for model in statuses])
    else:
        output_models.print_models(statuses, added=added_path())


@models_app.command("quantise")
def models_quantise(
    name: Annotated[str, typer.Argument(help="The model's name or folder: one of open_clip's kind.")],
    out: Annotated[Path, typer.Option(metavar="DIR", help="Where to write its 8-bit form.")],
    archive: ArchiveOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model's 8-bit form on the archive's films; keep it only where it answers alike and is faster."""
    from filmroom.search.classification.quantised import quantise_model
    from filmroom.search.cli import output_models

    with output_models.stages(quiet=as_json) as progress:
        done = quantise_model(open_archive(archive), name, out, progress=progress)
    if as_json:
        print_json(done.to_json())
    else:
        output_models.print_quantised(done, out)
    if done.chosen is None:
        raise typer.Exit(1)


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

    message = status.use_model(open_archive(archive), name)
    print_json({"model": name, "used": message}) if as_json else say(message)


@models_app.command("remove")
def models_remove(
    name: Annotated[str, typer.Argument(help="The model's name.")],
    archive: ArchiveOption = None,
    vectors: Annotated[bool, typer.Option("--vectors", help="Delete its vectors from the archive.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Forget an added model, or delete a model's vectors from the archive."""
    from filmroom.search import status

    message = status.remove_model(name, open_archive(archive) if vectors else None)
    print_json({"model": name, "removed": message}) if as_json else say(message)


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
