"""Read films that a request brings along, side by side under the usual limits; nothing of them is kept."""

from __future__ import annotations

import base64
import binascii
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from fastapi import UploadFile
from filmroom.db.errors import BadInput
from filmroom.db.records import SourceFile
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import process
from filmroom.indexer.models.base import Vectors
from filmroom.search.api.context import Context
from filmroom.search.query.concept_vector import unit
from filmroom.search.request import UploadedFilm
from filmroom.search.searcher import Searcher


class Uploaded:
    """A folder for the files of one request; it goes when the request ends."""

    def __init__(self, context: Context) -> None:
        self._context = context
        self._folder = tempfile.TemporaryDirectory(prefix="filmroom-")

    def __enter__(self) -> Uploaded:
        return self

    def __exit__(self, *fault: object) -> None:
        self._folder.cleanup()

    def examples(
        self, searcher: Searcher, files: Sequence[Path | str], names: Callable[[int], str]
    ) -> list[UploadedFilm]:
        """Embed films to search by. Raises BadInput, which names the first that cannot be read."""
        space = searcher.held.space.fingerprint
        examples: list[UploadedFilm] = []
        for at, vectors in enumerate(self.embed(searcher, files)):
            if isinstance(vectors, str):
                raise BadInput(vectors, where=names(at), fix="Send a film that can be indexed.")
            examples.append(UploadedFilm.of(space, unit(vectors.mean(axis=0))))
        return examples

    def keep(self, file: UploadFile, number: int) -> Path:
        """Put a file into the folder."""
        path = Path(self._folder.name) / f"{number:04}"
        with path.open("wb") as out:
            shutil.copyfileobj(file.file, out, 1 << 20)
        return path

    def keep_base64(self, text: str, number: int) -> Path | str:
        """Put a file into the folder that comes as base64; says why it is none."""
        try:
            data = base64.b64decode(text, validate=True)
        except (binascii.Error, ValueError):
            return "not base64"
        path = Path(self._folder.name) / f"{number:04}"
        path.write_bytes(data)
        return path

    def embed(self, searcher: Searcher, files: Sequence[Path | str]) -> list[Vectors | str]:
        """Embed films: (T, D) of each file's first frame, or in words why it cannot be had."""
        towers: Any = searcher.towers
        paths = {file.name: at for at, file in enumerate(files) if isinstance(file, Path)}
        vectors: list[Vectors | str] = ["" if isinstance(file, Path) else file for file in files]
        prepared: dict[int, Any] = {}
        listed = [SourceFile(self._folder.name, name, 0, 0) for name in paths]
        with self._context.decoding:  # each takes a processor; others wait rather than fill the memory
            for done in process(listed, prepare=towers.preprocess.shrink, workers=min(2, len(listed) or 1)):
                at = paths[done.listed.path]
                if isinstance(done, Failure):
                    vectors[at] = done.error.reason
                else:
                    prepared[at] = done.films[0].prepared
        if prepared:
            rows = towers.embed_prepared(towers.preprocess.batch(list(prepared.values())))
            for at, row in zip(prepared, rows, strict=True):
                vectors[at] = np.asarray(row, np.float32) if np.isfinite(row).all() else "the model cannot embed it"
        return vectors


def called(file: UploadFile) -> str:
    return (file.filename or "the upload").replace("\\", "/").rpartition("/")[2][:80]
