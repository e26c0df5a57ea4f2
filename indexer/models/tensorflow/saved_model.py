"""Load TensorFlow SavedModels: looked over before they are loaded, called by their signatures."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from filmroom.db.errors import MissingExtra, ModelUnavailable
from filmroom.indexer.models.tensorflow.operations import others
from filmroom.indexer.native_output import hushed

EXTRA = "elixr"
GRAPH = "saved_model.pb"
_INDEX = Path("variables", "variables.index")


@dataclass(frozen=True)
class Signature:
    """A callable signature of a loaded SavedModel, which must live as long. `shapes` are those of its inputs."""

    loaded: Any
    call: Any
    shapes: Mapping[str, tuple[int | None, ...] | None]


def model_files(folder: Path) -> list[Path]:
    """Return the files of a SavedModel. Raises ModelUnavailable naming the first that is missing."""
    variables = sorted((folder / "variables").glob("variables.data-*"))
    for path in (folder / GRAPH, folder / _INDEX):
        if not path.is_file():
            raise _missing(folder, path.relative_to(folder).as_posix())
    if not variables:
        raise _missing(folder, "variables/variables.data-*")
    # Each shard says how many there are: variables.data-00000-of-00002.
    if len(variables) != int(variables[0].name.rpartition("-")[2]):
        raise _missing(folder, "a part of variables/variables.data-*")
    return [folder / GRAPH, folder / _INDEX, *variables, *sorted(p for p in (folder / "assets").glob("*"))]


def check_installed() -> None:
    """Raise MissingExtra without TensorFlow; imports nothing."""
    if find_spec("tensorflow") is None:
        raise MissingExtra("A TensorFlow model", extra=EXTRA)


def tensorflow() -> Any:
    """Return the package, told to be quiet. Raises MissingExtra."""
    check_installed()
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with hushed():
        import tensorflow as tf

    tf.get_logger().setLevel("ERROR")
    for device in tf.config.list_physical_devices("GPU"):
        try:
            # It would otherwise take all the memory of the GPU, and a second worker none.
            tf.config.experimental.set_memory_growth(device, True)
        except RuntimeError:
            break
    return tf


def load(folder: Path) -> Any:
    """Return the object that the SavedModel in `folder` restores.

    Raises ModelUnavailable for a folder that is no SavedModel, or whose program reaches outside; MissingExtra.
    """
    model_files(folder)
    tf = tensorflow()
    _look_over(folder)
    with contextlib.suppress(ImportError):
        # It registers operations that text models may use.
        import tensorflow_text  # noqa: F401
    try:
        with hushed():
            return tf.saved_model.load(str(folder))
    except Exception as fault:  # TensorFlow raises what its many readers raise
        if "not registered" in str(fault):
            raise ModelUnavailable(
                "it uses operations that this TensorFlow does not have",
                where=folder,
                fix="Install those of text models: pip install tensorflow-text",
            ) from None
        raise ModelUnavailable(
            f"it cannot be loaded ({type(fault).__name__})", where=folder, fix="Fetch the model again."
        ) from None


def signature(loaded: Any, folder: Path, *, needs: Sequence[str] = (), gives: Sequence[str] = ()) -> Signature:
    """Return the `serving_default` signature of what `load` gave. Raises ModelUnavailable where it is another."""
    call = loaded.signatures.get("serving_default")
    if call is None:
        raise ModelUnavailable("this SavedModel has no signature serving_default", where=folder)
    inputs = call.structured_input_signature[1]
    for names, specs, kind in ((needs, inputs, "input"), (gives, call.structured_outputs, "output")):
        missing = [name for name in names if name not in specs]
        if missing:
            raise ModelUnavailable(
                f"this is another model: its signature has no {kind} {missing[0]} (it has {', '.join(sorted(specs))})",
                where=folder,
            )
    return Signature(loaded, call, {name: shape_of(spec) for name, spec in inputs.items()})


def shape_of(spec: Any) -> tuple[int | None, ...] | None:
    """Return the shape of an input; None where even the number of its sides is free."""
    return None if spec.shape.rank is None else tuple(spec.shape.as_list())


def _look_over(folder: Path) -> None:
    from tensorflow.core.protobuf.saved_model_pb2 import SavedModel

    program = SavedModel()
    try:
        program.ParseFromString((folder / GRAPH).read_bytes())
    except Exception:  # protobuf's errors differ with its implementation
        raise ModelUnavailable("it is damaged or no SavedModel", where=folder / GRAPH, fix="Fetch it again.") from None
    unknown = sorted(set().union(*(others(graph) for graph in program.meta_graphs)))
    if unknown:
        first = ", ".join(unknown[:5]) + (", ..." if len(unknown) > 5 else "")
        raise ModelUnavailable(
            f"its program uses operations that a model may not use ({first}); it was not loaded", where=folder
        )


def _missing(folder: Path, name: str) -> ModelUnavailable:
    return ModelUnavailable(
        f"this SavedModel is incomplete: {name} is missing", where=folder, fix="Fetch the model again."
    )
