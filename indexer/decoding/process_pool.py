"""Run a pool of processes in which an item that hangs, crashes or fills memory ends alone.

Each worker has a pipe of its own, so that one which dies in the middle of a message spoils nobody else's: the
pools of the standard library, loky and pebble share a pipe and its lock among workers, and stop as a whole.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import queue
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import BaseContext
from multiprocessing.process import BaseProcess
from typing import Any, Generic, TypeVar, cast

from filmroom.db.errors import FilmroomError, Rejected
from filmroom.indexer import child_processes, main_script
from filmroom.indexer.decoding.cpu_wait import MOST, seconds_waited
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.rejections import Refusal

Item = TypeVar("Item")
Result = TypeVar("Result")

# Imported once by the process that workers are forked from: starting another one then costs milliseconds.
_PRELOAD = ["filmroom.indexer.decoding.workers", "filmroom.indexer.decoding.dicom.read"]
_START_SECONDS = 120.0  # for those imports, on a machine that is busy with much else
_GRACE = 2.0
_STILLBORN = 3
_KEPT_SHARE = 0.25  # of the memory limit: a worker that comes to hold more between two files is replaced
# What a sound film, too, may meet in a worker in which another has left memory or a broken decoder behind.
_DOUBTFUL = frozenset(
    refusal.code for refusal in (Refusal.TOO_MUCH_MEMORY, Refusal.CRASHED, Refusal.TRUNCATED, Refusal.NOT_PREPARED)
)


@dataclass
class _Worker(Generic[Item]):
    process: BaseProcess
    pipe: Connection
    deadline: float
    ready: bool = False
    busy: bool = False
    used: bool = False
    item: Item | None = None
    begun: float = 0.0
    waited: float = 0.0

    def begin(self, item: Item, seconds: float) -> None:
        self.item, self.busy = item, True
        self.begun, self.waited = time.monotonic(), seconds_waited(self.process.pid)
        self.deadline = self.begun + seconds

    def forgive(self, seconds: float) -> None:
        """Put the deadline off by what the worker stood ready and got no CPU."""
        waited = seconds_waited(self.process.pid) - self.waited
        self.deadline = self.begun + seconds + min(max(waited, 0.0), MOST * seconds)

    def is_timed(self) -> bool:
        """Tell whether something is expected of it by its deadline."""
        return self.busy or not self.ready

    def is_late(self) -> bool:
        return self.is_timed() and time.monotonic() > self.deadline


def run(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    limits: Limits,
    workers: int,
    ahead: int,
) -> Iterator[tuple[Item, Result | Rejected]]:
    """Run `work(item)` for every item under `limits.seconds` and `limits.memory_bytes`; each with its result, as
    done.

    `work` and items are pickled. What `work` raises other than Rejected counts as a crash on that item. An item that
    is refused for want of memory, by a crash or as damaged ends its worker, and is believed only of a worker that had
    no other before it: no item suffers from another. At most `ahead` items are under way. The workers end when the
    generator does, when this process dies in whatever way, and never by Ctrl-C, which is for the caller to handle.

    Raises FilmroomError where workers cannot be started.
    """
    source = iter(items)
    try:
        first = next(source)
    except StopIteration:
        return
    inbox, feed = multiprocessing.Pipe(duplex=False)
    outbox: queue.SimpleQueue[tuple[Item, Result | Rejected] | FilmroomError] = queue.SimpleQueue()
    tender = threading.Thread(
        target=_tend, args=(inbox, outbox, work, limits, workers), name="filmroom-pool", daemon=True
    )
    tender.start()
    under_way, items_left = 1, True
    try:
        _offer(feed, first)
        while under_way or items_left:
            while items_left and under_way < ahead:
                try:
                    _offer(feed, next(source))
                    under_way += 1
                except StopIteration:
                    items_left = False
            if not under_way:
                return
            answer = outbox.get()
            if isinstance(answer, FilmroomError):
                raise answer
            under_way -= 1
            yield answer
    finally:
        feed.close()
        tender.join()


def _offer(feed: Connection, item: object) -> None:
    with contextlib.suppress(OSError):  # the tender is gone, and has said why in the outbox
        feed.send(item)


def _tend(
    inbox: Connection,
    outbox: queue.SimpleQueue[Any],
    work: Callable[[Item], Result],
    limits: Limits,
    count: int,
) -> None:
    """Keep the workers busy, watch the clock and replace the dead, in a thread, until the inbox closes."""
    _block_interrupts()
    crew = _Crew(work, limits, count, outbox)
    try:
        crew.serve(inbox)
    except FilmroomError as error:
        outbox.put(error)
    except Exception as error:
        not_started = _cannot_start()
        not_started.__cause__ = error
        outbox.put(not_started)
    finally:
        inbox.close()
        crew.dismiss()


class _Crew(Generic[Item, Result]):
    """The workers, the items that wait for them, and those to be looked at `again`: for each of these a worker has
    ended, so that a new one comes for it.

    A worker sends (None, False) when it is ready, then (result, spent) for each item; spent ones are replaced.
    """

    def __init__(
        self, work: Callable[[Item], Result], limits: Limits, count: int, outbox: queue.SimpleQueue[Any]
    ) -> None:
        self._work, self._limits, self._count, self._outbox = work, limits, count, outbox
        self._context = _context()
        self._workers: list[_Worker[Item]] = []
        self._pending: deque[Item] = deque()
        self._again: deque[Item] = deque()
        self._stillborn = 0

    def serve(self, inbox: Connection) -> None:
        """Take items and give results until the inbox closes. Raises FilmroomError where workers cannot be started."""
        while True:
            while len(self._workers) < self._count:
                self._workers.append(_start(self._context, self._work, self._limits))
            heard = self._wait(inbox)
            if inbox in heard:
                try:
                    self._pending.append(inbox.recv())
                except EOFError:
                    return
            for worker in list(self._workers):
                if worker.busy and worker.is_late():
                    worker.forgive(self._limits.seconds)
                late = worker.is_late()
                if worker.pipe in heard or (late and worker.pipe.poll()):
                    self._hear(worker)
                elif late:
                    self._remove(worker, kill=True)
                    self._has_died(worker, Refusal.TOO_SLOW)
            if self._stillborn >= _STILLBORN:
                raise _cannot_start()
            self._hand_out()

    def dismiss(self) -> None:
        """End all workers, at once."""
        for worker in self._workers:
            worker.process.kill()
        for worker in self._workers:
            _bury(worker)

    def _wait(self, inbox: Connection) -> list[Any]:
        """Wait for what has something to say, at most until the next worker is late."""
        now = time.monotonic()
        nearest = min((worker.deadline for worker in self._workers if worker.is_timed()), default=now + 60)
        return wait([inbox, *(worker.pipe for worker in self._workers)], timeout=max(0.0, nearest - now))

    def _hear(self, worker: _Worker[Item]) -> None:
        try:
            answer, spent = worker.pipe.recv()
        except (EOFError, OSError):
            self._has_died(worker, self._remove(worker))
            return
        if worker.busy:
            self._end(worker, answer)
            worker.used = True
        worker.ready, worker.busy, worker.item, self._stillborn = True, False, None, 0
        if spent:
            self._remove(worker, kill=True)

    def _remove(self, worker: _Worker[Item], *, kill: bool = False) -> Refusal:
        if kill:
            worker.process.kill()
        self._workers.remove(worker)
        return _bury(worker)

    def _has_died(self, worker: _Worker[Item], died_of: Refusal) -> None:
        if worker.busy:
            self._end(worker, died_of.error())
        self._stillborn += not worker.ready

    def _end(self, worker: _Worker[Item], answer: Result | Rejected) -> None:
        if worker.used and _is_doubtful(answer):
            self._again.append(cast(Item, worker.item))
        else:
            self._outbox.put((worker.item, answer))

    def _hand_out(self) -> None:
        for worker in self._workers:
            source = self._again if self._again and not worker.used else self._pending
            if source and worker.ready and not worker.busy:
                worker.begin(source.popleft(), self._limits.seconds)
                try:
                    worker.pipe.send(worker.item)
                except OSError:  # died while idle: its pipe says so in the next round, the item is unhurt
                    source.appendleft(cast(Item, worker.item))
                    worker.item, worker.busy = None, False


def _block_interrupts() -> None:
    """Keep Ctrl-C from the processes that are started in this thread."""
    if hasattr(signal, "pthread_sigmask"):
        # The process that workers are forked from imports for a second, and would end in a traceback. The tracker
        # unblocks the signal again if it is started later.
        with child_processes.safe_path():
            resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})


def _is_doubtful(answer: object) -> bool:
    return isinstance(answer, Rejected) and answer.code in _DOUBTFUL


def _cannot_start() -> FilmroomError:
    return FilmroomError(
        "the decoding processes cannot be started",
        fix="Check free memory and process limits; run `filmroom doctor`",
    )


def _context() -> BaseContext:
    """Start no worker by fork: the parent has threads (ONNX Runtime, faiss), and a fork copies their locks as they
    stand."""
    return child_processes.context("forkserver", preload=_PRELOAD)


def _start(context: BaseContext, work: Callable[[Item], Result], limits: Limits) -> _Worker[Item]:
    ours, theirs = context.Pipe()
    process = context.Process(  # type: ignore[attr-defined]
        target=_serve, args=(theirs, work, limits), name="filmroom-decoder", daemon=True
    )
    setattr(process, child_processes.NEEDS_MAIN, main_script.defines(work))
    process.start()
    theirs.close()
    return _Worker(process, ours, time.monotonic() + _START_SECONDS)


def _bury(worker: _Worker[Item]) -> Refusal:
    """Wait for the dead and say what it died of."""
    worker.pipe.close()
    worker.process.join(_GRACE)
    if worker.process.is_alive():
        worker.process.kill()
        worker.process.join()
    alarm = getattr(signal, "SIGALRM", None)
    code = worker.process.exitcode
    worker.process.close()
    return Refusal.TOO_SLOW if alarm is not None and code == -alarm else Refusal.CRASHED


def _serve(pipe: Connection, work: Callable[[Item], Result], limits: Limits) -> None:
    """Serve as a worker. The time-out is the parent's to keep; the alarm is for when there is no parent any more."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    _be_quiet()
    _limit_memory(limits.memory_bytes)
    import filmroom.indexer.decoding.dicom.read  # noqa: F401  (before the clock of the first file starts)

    try:
        pipe.send((None, False))
        at_start, spent = _heap_bytes(), False
        while not spent:
            item = pipe.recv()
            _alarm((1 + MOST) * limits.seconds + _GRACE)
            answer: Result | Rejected
            try:
                answer = work(item)
            except Rejected as error:
                answer = error
            except MemoryError:
                answer = Refusal.TOO_MUCH_MEMORY.error()
            except Exception:
                answer = Refusal.CRASHED.error()
            _alarm(0)
            spent = _is_doubtful(answer) or _heap_bytes() - at_start > limits.memory_bytes * _KEPT_SHARE
            pipe.send((answer, spent))
    except (EOFError, OSError):
        return  # the parent has closed the pool, or is dead


def _be_quiet() -> None:
    """Silence decoders written in C, which print what they find in a file; nothing of a file may get into a log."""
    os.environ["RUST_BACKTRACE"] = "0"  # a decoder in Rust that panics spends seconds on one
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _limit_memory(memory_bytes: int) -> None:
    """Limit the heap and not addresses, of which libraries reserve much more than they use."""
    if os.name != "posix":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _heap_bytes() -> int:
    """Return what is allocated now, 0 where the system does not say.

    Decoders that fail in the middle leave memory behind, which the next file must not be charged with.
    """
    try:
        with open("/proc/self/statm", encoding="ascii") as file:
            return int(file.read().split()[5]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return 0


def _alarm(seconds: float) -> None:
    if hasattr(signal, "setitimer"):
        signal.setitimer(signal.ITIMER_REAL, seconds)
