"""Spread the decoding and embedding of files over a cluster by Ray Data. Nothing is written here: who asked commits.

Two stages of actors with a bounded number of blocks between them: decoders, one a CPU, and towers, one a GPU, or one a
machine where there are none. A worker or machine that is lost is replaced and its blocks are made again, so an answer
may come twice: the first counts.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from filmroom.db.batching import chunked
from filmroom.db.errors import FilmroomError
from filmroom.db.records import SourceFile, Space
from filmroom.indexer.cluster.stages import (
    COLUMN,
    Decode,
    DecodeFiles,
    EmbedFilms,
    Fault,
    Task,
    hash_files,
    pack,
    unpack,
)
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import Processed
from filmroom.indexer.sources.bucket import Bucket
from filmroom.indexer.sources.dicomweb import Server

PORTION = 100_000
"""Files whose listing is handed to Ray at once; between two portions the actors are made anew, in seconds."""

BLOCK = 32
"""Files that travel together."""

HASHED_BLOCK = 64

Answer = TypeVar("Answer")


class Spread:
    """A cluster to decode and embed on. `ray` is the connected module; `decoders` is how many actors decode, one a CPU
    by default."""

    def __init__(self, ray: Any, *, decoders: int | None = None) -> None:
        self._ray = ray
        resources = ray.cluster_resources()
        self._decoders = decoders or max(1, int(resources.get("CPU", 1)))
        self._gpus = int(resources.get("GPU", 0))
        self._machines = max(1, sum(node["Alive"] and node["Resources"].get("CPU", 0) > 0 for node in ray.nodes()))
        context = ray.data.DataContext.get_current()
        context.enable_progress_bars = False
        context.enable_rich_progress_bars = False

    def embedded(
        self,
        files: Iterable[SourceFile],
        *,
        decode: Decode,
        space: Space,
        server: Server | Bucket | None = None,
        max_bytes: int = 0,
    ) -> Generator[Processed | Failure, None, None]:
        """Decode and embed files, and yield each once, in any order. The films of a `server` are fetched by the
        decoders, up to `max_bytes` each. Raises FilmroomError where a worker cannot work, or the cluster is lost."""
        task = Task(space, decode, self._share(server), max_bytes)
        for portion in chunked(files, PORTION):
            yield from self._portion(portion, task)

    def hashed(self, files: Sequence[SourceFile]) -> Iterator[tuple[SourceFile, str | None]]:
        """Compute the SHA-256 (hex) of files, in any order; None for one that cannot be read."""
        for portion in chunked(files, PORTION):
            blocks = self._blocks(portion, HASHED_BLOCK).map_batches(
                hash_files, batch_size=None, batch_format="pyarrow", num_cpus=0.25
            )
            # All of a portion before the first: two plans of Ray at a time would share what was meant for one.
            yield from list(self._answers(portion, blocks))

    def _portion(self, portion: Sequence[SourceFile], task: Task) -> Generator[Processed | Failure, None, None]:
        actors = self._ray.data.ActorPoolStrategy
        towers = {"num_gpus": 1} if self._gpus else {"num_cpus": 0}
        block = max(1, min(BLOCK, len(portion) // (2 * self._decoders)))
        shaped = {"batch_size": None, "batch_format": "pyarrow"}
        films = (
            self._blocks(portion, block)
            .map_batches(
                DecodeFiles, fn_constructor_args=(task,), compute=actors(size=self._decoders), num_cpus=1, **shaped
            )
            .map_batches(
                EmbedFilms,
                fn_constructor_args=(task,),
                fn_constructor_kwargs={"gpu": self._gpus > 0},
                compute=actors(size=self._gpus or self._machines),
                **towers,
                **shaped,
            )
        )
        for listed, result in self._answers(portion, films):
            yield replace(result, listed=listed)

    def _blocks(self, portion: Sequence[SourceFile], size: int) -> Any:
        rows = [{COLUMN: row} for row in pack(list(enumerate(portion)))]
        return self._ray.data.from_items(rows, override_num_blocks=-(-len(rows) // size))

    def _answers(self, portion: Sequence[SourceFile], dataset: Any) -> Iterator[tuple[SourceFile, Any]]:
        """Yield each file with its answer, as it comes. Raises FilmroomError where one does not."""
        waiting = dict(enumerate(portion))
        try:
            for block in dataset.iter_batches(batch_size=None, batch_format="pyarrow"):
                for row in unpack(block):
                    if isinstance(row, Fault):
                        raise row.error()
                    number, answer = row
                    if (listed := waiting.pop(number, None)) is not None:
                        yield listed, answer
        except self._ray.exceptions.RayError as error:
            raise _lost(type(error).__name__) from None
        if waiting:
            raise _lost(f"{len(waiting):,} files did not come back")

    def _share(self, server: Server | Bucket | None) -> Server | Bucket | None:
        """Divide what a server can bear among those who ask it."""
        if isinstance(server, Server) and server.per_second:
            return replace(server, per_second=server.per_second / self._decoders)
        return server


def _lost(reason: str) -> FilmroomError:
    fix = "Do the same again: what is committed is kept, and the rest is done."
    return FilmroomError(f"the Ray cluster was lost ({reason})", fix=fix)
