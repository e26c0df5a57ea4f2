"""Faults put in the way of an archive: kills, full disks, failing writes, and many users at once.

    python -m tests.faults kills|chance|writes|disk|storm FOLDER [NUMBER]

Runs in a process of its own, which imports everything once and forks for every trial; prints what it did as JSON.
"""

from __future__ import annotations

import json
import os
import random
import resource
import shutil
import signal
import subprocess
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime  # noqa: F401  (for the children)
from filmroom.db import doctor
from filmroom.db.archive import Archive
from filmroom.db.catalog import Catalog
from filmroom.db.errors import ArchiveBusy, FilmroomError, Rejected
from filmroom.db.records import State
from filmroom.db.schema import embedding, film
from filmroom.indexer import pipeline
from filmroom.indexer.decoding import workers
from filmroom.indexer.decoding.rejections import Failure
from filmroom.indexer.models.registry import load_towers
from filmroom.search.searcher import Searcher
from PIL import Image
from sqlalchemy import Connection, select

from tests.tiny_model import make_model

SIDE, SHADE = 40, 8


def write_film(path: Path, seed: int) -> None:
    """Another picture for every seed, written aside, as a scanner's gateway does."""
    path.parent.mkdir(parents=True, exist_ok=True)
    coarse = np.random.default_rng(seed).integers(0, 255, (SHADE, SHADE)).astype(np.uint8)
    aside = path.with_name("." + path.name)
    Image.fromarray(coarse).resize((SIDE, SIDE)).save(aside, "PNG")
    os.replace(aside, path)


def decoded_here(items: Any, **how: Any) -> Iterator[Any]:
    """In place of the pool of workers, whose own tests are elsewhere: a fork a trial is then all that is needed."""
    for name in ("workers", "ahead"):
        how.pop(name, None)
    for one in items:
        try:
            yield workers._process_file(one, **how)
        except Rejected as error:
            yield Failure(one, error)


def index(archive: Path, folders: list[Path], model: Path) -> None:
    pipeline.process = decoded_here  # type: ignore[assignment]
    pipeline.BATCH = 3  # more commits for as many films
    pipeline.index(Archive.create(archive), folders, load_towers(str(model)))


def trial(work: Callable[[], object]) -> int:
    """`work` in a child: 0, 3 for a fault said in one line, 1 for any other, or minus the signal it died of."""
    child = os.fork()
    if child == 0:
        _child(work)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def _child(work: Callable[[], object]) -> None:
    code = 1
    try:
        work()
        code = 0
    except FilmroomError:
        code = 3
    except BaseException:
        traceback.print_exc()
    os._exit(code)


def at_every_point(tick: Callable[[str], None]) -> None:
    """Calls `tick` before and after each commit, flush and rename."""
    write = Catalog.write

    @contextmanager
    def told(self: Catalog) -> Iterator[Connection]:
        with write(self) as connection:
            yield connection
            tick("before a commit")
        tick("after a commit")

    Catalog.write = told  # type: ignore[method-assign]
    for name in ("fsync", "replace"):
        setattr(os, name, _told(getattr(os, name), tick, name))


def _told(real: Callable[..., Any], tick: Callable[[str], None], name: str) -> Callable[..., Any]:
    def call(*given: Any) -> Any:
        tick(f"before {name}")
        done = real(*given)
        tick(f"after {name}")
        return done

    return call


def contents(archive: Archive) -> dict[str, bytes]:
    """The vectors of every present film by its identity."""
    statement = select(film.c.identity, embedding.c.vectors).join(embedding, embedding.c.film_id == film.c.id)
    with archive.catalog.read() as connection:
        return {row[0]: row[1] for row in connection.execute(statement.where(film.c.state == State.PRESENT.value))}


class Bench:
    """A folder of films, a model, and what an unbroken run makes of them."""

    def __init__(self, folder: Path, films: int) -> None:
        self.folder, self.films = folder, folder / "films"
        self.model = make_model(folder / "tiny")
        for number in range(films):
            write_film(self.films / f"{number:03}.png", number)
        (self.films / "no film.txt").write_text("no film")
        self.archive = folder / "archive"
        assert trial(lambda: index(folder / "unbroken", [self.films], self.model)) == 0
        unbroken = Archive.open(folder / "unbroken")
        self.truth = contents(unbroken)
        unbroken.catalog.close()
        assert len(self.truth) == films

    def fresh(self) -> None:
        shutil.rmtree(self.archive, ignore_errors=True)

    def committed(self) -> dict[str, bytes]:
        """What the archive holds now. No connection stays open, as the next trial forks."""
        try:
            archive = Archive.open(self.archive)
        except FilmroomError:
            return {}
        found = contents(archive)
        archive.catalog.close()
        return found

    def lost(self) -> int:
        """Runs again, without a fault, and counts what is missing, different, embedded twice, or faulty."""
        before = self.committed()
        if trial(lambda: index(self.archive, [self.films], self.model)) != 0:
            return len(self.truth)
        archive = Archive.open(self.archive)
        found = contents(archive)
        with archive.catalog.read() as connection:
            ids = list(connection.scalars(select(embedding.c.id)))
        again = max(ids) - len(self.truth)
        faults = doctor.examine(archive).faults
        archive.catalog.close()
        gone = sum(found.get(name) != vector for name, vector in before.items())
        return gone + len(dict(found.items() ^ self.truth.items())) + again + len(faults)


def kills(bench: Bench, step: int) -> dict[str, int]:
    """Killed at every (`step`-th) commit, flush and rename; then run again."""
    counted = bench.folder / "points"

    def count() -> None:
        points: list[str] = []
        at_every_point(points.append)
        index(bench.archive, [bench.films], bench.model)
        counted.write_text(str(len(points)))

    def killed_at(point: int) -> None:
        left = point

        def tick(_: str) -> None:
            nonlocal left
            left -= 1
            if left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

        at_every_point(tick)
        index(bench.archive, [bench.films], bench.model)

    bench.fresh()
    assert trial(count) == 0
    tally: Counter[str] = Counter()
    for point in range(1, int(counted.read_text()) + 1, step):
        bench.fresh()
        tally["kills"] += trial(lambda point=point: killed_at(point)) == -signal.SIGKILL  # type: ignore[misc]
        tally["lost"] += bench.lost()
    return tally


def chance(bench: Bench, trials: int) -> dict[str, int]:
    """Killed at a random instant, again and again on one archive; then run to its end."""
    luck, tally = random.Random(5), Counter[str]()
    bench.fresh()
    for number in range(trials):
        if number % 5 == 0:
            tally["lost"] += bench.lost() if number else 0
            bench.fresh()
        before = bench.committed()
        child = os.fork()
        if child == 0:
            _child(lambda: index(bench.archive, [bench.films], bench.model))
        time.sleep(luck.uniform(0.05, 0.6))
        os.kill(child, signal.SIGKILL)
        tally["kills"] += os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
        tally["lost"] += len(before.keys() - bench.committed().keys())
    tally["lost"] += bench.lost()
    return tally


def writes(bench: Bench, trials: int) -> dict[str, int]:
    """No file may grow beyond a size, which is another in every trial: writes fail wherever that falls."""
    tally: Counter[str] = Counter()
    for size in np.geomspace(4_000, 400_000, trials).astype(int).tolist():

        def limited(size: int = size) -> None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
            index(bench.archive, [bench.films], bench.model)

        bench.fresh()
        code = trial(limited)
        tally["faults"] += code == 3
        tally["said nothing"] += code not in (0, 3)
        tally["lost"] += bench.lost()
    return tally


def disk(bench: Bench, trials: int) -> dict[str, int]:
    """The archive on a small disk that fills up, and is then made larger. Needs to be allowed to mount."""
    place = bench.folder / "small disk"
    tally: Counter[str] = Counter()
    for size in np.geomspace(60, 600, trials).astype(int).tolist():
        place.mkdir(exist_ok=True)
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}k", "tmpfs", place], capture_output=True)
        if mounted.returncode:
            return {"not allowed": 1}
        try:
            bench.archive = place / "archive"
            code = trial(lambda: index(bench.archive, [bench.films], bench.model))
            tally["full"] += code == 3
            tally["said nothing"] += code not in (0, 3)
            subprocess.run(["mount", "-o", "remount,size=64m", place], check=True)
            tally["lost"] += bench.lost()
        finally:
            subprocess.run(["umount", place], check=True)
    return tally


def storm(bench: Bench, seconds: int) -> dict[str, int]:
    """Two indexers on folders that change, killed now and then, and ten searchers who check every answer."""
    bench.fresh()
    assert trial(lambda: index(bench.archive, [bench.films], bench.model)) == 0
    until, luck, tally = time.monotonic() + seconds, random.Random(3), Counter[str]()
    searchers = [_start(lambda n=n: _searching(bench, n, until)) for n in range(10)]  # type: ignore[misc]
    writers = {name: _start(lambda name=name: _writing(bench, name, until)) for name in "ab"}  # type: ignore[misc]
    while not tally["kills"] or time.monotonic() < until:  # to start them all may take as long
        time.sleep(luck.uniform(1.0, 3.0))
        name = luck.choice("ab")
        os.kill(writers[name], signal.SIGKILL)
        os.waitpid(writers[name], 0)
        tally["kills"] += 1
        writers[name] = _start(lambda name=name: _writing(bench, name, until))  # type: ignore[misc]
    for child in (*writers.values(), *searchers):
        os.waitpid(child, 0)
    for path in bench.folder.glob("*.tally"):
        tally.update(json.loads(path.read_text()))
    with suppress(FileNotFoundError):
        shutil.rmtree(bench.folder / "a")
        shutil.rmtree(bench.folder / "b")
    tally["lost"] += sum(bench.committed().get(name) != vector for name, vector in bench.truth.items())
    archive = Archive.open(bench.archive)
    tally["faults"] += len(doctor.repair(archive).faults)
    return tally


def _start(work: Callable[[], object]) -> int:
    child = os.fork()
    if child == 0:
        _child(work)
    return child


def _writing(bench: Bench, name: str, until: float) -> None:
    tally, folder, round_ = Counter[str](), bench.folder / name, 0
    while time.monotonic() < until:
        luck = random.Random(f"{name} {os.getpid()} {round_}")
        round_ += 1
        for _ in range(3):
            write_film(folder / f"{luck.randrange(30)}.png", 1000 + luck.randrange(60))
            (folder / f"{luck.randrange(30)}.png").unlink(missing_ok=True)
        try:
            index(bench.archive, [folder], bench.model)
            tally["runs"] += 1
        except ArchiveBusy:
            tally["runs that waited"] += 1
            time.sleep(0.05)
        # Kept after every round, as this process may not live to its end, not even to that of a write.
        aside = bench.folder / f"{name}-{os.getpid()}.part"
        aside.write_text(json.dumps(tally))
        os.replace(aside, aside.with_suffix(".tally"))


def _searching(bench: Bench, number: int, until: float) -> None:
    """Every answer is held against what the catalog said before and after it."""
    tally = Counter[str]()
    searcher = Searcher.open(bench.archive, str(bench.model))
    # On a slow machine a little longer, so that some answers are had.
    while (now := time.monotonic()) < until or (tally["searches"] < 3 and now < until + 60):
        words = f"effusion {number} {tally['searches'] % 7}"
        try:
            before = _scores(searcher, words)
            found = searcher.search(words, k=10)
            after = _scores(searcher, words)
        except FilmroomError as error:
            tally["searches that said why not"] += 1
            tally[f"said: {error.what}"] += 1
            continue
        tally["searches"] += 1
        tally["wrong answers"] += not _right(found, before, after)
    (bench.folder / f"searcher-{number}.tally").write_text(json.dumps(tally))


def _scores(searcher: Searcher, words: str) -> dict[int, float]:
    """The score that each present film deserves, from the catalog alone."""
    vector = searcher.vector(words)
    assert vector is not None
    with searcher.archive.catalog.read() as connection:
        statement = (
            select(film.c.id, embedding.c.vectors)
            .join(embedding, embedding.c.film_id == film.c.id)
            .where(film.c.state == State.PRESENT.value)
        )
        return {
            row[0]: float(np.frombuffer(row[1], np.float16).astype(np.float32) @ vector)
            for row in connection.execute(statement)
        }


def _right(found: Any, before: dict[int, float], after: dict[int, float]) -> bool:
    hits = {hit.id: hit.score for hit in found.hits}
    known = before | after
    scores = list(hits.values())
    return (
        scores == sorted(scores, reverse=True)
        # No film that was not there, none with another's score; and none left out that was there all the while.
        and all(name in known and min(abs(score - at.get(name, 9)) for at in (before, after)) < 5e-3
                for name, score in hits.items())
        and all(name in hits or score < min(scores, default=9) + 5e-3
                for name, score in before.items() if after.get(name) == score and len(hits) == 10)
        and (len(hits) == 10 or before.keys() & after.keys() <= hits.keys())
    )  # fmt: skip


TRIALS: dict[str, tuple[Callable[[Bench, int], dict[str, int]], int]] = {
    "kills": (kills, 1),
    "chance": (chance, 20),
    "writes": (writes, 20),
    "disk": (disk, 10),
    "storm": (storm, 60),
}


def run(name: str, folder: Path, number: int | None = None, *, films: int = 12) -> dict[str, int]:
    """In a process of its own, whose threads a fork cannot disturb."""
    command = [sys.executable, "-m", "tests.faults", name, str(folder), str(number or TRIALS[name][1]), str(films)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    root = Path(__file__).resolve().parents[1]
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    if done.returncode:
        raise AssertionError(done.stderr[-4000:])
    told: dict[str, int] = json.loads(done.stdout.splitlines()[-1])
    return told


if __name__ == "__main__":
    faults, _ = TRIALS[sys.argv[1]]
    place = Path(sys.argv[2])
    place.mkdir(parents=True, exist_ok=True)
    print(json.dumps(dict(faults(Bench(place, int(sys.argv[4])), int(sys.argv[3])))))
