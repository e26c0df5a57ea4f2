"""Decode and embed on the machines of a cluster: what its workers run. Ray hands them blocks of pickled answers."""

from __future__ import annotations

import os
import pickle
import socket
import tempfile
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from filmroom.db.errors import FilmroomError
from filmroom.db.records import DECODING, SourceFile, Space
from filmroom.indexer import embedding
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.decoding.workers import Processed
from filmroom.indexer.models.registry import load_space
from filmroom.indexer.sources.bucket import Bucket
from filmroom.indexer.sources.dicomweb import Server
from filmroom.indexer.sources.fetching import fetched
from filmroom.indexer.sources.listing import content_hash

COLUMN = "pickled"
"""The one column of every block: Ray is handed bytes, which no part of it needs to understand."""

Decode = Callable[..., Generator[Processed | Failure, None, None]]


@dataclass(frozen=True)
class Fault:
    """What ends the run: an error that a worker met, as text, as not every error can be pickled."""

    problem: str
    where: str | None = None
    fix: str | None = None

    def error(self) -> FilmroomError:
        """Return the error to raise."""
        return FilmroomError(self.problem, where=self.where, fix=self.fix)


@dataclass(frozen=True)
class Task:
    """What every worker needs: how to decode (`decode` is `workers.process` with its options), the space of the
    vectors, and the server or bucket that films are fetched from. The key of the patients is in `decode`."""

    space: Space
    decode: Decode = field(repr=False)
    server: Server | Bucket | None = field(default=None, repr=False)
    max_bytes: int = 0
    release: tuple[str, int] = field(default_factory=lambda: (version("filmroom"), DECODING))

    def check_release(self) -> None:
        """Raise FilmroomError where this machine has another Filmroom than the one that asks."""
        installed = (version("filmroom"), DECODING)
        if installed != self.release:
            raise FilmroomError(
                f"has Filmroom {installed[0]}, and the run is of {self.release[0]}",
                where=socket.gethostname(),
                fix="Install the same version on every machine of the cluster.",
            )


class DecodeFiles:
    """Decode files, in a process of their own under the limits, as on one machine. One actor uses one CPU."""

    def __init__(self, task: Task) -> None:
        self._task = task

    def __call__(self, block: Any) -> Any:
        return _answered(block, self._decoded)

    def _decoded(self, listed: Sequence[tuple[int, SourceFile]]) -> list[tuple[int, Processed | Failure]]:
        self._task.check_release()
        number_of = {source.path: number for number, source in listed}
        with self._files([source for _, source in listed]) as files:
            results = []
            for result in self._task.decode(files, workers=1):
                if result.listed.fetched:
                    os.unlink(result.listed.fetched)
                results.append((number_of[result.listed.path], result))
        return results

    @contextmanager
    def _files(self, sources: Sequence[SourceFile]) -> Iterator[Iterator[SourceFile]]:
        if self._task.server is None:
            _check_seen(sources)
            yield iter(sources)
            return
        with (
            tempfile.TemporaryDirectory(prefix="filmroom-") as folder,
            fetched(self._task.server.open(), sources, Path(folder), max_bytes=self._task.max_bytes) as files,
        ):
            yield files


class EmbedFilms:
    """Embed what was decoded. One actor holds the image tower, on a GPU where it was given one."""

    def __init__(self, task: Task, *, gpu: bool) -> None:
        self._task, self._gpu = task, gpu
        if not gpu:
            os.environ.pop("OMP_NUM_THREADS", None)  # Ray allows one thread where no CPU is set aside

    def __call__(self, block: Any) -> Any:
        return _answered(block, self._embedded)

    def _embedded(self, decoded: Sequence[tuple[int, Any]]) -> list[tuple[int, Any]]:
        if not hasattr(self, "_towers"):
            self._towers = load_space(self._task.space, device="cuda" if self._gpu else "cpu")
        files = [(number, answer) for number, answer in decoded if isinstance(answer, Processed)]
        embedded = embedding.embed(self._towers, [answer for _, answer in files])
        failures = [(number, answer) for number, answer in decoded if not isinstance(answer, Processed)]
        return failures + [(number, answer) for (number, _), answer in zip(files, embedded, strict=True)]


def hash_files(block: Any) -> Any:
    """Compute the SHA-256 (hex) of files; None for one that cannot be read."""

    def hashed(listed: Sequence[tuple[int, SourceFile]]) -> list[tuple[int, str | None]]:
        _check_seen([source for _, source in listed])
        return [(number, content_hash(source)) for number, source in listed]

    return _answered(block, hashed)


def pack(rows: Sequence[object]) -> list[bytes]:
    """Return the rows of a block."""
    return [pickle.dumps(row, pickle.HIGHEST_PROTOCOL) for row in rows]


def unpack(block: Any) -> list[Any]:
    """Return what was packed into a block: an Arrow table, which comes from a worker of ours."""
    return [pickle.loads(row) for row in block[COLUMN].to_pylist()]  # noqa: S301


def _answered(block: Any, work: Callable[[Sequence[tuple[int, Any]]], Sequence[object]]) -> Any:
    """Return the block of answers. What goes wrong is an answer too: Ray would log it with its surroundings, in which
    the names of files may be, and try it again for ever."""
    import pyarrow as pa

    rows = unpack(block)
    answers: Sequence[object] = [row for row in rows if isinstance(row, Fault)]
    if not answers:
        try:
            answers = work(rows)
        except FilmroomError as error:
            answers = [Fault(error.what, error.where, error.fix)]
        except Exception as error:
            fix = "Run it again, on fewer machines or without --ray if it comes back: what is committed is kept."
            answers = [Fault(f"a worker failed ({type(error).__name__})", socket.gethostname(), fix)]
    return pa.table({COLUMN: pa.array(pack(answers), pa.binary())})


def _check_seen(sources: Sequence[SourceFile]) -> None:
    """Raise FilmroomError where this machine does not see the folder: its files would all be rejected as unreadable."""
    root = Path(sources[0].root)
    if any(os.path.lexists(source.location) for source in sources):
        return
    if not root.is_dir() or not any(root.iterdir()):
        raise FilmroomError(
            f"is not there, or empty, on {socket.gethostname()}",
            where=root,
            fix="Mount it at the same path on every machine of the cluster.",
        )
