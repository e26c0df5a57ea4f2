"""Keep what a model wrote about films: sentences, and the boxes on the film that each is about.

Kept apart from reports, which people wrote: nothing here is ever taken for the truth about a film.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from filmroom.db.batching import SIZE, chunked
from filmroom.db.catalog import Catalog
from filmroom.db.records import State
from filmroom.db.schema import described, film, finding, sentence, sentence_vector
from numpy.typing import NDArray
from sqlalchemy import Connection, Row, Select, case, delete, insert, select
from sqlalchemy.dialects.sqlite import insert as upsert

Box = tuple[float, float, float, float]
"""(x0, y0, x1, y1) in shares of the film's width and height, from its upper left."""


@dataclass(frozen=True)
class Finding:
    """One sentence about a film and its boxes; without boxes it is about the film as a whole."""

    text: str
    boxes: tuple[Box, ...] = ()


@dataclass(frozen=True)
class Kept:
    """A finding of the catalog."""

    film_id: int
    source: str
    text: str
    boxes: tuple[Box, ...]


def put(catalog: Catalog, film_ids: Sequence[int], findings: Sequence[Finding], *, source: str) -> None:
    """Keep what `source` found on the first of the films, in one transaction; what it found before goes.

    The other films were seen together with it, and need not be asked about again.
    """
    first = film_ids[0]
    with catalog.write() as connection:
        connection.execute(delete(finding).where(finding.c.film_id == first, finding.c.source == source))
        for position, new in enumerate(findings):
            values = {"film_id": first, "source": source, "position": position, "boxes": json.dumps(new.boxes)}
            connection.execute(insert(finding).values(**values, sentence_id=_sentence_id(connection, new.text)))
        for film_id in film_ids:
            done = upsert(described).values(film_id=film_id, source=source, described_at=int(time.time()))
            connection.execute(done.on_conflict_do_nothing())


def any_written(catalog: Catalog) -> bool:
    with catalog.read() as connection:
        return connection.scalar(select(finding.c.id).limit(1)) is not None


def described_ids(catalog: Catalog, *, source: str) -> frozenset[int]:
    """Return the films that `source` was asked about."""
    with catalog.read() as connection:
        return frozenset(connection.scalars(select(described.c.film_id).where(described.c.source == source)))


def of_film(catalog: Catalog, film_id: int) -> list[Kept]:
    """Return them in the order in which they were written."""
    statement = _select().where(finding.c.film_id == film_id).order_by(finding.c.source, finding.c.position)
    with catalog.read() as connection:
        return [_kept(row) for row in connection.execute(statement)]


def everything(catalog: Catalog, *, most: int | None = None) -> Iterator[Kept]:
    """Yield those of the films that are present, by film; the first `most` of them."""
    statement = _select().where(film.c.state == State.PRESENT.value)
    statement = statement.order_by(finding.c.film_id, finding.c.position, finding.c.id).limit(most)
    with catalog.read() as connection:
        yield from map(_kept, connection.execute(statement))


def of_sentences(catalog: Catalog, ids: Sequence[int], *, most: int) -> list[tuple[int, Kept]]:
    """Say where these sentences are said, on films that are present: the first `most` (sentence, finding), in the order
    of the sentences. One sentence may be said of every film, so that no more than these are read."""
    placed: list[tuple[int, Kept]] = []
    with catalog.read() as connection:
        for chunk in chunked(ids, SIZE // 4):  # each is bound three times
            place = case({sentence_id: at for at, sentence_id in enumerate(chunk)}, value=finding.c.sentence_id)
            statement = _select().where(finding.c.sentence_id.in_(chunk), film.c.state == State.PRESENT.value)
            statement = statement.order_by(place, finding.c.film_id, finding.c.position, finding.c.id)
            rows = connection.execute(statement.limit(most - len(placed)))
            placed += [(row.sentence_id, _kept(row)) for row in rows]
            if len(placed) >= most:
                break
    return placed


def without_vector(catalog: Catalog, space_id: int) -> list[tuple[int, str]]:
    """Return (sentence, text) of the sentences that have no vector in the space yet."""
    embedded = select(sentence_vector.c.sentence_id).where(sentence_vector.c.space_id == space_id)
    statement = select(sentence.c.id, sentence.c.text).where(sentence.c.id.not_in(embedded)).order_by(sentence.c.id)
    with catalog.read() as connection:
        return [(row.id, row.text) for row in connection.execute(statement)]


def put_vectors(catalog: Catalog, space_id: int, ids: Sequence[int], vectors: NDArray[np.float32]) -> None:
    """Keep the unit vectors (N, D) of sentences; a sentence that is gone by now is passed over."""
    with catalog.write() as connection:
        known = {sentence_id for chunk in chunked(ids) for sentence_id in connection.scalars(_ids_in(chunk))}
        rows = [
            {"sentence_id": sentence_id, "space_id": space_id, "vector": vector.astype(np.float16).tobytes()}
            for sentence_id, vector in zip(ids, vectors, strict=True)
            if sentence_id in known
        ]
        if rows:
            connection.execute(upsert(sentence_vector).on_conflict_do_nothing(), rows)


def vectors(catalog: Catalog, space_id: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Return sentences (N,) and their unit vectors (N, D) in a space."""
    statement = select(sentence_vector.c.sentence_id, sentence_vector.c.vector)
    with catalog.read() as connection:
        rows = connection.execute(statement.where(sentence_vector.c.space_id == space_id)).all()
    ids = np.array([row.sentence_id for row in rows], np.int64)
    flat = np.frombuffer(b"".join(row.vector for row in rows), np.float16).astype(np.float32)
    return ids, flat.reshape(len(rows), -1) if rows else np.empty((0, 0), np.float32)


def _ids_in(ids: Sequence[int]) -> Select[Any]:
    return select(sentence.c.id).where(sentence.c.id.in_(ids))


def _sentence_id(connection: Connection, text: str) -> int:
    connection.execute(upsert(sentence).values(text=text).on_conflict_do_nothing())
    return int(connection.execute(select(sentence.c.id).where(sentence.c.text == text)).scalar_one())


def _select() -> Select[Any]:
    return (
        select(finding, sentence.c.text)
        .join(sentence, sentence.c.id == finding.c.sentence_id)
        .join(film, film.c.id == finding.c.film_id)
    )


def _kept(row: Row[Any]) -> Kept:
    boxes = tuple((b[0], b[1], b[2], b[3]) for b in json.loads(row.boxes))
    return Kept(row.film_id, row.source, row.text, boxes)
