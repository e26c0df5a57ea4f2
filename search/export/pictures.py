"""Write films as PNG of their presentation pixels, 8 or 16 bit, decoded side by side in worker processes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
from filmroom.db.records import Film
from filmroom.indexer.decoding.limits import Limits
from filmroom.search.exchange.original_pixels import decoded
from filmroom.search.export.job import Failures, Job
from filmroom.search.export.look import Look, encoded
from filmroom.search.export.table import Rows, as_csv
from filmroom.search.results import Hit

BATCH = 64
_SECONDS = 60.0  # to compress a PNG of a large film takes longer than to decode it


def pngs(films: Sequence[Film], look: Look) -> tuple[dict[int, bytes], Failures]:
    """Decode films and compress them as PNG, by film id; and why others cannot be had. Files are read under the usual
    limits, with more time."""
    pictures: dict[int, bytes] = {}
    failed: list[tuple[int, str]] = []
    limits = replace(Limits(), seconds=_SECONDS)
    encode = partial(encoded, look=look)
    for film, done in decoded(films, prepare=encode, limits=limits, any_modality=True, window=look.window):
        if isinstance(done, str):
            failed.append((film.id, done))
        else:
            pictures[film.id] = np.asarray(done.prepared, np.uint8).tobytes()
    return pictures, failed


def file_name(film: Film) -> str:
    """Name a picture by the film's id alone."""
    return f"{film.id:07d}.png"


class Pictures:
    """A folder of PNG files with films.csv beside them."""

    batch = BATCH

    def __init__(self, job: Job, *, look: Look, paths: bool) -> None:
        self._job = job
        self._look = look
        self._rows = Rows.of_job(job, paths=paths)
        (job.folder / "out").mkdir(exist_ok=True)

    def write(self, films: Sequence[Hit]) -> Failures:
        pictures, failed = pngs([hit.film for hit in films], self._look)
        written = [hit for hit in films if hit.id in pictures]
        for hit in written:
            (self._job.folder / "out" / file_name(hit.film)).write_bytes(pictures[hit.id])
        table = self._job.growing("out/films.csv")
        rows = ({"file": file_name(hit.film), **row} for hit, row in zip(written, self._rows.of(written), strict=True))
        table.write(as_csv(["file", *self._rows.columns], rows, header=not table.tell()))
        return failed

    def finish(self) -> Path:
        return self._job.folder / "out"
