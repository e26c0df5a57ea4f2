"""Hold an answer: the films that match, best first, and how the query was read."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from filmroom.db.records import Film
from filmroom.indexer.radiology.negation import says_normal_film
from filmroom.indexer.radiology.vocabulary import denied_by_normal, finding_of
from filmroom.search.query.model_limits import ModelLimits
from filmroom.search.query.reading import Reading
from filmroom.search.query.relevance_feedback import Learned
from numpy.typing import NDArray

if TYPE_CHECKING:
    import pandas

_COLUMNS = (
    "id", "rank", "score", "percentile", "path", "view", "sex", "age", "year", "study_uid", "patient_key", "labels",
)  # fmt: skip


@dataclass(frozen=True)
class Hit:
    """One film of an answer. `score` is a cosine (a fused score with `hybrid`, a probe's probability where that is all
    that was asked), None where only a filter was asked;
    `percentile` says how many per cent of the archive's films score below it for the same query."""

    rank: int
    film: Film
    score: float | None
    percentile: float | None

    @property
    def id(self) -> int:
        return self.film.id

    @property
    def standing(self) -> str:
        """The percentile with one decimal, rounded down (99.96 is not 100); empty where there is none."""
        return "" if self.percentile is None else f"{math.floor(self.percentile * 10) / 10:.1f}"

    def to_json(self) -> dict[str, Any]:
        return {
            "rank": self.rank,
            "id": self.id,
            "score": None if self.score is None else round(self.score, 6),
            "percentile": None if self.percentile is None else round(self.percentile, 2),
            "path": self.film.path,
            "frame": self.film.frame,
            **asdict(self.film.tags),
            "labels": list(self.film.label_names),
            "has_report": self.film.has_report,
        }


@dataclass(frozen=True)
class Ranking:
    """Every film of an answer, best first: ids (N,) int64, scores and percentiles (N,) float64, not-a-number where a
    `Hit` has None."""

    ids: NDArray[np.int64]
    scores: NDArray[np.float64]
    percentiles: NDArray[np.float64]


@dataclass(frozen=True)
class Results:
    """An answer: the hits, best first, of the `total` films that pass the filter.

    `reading` tells how the query's words were read, `limits` how well the model finds what they name, `learned` what
    judged films did where the request let them; `advice` says what to ask where no film passes.
    `best` is the best score of the films that pass, of several concepts for that which is found best alone, and
    `chance` the score that random words reach over them, where these were compared.
    """

    query: str
    model: str
    took_ms: float
    hits: tuple[Hit, ...]
    total: int
    reading: Reading = field(default_factory=Reading)
    advice: tuple[str, ...] = ()
    limits: ModelLimits = field(default_factory=ModelLimits)
    learned: Learned | None = None
    best: float | None = None
    chance: float | None = None

    @property
    def weakness(self) -> str:
        """What is to be said of findings that the model was measured to find poorly; empty otherwise."""
        return self.limits.sentence

    @property
    def contrary(self) -> str:
        """What is to be said where normal films were asked for, and half of those shown or more bear the label of a
        finding; empty otherwise."""
        concepts = self.reading.ranked_by
        if not concepts or not all(map(says_normal_film, concepts)):
            return ""
        ill = sum(any(denied_by_normal(finding_of(name)) for name in hit.film.label_names) for hit in self.hits)
        if not ill or 2 * ill < len(self.hits):
            return ""
        extent = f"{ill} of these {len(self.hits)}"
        return f"Asked for normal films, but {extent} bear the label of a finding. Check every film."

    @property
    def doubt(self) -> str:
        """What is to be said where nothing matches well; empty otherwise."""
        if not self.doubtful:
            return ""
        return (
            f"Nothing matches well: the best of these films scores {self.best:.2f}, and random words reach "
            f"{self.chance:.2f} in them. The order may mean nothing."
        )

    @property
    def doubtful(self) -> bool:
        """Whether random words would have found films that match as well."""
        return self.best is not None and self.chance is not None and self.best <= self.chance

    def to_json(self) -> dict[str, Any]:
        """Return the shape of `filmroom search --json`, which docs/search.schema.json describes."""
        return {
            "query": self.query,
            "model": self.model,
            "took_ms": round(self.took_ms, 2),
            "total": self.total,
            "reading": asdict(self.reading),
            "measured": self.limits.to_json(),
            "weakness": self.weakness,
            "contrary": self.contrary,
            "learned": self.learned.to_json() if self.learned else None,
            "best": None if self.best is None else round(self.best, 6),
            "chance": None if self.chance is None else round(self.chance, 6),
            "doubtful": self.doubtful,
            "hits": [hit.to_json() for hit in self.hits],
        }

    def to_pandas(self) -> pandas.DataFrame:
        """Make a table with a row a hit, best first; the index is the film's id."""
        import pandas

        rows = [
            {
                "id": hit.id,
                "rank": hit.rank,
                "score": hit.score,
                "percentile": hit.percentile,
                "path": hit.film.path,
                "view": hit.film.tags.view,
                "sex": hit.film.tags.sex,
                "age": hit.film.tags.age,
                "year": hit.film.tags.year,
                "study_uid": hit.film.tags.study_uid,
                "patient_key": hit.film.tags.patient_key,
                "labels": list(hit.film.label_names),
            }
            for hit in self.hits
        ]
        return pandas.DataFrame(rows, columns=_COLUMNS).set_index("id")
