"""Say where it matters what the model is good for: the findings of a query that its measurements call weak."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from filmroom.db.records import Space
from filmroom.indexer.models.measured import FindingMeasured, ModelMeasured, measured_of
from filmroom.indexer.radiology.abbreviations import spell_out
from filmroom.indexer.radiology.report_labeler import mentions
from filmroom.search.query.parser import Query


@dataclass(frozen=True)
class ModelLimits:
    """The findings that a query names and that were measured of the model, in the query's order."""

    model: str = ""
    data: str = ""
    findings: tuple[FindingMeasured, ...] = ()
    card: str | None = None

    @property
    def sentence(self) -> str:
        """One line on the weak findings; empty where there is none."""
        weak = [finding for finding in self.findings if finding.weak]
        if not weak:
            return ""
        figures = "; ".join(f"{finding.finding} ({finding.figures})" for finding in weak)
        return f"{self.model} finds this poorly: {figures}, on {self.data}. Check every film."

    def to_json(self) -> list[dict[str, Any]]:
        return [{**asdict(finding), "weak": finding.weak} for finding in self.findings]


def limits_of(space: Space, query: Query) -> ModelLimits:
    """Look up the findings that a query ranks by or against."""
    return limits_of_texts(space, [concept.text for concept in query.concepts])


def limits_of_texts(space: Space, texts: Sequence[str]) -> ModelLimits:
    """Look up the findings that texts name."""
    if not texts or (known := measured_of(space)) is None:
        return ModelLimits()
    card = None if known.card is None else str(known.card)
    return ModelLimits(space.model, known.data, findings_in((spell_out(text).text for text in texts), known), card)


def findings_in(texts: Iterable[str], known: ModelMeasured) -> tuple[FindingMeasured, ...]:
    """Find the measured findings that texts name, by any of their names, each once."""
    names = frozenset(finding.finding for finding in known.findings)
    ideas = dict.fromkeys(idea for text in texts for idea in mentions(text, names))
    return tuple(measured for idea in ideas if (measured := known.of(idea)) is not None)
