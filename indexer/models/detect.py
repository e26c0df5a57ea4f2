"""Detect what kind of model lies in a folder, by its files, without opening more than its configuration."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path

from filmroom.db.errors import ModelUnavailable
from filmroom.indexer.models.model_folder import CONFIG, FACTS, read_json


class Kind(StrEnum):
    """The program that runs it."""

    OPEN_CLIP = "open_clip"
    ELIXR = "CXR Foundation (ELIXR)"
    TRANSFORMERS = "transformers"
    SAVED_MODEL = "TensorFlow SavedModel"


ELIXR_PARTS = ("elixr-c-v2-pooled", "pax-elixr-b-text")
PACKAGES = {Kind.ELIXR: "tensorflow", Kind.SAVED_MODEL: "tensorflow", Kind.TRANSFORMERS: "transformers"}
"""The optional package that runs a kind of model; open_clip's runs without one."""
TRANSFORMERS_TYPES = ("siglip", "dinov2")
TRANSFORMERS_CONFIG = "config.json"
SAVED_GRAPH = "saved_model.pb"
_FIX = "Give the folder that `hf download` made, or that open_clip's save_pretrained did."


def kind_of(folder: Path) -> Kind:
    """Return the kind of the model in `folder`. Raises ModelUnavailable where there is none, or a part of one."""
    if (folder / FACTS).is_file() or (folder / CONFIG).is_file():
        return Kind.OPEN_CLIP
    parts = [name for name in ELIXR_PARTS if (folder / name).is_dir()]
    if parts:
        missing = [name for name in ELIXR_PARTS if name not in parts]
        if missing:
            raise ModelUnavailable(
                f"CXR Foundation is incomplete here: {missing[0]} is missing", where=folder, fix="Fetch it too."
            )
        return Kind.ELIXR
    if (folder / SAVED_GRAPH).is_file():
        return Kind.SAVED_MODEL
    if (folder / TRANSFORMERS_CONFIG).is_file():
        model_type = read_json(folder / TRANSFORMERS_CONFIG).get("model_type")
        if model_type not in TRANSFORMERS_TYPES:
            raise ModelUnavailable(
                f"transformers' models of type {str(model_type)[:40]} are not known here",
                where=folder,
                fix=f"Known are {' and '.join(TRANSFORMERS_TYPES)}; others by way of open_clip.",
            )
        return Kind.TRANSFORMERS
    raise ModelUnavailable(f"this folder is not a model: it has neither {FACTS} nor {CONFIG}", where=folder, fix=_FIX)
