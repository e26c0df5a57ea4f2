"""A pool of processes in which an item that hangs, crashes or fills memory ends alone.

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
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.decoding.rejections import Refusal
from filmroom.indexer.decoding.waiting import MOST, seconds_waited

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
    one.code for one in (Refusal.TOO_MUCH_MEMORY, Refusal.CRASHED, Refusal.TRUNCATED, Refusal.NOT_PREPARED)
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


def run(
    items: Iterable[Item],
    work: Callable[[Item], Result],
    *,
    limits: Limits,
    workers: int,
    ahead: int,
) -> Iterator[tuple[Item, Result | Rejected]]:
    """`work(item)` for every item under `limits.seconds` and `limits.memory_bytes`; each with its result, as done.

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
    under_way, more = 1, True
    try:
        _offer(feed, first)
        while under_way or more:
            while more and under_way < ahead:
                try:
                    _offer(feed, next(source))
                    under_way += 1
                except StopIteration:
                    more = False
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
    """The thread that keeps the workers busy, watches the clock and replaces the dead, until the inbox closes.

    A worker says (None, False) when it is ready, then (result, spent) for each item; spent ones are replaced. For
    every item that is to be looked at `again` a worker has ended, so that a new one comes for it.
    """
    if hasattr(signal, "pthread_sigmask"):
        # What is started from here inherits this: the process that workers are forked from imports for a second, and
        # Ctrl-C would end it in a traceback. The tracker unblocks the signal again if it is started later.
        with child_processes.safe_path():
            resource_tracker.ensure_running()
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    context = _context()
    crew: list[_Worker[Item]] = []
    pending: deque[Item] = deque()
    again: deque[Item] = deque()
    stillborn = 0

    def end(one: _Worker[Item], answer: Result | Rejected) -> None:
        if one.used and _is_doubtful(answer):
            again.append(cast(Item, one.item))
        else:
            outbox.put((one.item, answer))

    try:
        while True:
            while len(crew) < count:
                crew.append(_start(context, work, limits))
            now = time.monotonic()
            nearest = min((one.deadline for one in crew if one.busy or not one.ready), default=now + 60)
            heard = wait([inbox, *(one.pipe for one in crew)], timeout=max(0.0, nearest - now))
            if inbox in heard:
                try:
                    pending.append(inbox.recv())
                except EOFError:
                    return
            for one in list(crew):
                if one.busy and time.monotonic() > one.deadline:
                    one.forgive(limits.seconds)
                late = time.monotonic() > one.deadline and (one.busy or not one.ready)
                if one.pipe in heard or (late and one.pipe.poll()):
                    try:
                        answer = one.pipe.recv()
                    except (EOFError, OSError):
                        crew.remove(one)
                        refusal = _bury(one)
                        if one.busy:
                            end(one, refusal.error())
                        stillborn += not one.ready
                        continue
                    answer, spent = answer
                    if one.busy:
                        end(one, answer)
                        one.used = True
                    one.ready, one.busy, one.item, stillborn = True, False, None, 0
                    if spent:
                        one.process.kill()
                        crew.remove(one)
                        _bury(one)
                elif late:
                    one.process.kill()
                    crew.remove(one)
                    _bury(one)
                    if one.busy:
                        outbox.put((one.item, Refusal.TOO_SLOW.error()))
                    stillborn += not one.ready
            if stillborn >= _STILLBORN:
                raise _cannot_start()
            for one in crew:
                source = again if again and not one.used else pending
                if source and one.ready and not one.busy:
                    one.begin(source.popleft(), limits.seconds)
                    try:
                        one.pipe.send(one.item)
                    except OSError:  # died while idle: its pipe says so in the next round, the item is unhurt
                        source.appendleft(cast(Item, one.item))
                        one.item, one.busy = None, False
    except FilmroomError as error:
        outbox.put(error)
    except Exception as error:
        told = _cannot_start()
        told.__cause__ = error
        outbox.put(told)
    finally:
        inbox.close()
        for one in crew:
            one.process.kill()
        for one in crew:
            _bury(one)


def _is_doubtful(answer: object) -> bool:
    return isinstance(answer, Rejected) and answer.code in _DOUBTFUL


def _cannot_start() -> FilmroomError:
    return FilmroomError(
        "the decoding processes cannot be started",
        fix="Check free memory and process limits; run `filmroom doctor`",
    )


def _context() -> BaseContext:
    """Never fork: the parent has threads (ONNX Runtime, faiss), and a fork copies their locks as they stand."""
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


def _bury(one: _Worker[Item]) -> Refusal:
    """Wait for the dead and say what it died of."""
    one.pipe.close()
    one.process.join(_GRACE)
    if one.process.is_alive():
        one.process.kill()
        one.process.join()
    alarm = getattr(signal, "SIGALRM", None)
    code = one.process.exitcode
    one.process.close()
    return Refusal.TOO_SLOW if alarm is not None and code == -alarm else Refusal.CRASHED


def _serve(pipe: Connection, work: Callable[[Item], Result], limits: Limits) -> None:
    """The life of a worker. Its time-out is the parent's to keep; the alarm is for when there is no parent any more."""
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
    """Decoders written in C print what they find in a file; nothing of a file may get into a log."""
    os.environ["RUST_BACKTRACE"] = "0"  # a decoder in Rust that panics spends seconds on one
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, 1)
    os.dup2(nowhere, 2)
    os.close(nowhere)


def _limit_memory(memory_bytes: int) -> None:
    """A limit on the heap and not on addresses, of which libraries reserve much more than they use."""
    if os.name != "posix":
        return
    import resource

    _, hard = resource.getrlimit(resource.RLIMIT_DATA)
    soft = memory_bytes if hard == resource.RLIM_INFINITY else min(memory_bytes, hard)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _heap_bytes() -> int:
    """What is allocated now, 0 where the system does not say.

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
