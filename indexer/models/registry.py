"""List the models by name: what ships, what is known, what the user added; and load any of them."""

from __future__ import annotations

import contextlib
import json
import os
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, replace
from difflib import get_close_matches
from enum import StrEnum
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs
from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput, FilmroomError, ModelUnavailable, NotFound
from filmroom.db.records import Space, Tags
from filmroom.indexer.decoding.radiograph import Radiograph
from filmroom.indexer.models import hub
from filmroom.indexer.models.base import Towers
from filmroom.indexer.models.detect import PACKAGES, Kind, kind_of
from filmroom.indexer.models.exported import onnx_export
from filmroom.indexer.models.exported.onnx import OnnxTowers
from filmroom.indexer.models.model_folder import FACTS, IMAGE_GRAPH, read_facts
from filmroom.indexer.models.open_clip import source as clip_source
from filmroom.indexer.models.precomputed import ImportedTowers, is_imported

DEFAULT_MODEL = "filmroom-mini"
_HUB = "hf-hub:"


class Origin(StrEnum):
    """Who brought a model."""

    BUNDLED = "bundled"
    KNOWN = "known"
    ADDED = "added"


@dataclass(frozen=True)
class ModelCard:
    """What is known of a model before it is loaded.

    `load` is assets:FOLDER, hf-hub:REPOSITORY, a folder, or with `weights` an architecture of open_clip.
    `ready` is whether its files are on this disk.
    """

    name: str
    load: str
    origin: Origin
    ready: bool
    licence: str = "unknown"
    prompt: str = "{}"
    size_mb: int | None = None
    notes: str = ""
    weights: str | None = None


def load_towers(name: str = DEFAULT_MODEL, *, weights: Path | None = None, device: str | None = None) -> Towers:
    """Return the towers of a model: its name, a folder, hf-hub:REPOSITORY, or an architecture with `weights`.

    Reads descriptions only; a tower loads when it is first used. Downloads nothing (`add_model` does).
    `device` is "cpu" or "cuda"; None takes a GPU where one works. Raises NotFound, ModelUnavailable.
    """
    if weights is not None:
        if name not in clip_source.architectures():
            raise NotFound("this is no architecture of open_clip", where=name, fix=_near(name))
        return onnx_export.towers(clip_source.from_architecture(name, weights), device=device)
    return _load(describe(name), device)


def load_space(space: Space, *, device: str | None = None) -> Towers:
    """Return the towers of the space that an archive was embedded in, by its name or from an earlier export.

    Raises ModelUnavailable where neither is there, or where the model of this name has changed since.
    """
    if is_imported(space):
        return ImportedTowers(space, lambda: load_towers(space.model, device=device))
    known = _known()
    if space.model in known:
        towers = load_towers(space.model, device=device)
        if towers.space.fingerprint == space.fingerprint:
            return towers
    earlier = onnx_export.find(space.fingerprint, device=device)
    if earlier is not None:
        return earlier
    if space.model in known:
        raise ModelUnavailable(
            "the films are embedded with earlier weights of this model",
            where=space.model,
            fix=f"Run `filmroom index FOLDER --model {space.model}` on the same folders: nothing else is lost.",
        )
    raise ModelUnavailable(
        "the archive was embedded with a model that is not known here",
        where=space.model,
        fix="Make it known: filmroom models add FOLDER; or index the archive again with another model.",
    )


def model_folder(name: str) -> Path | None:
    """Return the folder of a known model on this disk; None where it has none or is not known."""
    card = _known().get(name)
    folder = None if card is None else _folder(card)
    return folder if folder is not None and folder.is_dir() else None


def is_loadable(space: Space) -> bool:
    """Tell whether the towers of a space can be loaded here: its files and the package that runs them are there, and
    for imported vectors a model of their name and size. Reads descriptions and checksums, no weights."""
    if space.model in (known := _known()):
        folder = _folder(known[space.model])
        kind = kind_of(folder) if folder is not None and folder.is_dir() else Kind.OPEN_CLIP
        if kind in PACKAGES and find_spec(PACKAGES[kind]) is None:
            return False
    try:
        towers = load_space(space)
        return not isinstance(towers, ImportedTowers) or towers.fits()
    except FilmroomError:
        return False


def checkpoint(name: str, *, weights: Path | None = None) -> clip_source.ClipSource:
    """Return the open_clip checkpoint of a model, to train from. Raises NotFound, ModelUnavailable."""
    if weights is not None:
        if name not in clip_source.architectures():
            raise NotFound("this is no architecture of open_clip", where=name, fix=_near(name))
        return clip_source.from_architecture(name, weights)
    card = describe(name)
    folder = _folder(card)
    if folder is not None and folder.is_dir() and (kind := kind_of(folder)) is not Kind.OPEN_CLIP:
        raise BadInput(f"this model is of another kind ({kind})", where=name, fix="Train from one of open_clip.")
    return _here(card)


def list_models() -> list[ModelCard]:
    """Return every model known by name: bundled, known, then added."""
    return [_ready(card) for card in _known().values()]


def describe(name: str) -> ModelCard:
    """Return the card of a model by its name, its folder or hf-hub:REPOSITORY. Raises NotFound with the nearest
    names."""
    if name in (known := _known()):
        return _ready(known[name])
    if name.startswith(_HUB):
        return _ready(_card(name.removeprefix(_HUB), {"load": name}, Origin.ADDED))
    folder = Path(name.removeprefix("local-dir:")).expanduser()
    if folder.is_dir():
        return _folder_card(folder)
    if name in clip_source.architectures():
        raise ModelUnavailable(
            "an architecture has no weights of its own",
            where=name,
            fix="Give its checkpoint with --weights FILE, or a model's name (filmroom models list).",
        )
    raise NotFound("no model has this name, and no folder either", where=name, fix=_near(name))


def add_model(
    place: str,
    *,
    name: str | None = None,
    weights: Path | None = None,
    prompt: str | None = None,
    on_offer: Callable[[hub.Offer], None] = lambda offer: None,
) -> ModelCard:
    """Register a folder, hf-hub:REPOSITORY (downloaded now), a known name (likewise) or an architecture with weights.

    `name` is what it will be called; by default its own. A folder may take the name of a model that is known and not
    on this disk: it is that model, fetched by other means. A folder or checkpoint of open_clip's kind is loaded and
    exported now; one of another kind embeds a film and a text. `on_offer` hears of a download before it begins.
    Raises BadInput where the name is taken, ModelUnavailable where the model cannot be used.
    """
    if weights is not None:
        if place not in clip_source.architectures():
            raise NotFound("this is no architecture of open_clip", where=place, fix=_near(place))
        source = clip_source.from_architecture(place, weights)
        card = ModelCard(source.name, place, Origin.ADDED, True, weights=str(source.weights))
    else:
        card = describe(place)
        if card.load.startswith(_HUB):
            hub.fetch(card.load.removeprefix(_HUB), on_offer=on_offer)
        card = replace(card, ready=True)
        if card.origin is not Origin.ADDED:
            _try(card)
            return card
    card = replace(card, name=name or card.name, prompt=prompt or card.prompt)
    if "{}" not in card.prompt:
        raise BadInput("a prompt needs {} where the text goes", where=card.prompt)
    known = _known().get(card.name)
    if known is not None and known.origin is Origin.KNOWN and not _ready(known).ready:
        card = replace(card, licence=known.licence, notes=known.notes)
    elif known is not None and (known.origin is not Origin.ADDED or known.load != card.load):
        fix = "Add it under another name: filmroom models add FOLDER --name NAME"
        raise BadInput("this name is taken by another model", where=card.name, fix=fix)
    _try(card)
    entry = {"load": card.load, "licence": card.licence, "prompt": card.prompt, "notes": card.notes}
    _write_added({**_added(), card.name: entry | ({"weights": card.weights} if card.weights else {})})
    return card


def remove_model(name: str) -> ModelCard:
    """Forget an added model and drop what was exported of it; its own files stay. Raises NotFound, BadInput."""
    card = describe(name)
    added = _added()
    if card.name not in added:
        raise BadInput(f"this model is {card.origin}, not added", where=name, fix="Only added models are removed.")
    _write_added({other: entry for other, entry in added.items() if other != card.name})
    with contextlib.suppress(ModelUnavailable):  # its files are gone, or it never needed an export
        folder = _folder(card)
        if folder is None or kind_of(folder) is Kind.OPEN_CLIP:
            source = _source(card)
            if source is not None:
                onnx_export.forget(source)
    return card


def _load(card: ModelCard, device: str | None) -> Towers:
    folder = _folder(card)
    kind = kind_of(folder) if folder is not None and folder.is_dir() else Kind.OPEN_CLIP
    if folder is not None and kind is not Kind.OPEN_CLIP:
        return _adapter(card, folder, kind, device)
    if folder is not None and (folder / FACTS).is_file() and (folder / IMAGE_GRAPH).is_file():
        facts = read_facts(folder)
        if card.origin is Origin.ADDED:
            facts = replace(facts, name=card.name, prompt=card.prompt)
        return OnnxTowers(folder, device=device, facts=facts)
    return onnx_export.towers(_here(card), device=device)


def _adapter(card: ModelCard, folder: Path, kind: Kind, device: str | None) -> Towers:
    if kind is Kind.ELIXR:
        from filmroom.indexer.models.tensorflow.elixr import ElixrTowers

        return ElixrTowers(folder, name=card.name, prompt=card.prompt)
    if kind is Kind.TRANSFORMERS:
        from filmroom.indexer.models.transformers import HfTowers

        return HfTowers(folder, name=card.name, prompt=card.prompt, device=device)
    from filmroom.indexer.models.tensorflow.remedis import SavedModelTowers

    return SavedModelTowers(folder, name=card.name)


def _try(card: ModelCard) -> None:
    """Load a model of one's own now, and put one film and one text through one that is not open_clip's. What a hub
    has was compared with its checksums."""
    folder = _folder(card)
    is_clip = folder is None or kind_of(folder) is Kind.OPEN_CLIP
    if is_clip and card.load.startswith(_HUB):
        return
    towers = _load(card, None)
    if is_clip:
        return
    space = towers.space
    ramp = np.broadcast_to(np.linspace(0, 1, 64, dtype=np.float32), (80, 64))
    outputs = [towers.embed_images([Radiograph(ramp, Tags())])[0]]
    if space.has_text:
        outputs.append(towers.embed_texts(["pleural effusion"]))
    if outputs[0].shape != (space.vectors, space.dim) or not all(np.isfinite(rows).all() for rows in outputs):
        raise ModelUnavailable(
            f"it gives {outputs[0].shape} where {(space.vectors, space.dim)} finite numbers were expected", where=folder
        )


def _here(card: ModelCard) -> clip_source.ClipSource:
    source = _source(card)
    if source is None:
        size = f" ({card.size_mb} MB, licence {card.licence})" if card.size_mb else ""
        raise ModelUnavailable(
            f"this model is not on this disk{size}",
            where=card.name,
            fix=f"Download it: filmroom models add {card.name if card.origin is Origin.KNOWN else card.load}",
        )
    return source


def _source(card: ModelCard) -> clip_source.ClipSource | None:
    """Say where open_clip finds the model; None where it must be downloaded first."""
    facts: dict[str, Any] = {"name": card.name, "prompt": card.prompt, "licence": card.licence}
    if card.weights is not None:
        return clip_source.from_architecture(card.load, Path(card.weights), **facts)
    folder = _folder(card)
    return clip_source.from_folder(folder, **facts) if folder else None


def _folder(card: ModelCard) -> Path | None:
    """Return the model's folder on this disk; None where it has none or is not downloaded."""
    if card.weights is not None:
        return None
    if card.load.startswith("assets:"):
        return ASSETS / card.load.removeprefix("assets:")
    if card.load.startswith(_HUB):
        return hub.hub_snapshot(card.load.removeprefix(_HUB))
    return Path(card.load)


def _folder_card(folder: Path) -> ModelCard:
    folder = folder.resolve()
    if (folder / FACTS).is_file():
        facts = read_facts(folder)
        entry = {"licence": facts.licence, "prompt": facts.prompt, "notes": facts.notes}
        return _ready(_card(facts.name, {"load": str(folder), **entry}, Origin.ADDED))
    kind_of(folder)
    return _ready(_card(folder.name, {"load": str(folder)}, Origin.ADDED))


def _known() -> dict[str, ModelCard]:
    with (ASSETS / "models.toml").open("rb") as file:
        shipped = tomllib.load(file)
    cards = [
        _card(name, entry, Origin.BUNDLED if entry["load"].startswith("assets:") else Origin.KNOWN)
        for name, entry in shipped.items()
    ]
    cards += [_card(name, entry, Origin.ADDED) for name, entry in _added().items()]
    return {card.name: card for card in cards}


def _card(name: str, entry: dict[str, Any], origin: Origin) -> ModelCard:
    return ModelCard(
        name=name,
        load=str(entry["load"]),
        origin=origin,
        ready=False,
        licence=str(entry.get("licence", "unknown")),
        prompt=str(entry.get("prompt", "{}")),
        size_mb=entry.get("size_mb"),
        notes=str(entry.get("notes", "")),
        weights=entry.get("weights"),
    )


def _ready(card: ModelCard) -> ModelCard:
    place = Path(card.weights) if card.weights else _folder(card)
    if place is None or not place.exists():
        return replace(card, ready=False)
    return replace(card, ready=True, size_mb=card.size_mb or _megabytes(place))


def _megabytes(place: Path) -> int:
    """Return what a model's files take on this disk, at least 1."""
    files = [place] if place.is_file() else [path for path in place.rglob("*") if path.is_file()]
    return max(1, round(sum(path.stat().st_size for path in files) / 1e6))


def _near(name: str) -> str:
    names = list(_known())
    near = get_close_matches(name, [*names, *clip_source.architectures()], n=3, cutoff=0.5)
    return f"Near: {', '.join(near)}." if near else f"Known: {', '.join(names)}."


def added_path() -> Path:
    """Return the file that lists the models that were added: one for all archives of whoever is logged in."""
    return Path(platformdirs.user_config_dir("filmroom", appauthor=False)) / "models.json"


def _added() -> dict[str, dict[str, Any]]:
    path = added_path()
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return {str(name): {"load": card["load"], **card} for name, card in content.items()}
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise BadInput("the list of added models cannot be read", where=path, fix="Repair or delete it.") from None


def _write_added(added: dict[str, dict[str, Any]]) -> None:
    path = added_path()
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".tmp")
    part.write_text(json.dumps(added, indent=2) + "\n", encoding="utf-8")
    os.replace(part, path)
