"""Measure how near a film comes to words that mean nothing here: what a query's best score is held against.

A percentile says how a film stands among the archive's films, and the best of them is at the top whatever was typed.
The best score of made-up and everyday words, over the same films, says what a query reaches by chance. A cut-off says
how far down an answer goes.
"""

from __future__ import annotations

import hashlib
import io
import random
import re
import threading
from collections.abc import Hashable
from contextlib import suppress

import numpy as np
from filmroom.db.archive import Archive
from filmroom.db.errors import FilmroomError
from filmroom.db.files import private_files
from filmroom.db.reads.fact_cache import FactCache
from filmroom.db.stretches.versions import fact_state_of
from filmroom.db.vector_index.index import VectorIndex
from filmroom.indexer.models.base import Towers
from filmroom.indexer.radiology.report_labeler import says_normal
from filmroom.indexer.radiology.vocabulary import names_finding
from filmroom.search.query.concept_vector import unit
from filmroom.search.query.parser import Concept, Query
from filmroom.search.ranking.leaders import DEPTH, Leaders
from filmroom.search.request import SearchRequest
from numpy.typing import NDArray

_JOINED = re.compile(r"\s*(?:[,;&+]|(?<!\S)(?:and|or|with|plus)(?!\S))\s*", re.I)
COUNT = 48
KEPT = 8
FEW = 50_000
"""Films that are scored for every random text: it takes as long as a search."""

QUANTILE = 0.95
"""Of a score as high as this, one in twenty random queries reaches more."""

_EVERYDAY = """
table bicycle invoice river music tax banana football kernel opera purple tuesday carpet democracy recipe guitar flight
weather poem chess volcano salad engine holiday castle pencil whisper planet ticket bridge candle market puzzle ocean
garden winter letter button window hammer
""".split()  # noqa: SIM905 (words are read as a text)
_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def random_texts() -> list[str]:
    """Make one to three words each, half of them of random letters and half everyday ones; always the same."""
    draw = random.Random(0)

    def gibberish() -> str:
        return "".join(draw.choice(_LETTERS) for _ in range(draw.randint(3, 9)))

    def everyday() -> str:
        return draw.choice(_EVERYDAY)

    return [" ".join(word() for _ in range(draw.randint(1, 3))) for word in (gibberish, everyday) * (COUNT // 2)]


def asked_alone(query: Query) -> list[Query]:
    """Return what a query asks for, one by one: its concepts but a normal film, and of one that names several findings
    each of these.

    Together they draw apart, and reach less than random words where each is found.
    """
    positive = [words for words in query.positive if not says_normal(words)]
    alone = list(positive) if len(query.concepts) > 1 else []
    for words in positive:
        parts = [part for part in _JOINED.split(words) if names_finding(part)]
        alone += parts if len(parts) > 1 else []
    return [Query((Concept(words),)) for words in dict.fromkeys(alone)]


class Chance:
    """What random words reach over the films of an index; kept for the filters of the last queries. Their vectors are
    kept in the archive under the model's fingerprint, for processes that answer once. Every figure is exact: few films
    are scored, and of many the films that lead for each text are known."""

    def __init__(self, archive: Archive, index: VectorIndex, towers: Towers, fingerprint: str) -> None:
        self.index = index
        self.towers = towers
        self._catalog = archive.catalog
        name = hashlib.sha256(fingerprint.encode()).hexdigest()[:16]
        self._file = archive.vectors / f"random-words-{name}.npy"
        self._question = f"leaders {name} {COUNT} {DEPTH}"
        self._vectors: NDArray[np.float32] | None = None
        self._leaders: Leaders | None = None
        self._leading = threading.Lock()
        self._kept: dict[Hashable, float] = {}

    def reached(self, within: NDArray[np.int64] | None, key: Hashable) -> float:
        """Return the score over these films, of which there must be one; `key` tells them from others."""
        if key not in self._kept:
            best = self._best(within)
            self._kept = dict([*self._kept.items(), (key, float(np.quantile(best, QUANTILE)))][-KEPT:])
        return self._kept[key]

    def prepare(self) -> threading.Thread | None:
        """Find the films that lead in the background, where the index is large: the first answer need not wait."""
        if len(self.index) <= FEW or self.index.device == "server":
            return None
        thread = threading.Thread(target=self._prepare, name="filmroom-chance", daemon=True)
        thread.start()
        return thread

    def _prepare(self) -> None:
        with suppress(FilmroomError):  # whoever asks hears of it
            self._caught_up()

    def _best(self, within: NDArray[np.int64] | None) -> NDArray[np.float32]:
        """Return the best score of each text (COUNT,)."""
        vectors = self._text_vectors()
        if len(self.index) <= FEW or self.index.device == "server":
            return self.index.search(vectors, 1, within).scores[:, 0]
        if within is not None and within.size <= FEW:
            return self._scored(vectors, within)
        best = self._caught_up().best(within)
        missing = np.isnan(best)
        if missing.any():
            best[missing] = self._scored(vectors[missing], within)
        return best

    def _scored(self, vectors: NDArray[np.float32], within: NDArray[np.int64] | None) -> NDArray[np.float32]:
        if within is None:
            return self.index.search(vectors, 1).scores[:, 0]
        best: NDArray[np.float32] = np.fmax.reduce(self.index.scores(vectors, within), axis=1)
        return best

    def _text_vectors(self) -> NDArray[np.float32]:
        if self._vectors is None:
            self._vectors = self._read()
        if self._vectors is None:
            self._vectors = np.stack([unit(row) for row in self.towers.embed_texts(random_texts())])
            self._write(self._vectors)
        return self._vectors

    def _caught_up(self) -> Leaders:
        """Return the films that lead now."""
        with self._leading:
            if self._leaders is None:
                self._leaders = self._first_leaders()
            self._leaders.catch_up()
            return self._leaders

    def _first_leaders(self) -> Leaders:
        """Return them as they were kept, where no fact was written since; else all films are scored."""
        leaders = Leaders(self.index, self._text_vectors(), depth=DEPTH)
        if not self._catalog.is_file:
            return leaders
        with self._catalog.look() as connection:
            state, cache = fact_state_of(connection), FactCache(connection, self._catalog.path)
        if kept_leaders := cache.get(self._question):
            leaders.adopt(kept_leaders)
            return leaders
        leaders.catch_up()
        if state == self._catalog.fact_state():
            cache.put(self._question, leaders.to_bytes())
        return leaders

    def _read(self) -> NDArray[np.float32] | None:
        """Return the vectors as they were kept; None where there are none, or not such."""
        with suppress(OSError, ValueError, EOFError):
            vectors = np.load(self._file, allow_pickle=False)
            lengths = np.linalg.norm(vectors, axis=-1)
            shaped = vectors.dtype == np.float32 and vectors.ndim == 2 and len(vectors) == COUNT
            if shaped and np.allclose(lengths, 1, atol=1e-3):
                return vectors  # type: ignore[no-any-return]
        return None

    def _write(self, vectors: NDArray[np.float32]) -> None:
        data = io.BytesIO()
        np.save(data, vectors)
        # Nothing is kept of an archive that may only be read.
        with suppress(OSError), private_files.aside(self._file) as (path, out):
            out.write(data.getvalue())
            out.flush()
            path.replace(self._file)


def above(
    index: VectorIndex, vector: NDArray[np.float32], request: SearchRequest, ids: NDArray[np.int64] | None
) -> NDArray[np.int64] | None:
    """Return those of the films that reach the cut-off of the request."""
    if ids is None or not ids.size:
        return ids
    scores = index.scores(vector[None], ids)[0]
    reached = np.ones(ids.size, np.bool_)
    if request.least_score is not None:
        reached &= scores >= request.least_score
    if request.least_percentile is not None:
        reached &= index.percentiles(vector, scores) >= request.least_percentile
    return ids[reached]
