"""Fit small classifiers on stored vectors: a logistic regression and one hidden layer, by L-BFGS.

A head is numbers in a JSON file. Nothing in it is executed.
"""

from __future__ import annotations

import json
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path

import numpy as np
from filmroom.db.errors import BadInput, ModelUnavailable
from filmroom.db.records import Space
from filmroom.search.exchange.tables import read_text, write_aside
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_FORMAT = "filmroom-probe-1"
_HIDDEN = 32
_STEPS = 300


class Kind(StrEnum):
    """Linear: one weight a dimension. MLP: 32 hidden units (tanh)."""

    LINEAR = "linear"
    MLP = "mlp"


@dataclass(frozen=True)
class Head:
    """A fitted classifier for one finding in one space. `layers` are (weights (in, out), bias (out,))."""

    name: str
    kind: Kind
    space: Space
    mean: Floats
    scale: float
    layers: tuple[tuple[Floats, Floats], ...]

    def probabilities(self, vectors: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return (N,) in [0, 1] for (N, T, D) or (N, D) stored vectors of the head's space."""
        return _sigmoid(_forward((pooled(vectors) - self.mean) / self.scale, self.layers)[-1][:, 0]).astype(np.float32)


def pooled(vectors: NDArray[np.floating]) -> Floats:
    """Turn (N, T, D) or (N, D) into (N, D): the mean over T."""
    data = np.asarray(vectors, dtype=np.float64)
    return data.mean(axis=1) if data.ndim == 3 else data


def fit_head(
    vectors: NDArray[np.floating],
    truth: NDArray[np.floating],
    *,
    name: str,
    space: Space,
    kind: Kind = Kind.LINEAR,
    penalty: float = 1e-2,
    seed: int = 0,
) -> Head:
    """Minimise mean log loss + penalty/2 |weights|^2 over films (N, T, D) with `truth` 0 or 1, by scikit-learn.

    Vectors are centred and scaled by one number (their root mean square), so that `penalty` means the same in
    every space. Raises BadInput where there is only one class.
    """
    from sklearn.exceptions import ConvergenceWarning  # type: ignore[import-untyped]
    from sklearn.linear_model import LogisticRegression  # type: ignore[import-untyped]
    from sklearn.neural_network import MLPClassifier  # type: ignore[import-untyped]

    data, target = pooled(vectors), np.asarray(truth, dtype=np.float64) > 0.5
    if not 0 < target.sum() < target.size:
        raise BadInput("All films have the same label", where=name, fix="Give films with and without the finding")
    mean = data.mean(axis=0)
    scale = float(np.sqrt(np.mean((data - mean) ** 2))) or 1.0
    # Each counts the penalty against the sum of the losses, not against their mean.
    weight = penalty * target.size
    model = (
        LogisticRegression(C=1 / weight, max_iter=_STEPS)
        if kind is Kind.LINEAR
        else MLPClassifier(
            (_HIDDEN,), activation="tanh", solver="lbfgs", alpha=weight, tol=1e-5, max_iter=_STEPS, random_state=seed
        )
    )
    with warnings.catch_warnings():
        # As far as it came in so many steps is good enough to rank films by, and no news to who reads the figures.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit((data - mean) / scale, target)
    if kind is Kind.LINEAR:
        return Head(name, kind, space, mean, scale, ((model.coef_.T, model.intercept_),))
    return Head(name, kind, space, mean, scale, tuple(zip(model.coefs_, model.intercepts_, strict=True)))


def save_head(head: Head, path: Path, *, about: Mapping[str, object] | None = None) -> None:
    """Write JSON aside and rename it; weights have nine digits (float32 exact). `about` is kept beside them."""
    content = {
        "format": _FORMAT,
        "name": head.name,
        "about": dict(about or {}),
        "kind": head.kind.value,
        "space": {
            "model": head.space.model,
            "fingerprint": head.space.fingerprint,
            "dim": head.space.dim,
            "vectors": head.space.vectors,
        },
        "mean": _numbers(head.mean),
        "scale": head.scale,
        "layers": [
            {"weights": [_numbers(row) for row in weights], "bias": _numbers(bias)} for weights, bias in head.layers
        ],
    }
    write_aside(path, json.dumps(content, ensure_ascii=False) + "\n")


def load_head(path: Path, *, space: Space | None = None) -> Head:
    """Raise BadInput where the file is no head, ModelUnavailable where it belongs to another space than `space`."""
    try:
        content = json.loads(read_text(path))
        if content["format"] != _FORMAT:
            raise ValueError("format")
        stored = content["space"]
        belongs = Space(str(stored["model"]), str(stored["fingerprint"]), int(stored["dim"]), int(stored["vectors"]))
        layers = tuple(
            (np.array(layer["weights"], dtype=np.float64), np.array(layer["bias"], dtype=np.float64))
            for layer in content["layers"]
        )
        kind = Kind(content["kind"])
        head = Head(
            str(content["name"]), kind, belongs, np.array(content["mean"], float), float(content["scale"]), layers
        )
        _check(head)
    except (KeyError, TypeError, ValueError, IndexError, AttributeError, RecursionError):
        raise BadInput("This is not a saved probe", where=path, fix="Make one with: filmroom probe --save") from None
    if space is not None and (belongs.fingerprint, belongs.dim) != (space.fingerprint, space.dim):
        raise ModelUnavailable(
            f"The probe {head.name} was made with {belongs.model}, not with {space.model}",
            where=path,
            fix="Train it again with this model, or choose that model",
        )
    return head


def _check(head: Head) -> None:
    widths = [head.space.dim, *([_HIDDEN] if head.kind is Kind.MLP else []), 1]
    shapes = [(weights.shape, bias.shape) for weights, bias in head.layers]
    expected = [((a, b), (b,)) for a, b in pairwise(widths)]
    numbers = [head.mean, np.array([head.scale]), *(part for layer in head.layers for part in layer)]
    finite = all(np.isfinite(part).all() for part in numbers)
    if shapes != expected or head.mean.shape != (head.space.dim,) or not finite or head.scale <= 0:
        raise ValueError("shape")


def _forward(inputs: Floats, layers: tuple[tuple[Floats, Floats], ...] | list[tuple[Floats, Floats]]) -> list[Floats]:
    """Return the input, the hidden layers, and the logits (N, 1)."""
    outputs = [inputs]
    for index, (weights, bias) in enumerate(layers):
        logits = outputs[-1] @ weights + bias
        outputs.append(np.tanh(logits) if index < len(layers) - 1 else logits)
    return outputs


def _sigmoid(logit: Floats) -> Floats:
    return np.exp(-np.logaddexp(0.0, -logit))


def _numbers(values: Floats) -> list[float]:
    return [float(f"{value:.9g}") for value in values]
