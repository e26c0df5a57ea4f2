"""Say whether a model has seen a public set in training: what is published, and the sentence a report starts with."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from typing import Any

from filmroom.assets import ASSETS
from filmroom.db.errors import BadInput


class Trained(StrEnum):
    """Whether the training data contain the set. UNKNOWN: nobody has published it."""

    YES = "yes"
    PART = "part"
    NO = "no"
    UNKNOWN = "unknown"


@dataclass(frozen=True)
class Contamination:
    """One pair of a model and a public set; `source` says who states it, "" where nobody does."""

    model: str
    public_set: str
    trained: Trained
    source: str

    def __str__(self) -> str:
        """Return the first line of a report."""
        source = f" ({self.source})" if self.source else ""
        return {
            Trained.YES: f"Contaminated: {self.model} was trained on {self.public_set}{source}. "
            "These films are not new to it.",
            Trained.PART: f"Contaminated in part: {self.model} was trained on a part of {self.public_set}{source}. "
            "The figures hold only for films outside that part.",
            Trained.NO: f"{self.model} was not trained on {self.public_set}{source}.",
            Trained.UNKNOWN: f"Perhaps contaminated: it is not known whether {self.model} was trained on "
            f"{self.public_set}{source}.",
        }[self.trained]

    def to_json(self) -> dict[str, str]:
        return {"set": self.public_set, "trained": self.trained.value, "source": self.source, "said": str(self)}


def contamination(model: str, public_set: str) -> Contamination:
    """Return what is known of the pair. Raises BadInput for a set that the table lacks; a model it lacks is UNKNOWN."""
    table = _table()
    key = public_set.strip().lower()
    if key not in table["sets"]:
        raise BadInput(
            "There is no public set of this name", where=public_set, fix=f"Known: {', '.join(public_sets())}"
        )
    entry = table["models"].get(model, {}).get(key, {})
    return Contamination(model, table["sets"][key], Trained(entry.get("trained", "unknown")), entry.get("source", ""))


def public_sets() -> tuple[str, ...]:
    """Return the names that `contamination` takes."""
    return tuple(_table()["sets"])


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(ASSETS.joinpath("contamination.toml").read_text(encoding="utf-8"))
