"""Embed films that were decoded, here or on a machine of a cluster, and make of them what the catalog keeps."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from filmroom.db.records import FileResult, NewFilm
from filmroom.db.writes import ingest
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.workers import Processed
from filmroom.indexer.models.base import Towers

_USED = np.empty(0, np.uint8)


def embed(towers: Towers, batch: Sequence[Processed]) -> list[Processed]:
    """Return the files with `vectors` (T, D) for every film, and without what the tower was given."""
    films = [film for decoded_file in batch for film in decoded_file.films]
    if not films:
        return list(batch)
    ready = towers.preprocess.batch([film.prepared for film in films])
    vectors = iter(towers.embed_prepared(ready))
    return [
        replace(
            decoded_file,
            films=tuple(replace(film, prepared=_USED, vectors=next(vectors)) for film in decoded_file.films),
        )
        for decoded_file in batch
    ]


def to_keep(embedded: Sequence[Processed]) -> list[FileResult]:
    """Return what the catalog keeps; a file with a film that the tower could not embed is rejected."""
    results = []
    for decoded_file in embedded:
        films = [
            NewFilm(
                identity=ingest.identity(film.tags, decoded_file.sha256, film.frame),
                frame=film.frame,
                tags=film.tags,
                thumbnail=film.thumbnail,
                vectors=film.vectors,
                since=film.since,
            )
            for film in decoded_file.films
            if film.vectors is not None and np.isfinite(film.vectors).all()
        ]
        if len(films) == len(decoded_file.films):
            results.append(FileResult(decoded_file.listed, decoded_file.sha256, films=films))
        else:
            unusable = replace(decoded_file.listed, rejected=Refusal.NOT_PREPARED.error())
            results.append(FileResult(unusable, decoded_file.sha256))
    return results
