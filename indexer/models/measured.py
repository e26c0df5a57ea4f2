"""Read what was measured of a model: a file beside its weights that a benchmark writes, so that no figure is in
code."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

from filmroom.db.records import Space
from filmroom.indexer.models.registry import model_folder

FILE = "measured.json"
CARD = "MODEL_CARD.md"
WEAK_AUC, WEAK_NDCG = 0.7, 0.1
"""Below either a finding is called weak: many films without it rank above those with it, or hardly one of the first
five films shows it."""


@dataclass(frozen=True)
class FindingMeasured:
    """How well words find one finding: AUC with its 95 % interval over patients, and the mean nDCG@5 of several
    wordings. `films` show it."""

    finding: str
    films: int
    auc: float
    auc_low: float
    auc_high: float
    ndcg: float

    @property
    def weak(self) -> bool:
        return self.auc < WEAK_AUC or self.ndcg < WEAK_NDCG

    @property
    def figures(self) -> str:
        return f"AUC {self.auc:.2f} [{self.auc_low:.2f}, {self.auc_high:.2f}], nDCG@5 {self.ndcg:.2f}"


@dataclass(frozen=True)
class ModelMeasured:
    """The figures of a model with these weights; `data` says on which films. `card` is its card where it has one."""

    fingerprint: str
    data: str
    findings: tuple[FindingMeasured, ...]
    card: Path | None = None

    def of(self, finding: str) -> FindingMeasured | None:
        return next((measured for measured in self.findings if measured.finding == finding), None)

    def to_json(self) -> dict[str, Any]:
        return {
            "fingerprint": self.fingerprint,
            "data": self.data,
            "findings": [asdict(finding) for finding in self.findings],
        }


def measured_of(space: Space) -> ModelMeasured | None:
    """Read what was measured of the model of a space; None where nothing was, or where its weights were others."""
    measured = measured_here(space.model)
    return measured if measured is not None and measured.fingerprint == space.fingerprint else None


def measured_here(model: str) -> ModelMeasured | None:
    """Read what was measured of the weights that a model's name stands for on this disk."""
    folder = model_folder(model)
    if folder is None:
        return None
    try:
        return _read(folder, (folder / FILE).stat().st_mtime_ns)
    except OSError:
        return None


@lru_cache(maxsize=32)
def _read(folder: Path, changed: int) -> ModelMeasured | None:
    try:
        content = json.loads((folder / FILE).read_text(encoding="utf-8"))
        card = folder / CARD
        findings = tuple(FindingMeasured(**entry) for entry in content["findings"])
        return ModelMeasured(content["fingerprint"], content["data"], findings, card if card.is_file() else None)
    except (ValueError, KeyError, TypeError):  # a damaged file says nothing; the search does not depend on it
        return None
