"""Write copies of the films' own files, de-identified or as they are, with films.csv beside them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from filmroom.db.reads.films import file_hashes
from filmroom.search.exchange.export import copy_films
from filmroom.search.export.job import Failures, Job
from filmroom.search.results import Hit


class Copies:
    """A folder of files. Each batch is copied into a folder of its own, and moved when it is whole."""

    batch = 100

    def __init__(self, job: Job, *, deidentify: bool) -> None:
        self._job = job
        self._deidentify = deidentify
        (job.folder / "out").mkdir(exist_ok=True)

    def write(self, films: Sequence[Hit]) -> Failures:
        aside = self._job.folder / "batch"
        shutil.rmtree(aside, ignore_errors=True)
        # One key for all batches: a study whose films come in several keeps one UID that stands in for its own.
        key = bytes.fromhex(self._job.facts["copies_key"])
        done = copy_films(
            [hit.film for hit in films],
            aside,
            deidentify=self._deidentify,
            key=key,
            hashes=file_hashes(self._job.archive.catalog, [hit.id for hit in films]),
        )
        with (aside / "films.csv").open("rb") as rows:
            header = rows.readline()
            table = self._job.growing("out/films.csv")
            if not table.tell():
                table.write(header)
            shutil.copyfileobj(rows, table)
        (aside / "films.csv").unlink()
        for path in aside.iterdir():
            os.replace(path, self._job.folder / "out" / path.name)
        aside.rmdir()
        return done.failed

    def finish(self) -> Path:
        return self._job.folder / "out"
