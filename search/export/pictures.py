"""Write films as PNG of their presentation pixels, 8 or 16 bit, decoded side by side in worker processes."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
from filmroom.db.errors import BadInput
from filmroom.db.records import Film
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.radiograph import Window
from filmroom.search.exchange.original_pixels import decoded
from filmroom.search.export.job import Failures, Job
from filmroom.search.export.table import Rows, as_csv
from filmroom.search.results import Hit
from numpy.typing import NDArray
from PIL import Image

BATCH = 64
_SECONDS = 60.0  # to compress a PNG of a large film takes longer than to decode it


@dataclass(frozen=True)
class Look:
    """How pixels are written: `bits` 8 or 16, a window in place of the film's own, and `size`, the most pixels of the
    longer side; a smaller film stays as it is."""

    bits: int = 16
    window: Window | None = None
    size: int | None = None

    def shape(self, columns: int, rows: int) -> tuple[int, int]:
        """Give width and height of the picture of a film of these."""
        share = 1.0 if self.size is None else min(1.0, self.size / max(columns, rows))
        return max(1, round(columns * share)), max(1, round(rows * share))


def read_window(text: str) -> Window | None:
    """Read `film` (its own), `full` (least to greatest value) or CENTER/WIDTH. Raises BadInput."""
    if text == "film":
        return None
    if text == "full":
        return Window()
    try:
        center, width = (float(part) for part in text.split("/"))
    except ValueError:
        center, width = 0.0, 0.0
    if not (np.isfinite(center) and np.isfinite(width) and width > 0):
        raise BadInput("not a window", where=text, fix="Use film, full, or CENTER/WIDTH such as 2048/4096.")
    return Window(center, width)


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


def encoded(pixels: NDArray[np.float32], *, look: Look) -> NDArray[np.uint8]:
    """Compress (H, W) in [0, 1] as a grey PNG; its bytes as an array."""
    shape = look.shape(pixels.shape[1], pixels.shape[0])
    if shape != (pixels.shape[1], pixels.shape[0]):
        # Each pixel is the mean of those that it stands for (area), so that fine lines do not turn into steps.
        small = Image.fromarray(np.ascontiguousarray(pixels, np.float32)).resize(shape, Image.Resampling.BOX)
        pixels = np.asarray(small, np.float32)
    white = np.float32(65535 if look.bits == 16 else 255)
    grey = np.rint(np.clip(pixels, 0, 1) * white).astype(np.uint16 if look.bits == 16 else np.uint8)
    out = io.BytesIO()
    Image.fromarray(grey).save(out, "PNG", compress_level=1)
    return np.frombuffer(out.getvalue(), np.uint8)


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
