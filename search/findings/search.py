"""Search films by the sentences that a report model wrote about them: by their words, or by what they mean."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.reads import films, fulltext
from filmroom.db.records import Film
from filmroom.db.writes import findings
from filmroom.db.writes.findings import Kept
from filmroom.indexer.decoding.orientation import box_in_file, size_in_file
from filmroom.search.searcher import Searcher
from numpy.typing import NDArray

_AT_ONCE = 256


@dataclass(frozen=True)
class FilmFinding:
    """A finding, the film it is about, and how well it matches (None where nothing was asked)."""

    film: Film
    finding: Kept
    score: float | None

    def to_json(self) -> dict[str, Any]:
        """Return boxes in shares of the sides of the picture in the film's file, and in its pixels: `orientation` says
        how the film itself is shown."""
        high, wide = size_in_file(self.film.tags)
        pixels = [[round(v * side, 1) for v, side in zip(box, (wide, high) * 2, strict=True)] for box in self._boxes]
        return {
            "film": self.film.id,
            "path": self.film.path,
            "study_uid": self.film.tags.study_uid,
            "instance_uid": self.film.tags.instance_uid,
            "orientation": self.film.tags.orientation,
            "source": self.finding.source,
            "sentence": self.finding.text,
            "boxes": [[round(v, 5) for v in box] for box in self._boxes],
            "boxes_px": pixels,
            "score": None if self.score is None else round(self.score, 4),
        }

    @property
    def _boxes(self) -> tuple[findings.Box, ...]:
        return tuple(box_in_file(box, self.film.tags.orientation) for box in self.finding.boxes)


def everything(catalog: Catalog, *, most: int | None = None) -> list[FilmFinding]:
    """Return all findings, by film, or the first `most` of them."""
    return _with_films(catalog, [(finding, None) for finding in findings.everything(catalog, most=most)])


def by_words(archive: Archive, words: str, k: int) -> list[FilmFinding]:
    """Return the k findings whose sentences hold all the words, the best first. Needs no model."""
    return _of_sentences(archive.catalog, fulltext.sentences(archive.catalog, words), k)


def by_meaning(searcher: Searcher, text: str, k: int) -> list[FilmFinding]:
    """Return the k findings whose sentences lie nearest to the text in the model's space, the nearest first.

    A sentence is embedded once for each model and kept. Raises ModelUnavailable without a text tower.
    """
    space_id = searcher.held.id
    query = searcher.towers.embed_texts([text])[0]
    new = findings.without_vector(searcher.catalog, space_id)
    for at in range(0, len(new), _AT_ONCE):
        batch = new[at : at + _AT_ONCE]
        vectors = searcher.towers.embed_texts([sentence for _, sentence in batch])
        findings.put_vectors(searcher.catalog, space_id, [sentence_id for sentence_id, _ in batch], vectors)
    ids, known = findings.vectors(searcher.catalog, space_id)
    if not ids.size:
        return []
    scores: NDArray[np.float32] = known @ query
    best = np.lexsort((ids, -scores))
    return _of_sentences(searcher.catalog, [(int(ids[at]), float(scores[at])) for at in best], k)


def _of_sentences(catalog: Catalog, ranked: list[tuple[int, float]], k: int) -> list[FilmFinding]:
    scores = dict(ranked)
    kept_findings = findings.of_sentences(catalog, list(scores), most=k)
    return _with_films(catalog, [(finding, scores[sentence]) for sentence, finding in kept_findings])


def _with_films(catalog: Catalog, scored: list[tuple[Kept, float | None]]) -> list[FilmFinding]:
    film_ids = list(dict.fromkeys(finding.film_id for finding, _ in scored))
    by_id = {film.id: film for film in films.films(catalog, film_ids)}
    return [
        FilmFinding(by_id[finding.film_id], finding, score) for finding, score in scored if finding.film_id in by_id
    ]
