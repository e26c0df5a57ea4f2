"""Index over a Ray cluster of two nodes: what one machine gives, though a node or the whole run is killed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from filmroom.db.archive import Archive
from filmroom.db.doctor import examine
from filmroom.db.errors import FilmroomError
from filmroom.db.records import Counts
from filmroom.db.writes.runs import rejected
from filmroom.indexer import pipeline
from filmroom.indexer.cluster import spread
from filmroom.indexer.decoding.limits import Limits
from filmroom.indexer.models.registry import add_model, load_towers
from filmroom.indexer.pipeline import Options, Summary, index

from tests.conftest import write_film
from tests.indexer.hostile_files import many_scans
from tests.indexer.runs import content
from tests.terminal import Terminal

ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
pytestmark = pytest.mark.slow

LIMITS = Limits(seconds=4.0)
FILMS = 48
COMMAND = (  # most are still to come when the first are committed
    "from filmroom.cli import main\n"
    "from filmroom.indexer import pipeline\n"
    "from filmroom.indexer.cluster import spread\n"
    "pipeline.BATCH = spread.BLOCK = 8\n"
    "main()\n"
)
SETTINGS = {
    # By default its workers give way to every other program, and these tests wait for them.
    "RAY_worker_niceness": "0",
    "RAY_prestart_worker_first_driver": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "OMP_NUM_THREADS": "1",
}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """A head and a second node, each a Ray of its own with one CPU."""
    from ray.cluster_utils import Cluster

    before = {name: os.environ.get(name) for name in SETTINGS}
    os.environ.update(SETTINGS)
    own = signal.getsignal(signal.SIGTERM)  # which Ray takes for itself
    head = {"num_cpus": 1, "object_store_memory": 100 * 2**20, "include_dashboard": False, "include_log_monitor": False}
    made = Cluster(initialize_head=True, head_node_args=head)
    made.second = made.add_node(num_cpus=1, object_store_memory=100 * 2**20)
    signal.signal(signal.SIGTERM, own)
    yield made
    made.shutdown()
    for name, value in before.items():
        os.environ.pop(name) if value is None else os.environ.__setitem__(name, value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Films that take a while to read, and what is to be rejected: one that would never end, one that is none."""
    films = tmp_path_factory.mktemp("films")
    first = write_film(films / "film-000.png", 0, side=1200).read_bytes()
    for number in range(1, FILMS):
        (films / f"film-{number:03}.png").write_bytes(first + number.to_bytes(4, "big"))  # another file, and film
    (films / "endless.jpg").write_bytes(many_scans(1500))
    (films / "cut.png").write_bytes(first[:5000])
    (films / "notes.txt").write_text("No film.")
    (films / "copy.png").write_bytes(first)
    return films


def run(archive: Path, folder: Path, model: Path, **more: Any) -> Summary:
    on_progress = more.pop("on_progress", lambda counts: None)
    options = Options(LIMITS, **more)
    with_model = load_towers(str(model))
    return index(Archive.create(archive), [folder], with_model, options=options, on_progress=on_progress)


def vectors(archive: Path) -> dict[str, np.ndarray]:
    return {key: np.frombuffer(value, np.float16) for key, value in content(Archive.open(archive)).items()}


def turned_away(archive: Path) -> list[tuple[str, str]]:
    return sorted((file.path, file.code) for file in rejected(Archive.open(archive).catalog))


def test_a_node_that_is_killed_costs_nothing(
    cluster: Any, folder: Path, tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The result is the same as one machine's: ids, vectors, and one place for every file."""
    for module, name in ((spread, "BLOCK"), (pipeline, "BATCH")):
        monkeypatch.setattr(module, name, 8)  # most are still to come when the first are committed
    add_model(str(tiny))
    alone = run(tmp_path / "alone", folder, tiny)
    killed_at: list[int] = []

    def kill_the_second(counts: Counts) -> None:
        if counts.indexed and not killed_at:
            killed_at.append(counts.done)
            cluster.remove_node(cluster.second, allow_graceful=False)

    done = run(tmp_path / "spread", folder, tiny, ray=cluster.address, on_progress=kill_the_second)
    assert killed_at, "the node was not killed"
    assert killed_at[0] < done.counts.listed / 2, "the node was killed when most was done"
    assert asdict(done.counts) == asdict(alone.counts)
    assert done.counts.listed == done.counts.done == FILMS + 4
    assert turned_away(tmp_path / "spread") == turned_away(tmp_path / "alone")
    assert {code for _, code in turned_away(tmp_path / "spread")} == {"TOO_SLOW", "TRUNCATED", "UNKNOWN"}
    here, there = vectors(tmp_path / "alone"), vectors(tmp_path / "spread")
    assert here.keys() == there.keys()
    assert max(np.abs(here[key] - there[key]).max() for key in here) < 1e-3
    assert examine(Archive.open(tmp_path / "spread")).faults == ()


def test_a_run_that_is_killed_is_resumed(cluster: Any, folder: Path, tiny: Path, tmp_path: Path) -> None:
    add_model(str(tiny))
    program = [sys.executable, "-P", "-c", COMMAND, "index", str(folder)]
    asked = [*program, "--archive", str(tmp_path / "archive"), "--model", "tiny", "--max-seconds", "4"]
    # A module that lies where the command is typed is no part of the program, on no machine.
    beside = tmp_path / "beside"
    beside.mkdir()
    (beside / "gdcm.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    (beside / "pydicom.py").write_text(f"open({str(tmp_path / 'run')!r}, 'w')")
    first = subprocess.Popen([*asked, "--ray", cluster.address], cwd=beside, stderr=subprocess.DEVNULL)
    try:
        kept = 0
        until = time.monotonic() + 240
        while not kept and first.poll() is None and time.monotonic() < until:
            time.sleep(0.1)
            if (tmp_path / "archive" / "catalog.sqlite").is_file():
                kept = len(content(Archive.open(tmp_path / "archive")))
    finally:
        first.send_signal(signal.SIGKILL)
        first.wait()
    assert 0 < kept < FILMS
    done = run(tmp_path / "archive", folder, tiny, ray=cluster.address)
    assert done.counts.done == done.counts.listed == FILMS + 4
    assert done.counts.unchanged >= kept
    assert done.counts.indexed + done.counts.unchanged + done.counts.rejected + done.counts.duplicate == FILMS + 4
    assert len(content(Archive.open(tmp_path / "archive"))) == FILMS
    assert examine(Archive.open(tmp_path / "archive")).faults == ()
    assert not (tmp_path / "run").exists()


def test_no_cluster_is_one_line(tiny: Path, folder: Path, terminal: Terminal) -> None:
    terminal("index", folder, "--model", tiny, "--ray", "127.0.0.1:1")
    assert terminal.code == 1
    (line,) = [one for one in terminal.err.splitlines() if one.startswith("filmroom: ")]
    assert line.startswith("filmroom: 127.0.0.1:1: no Ray cluster can be reached")
    assert FilmroomError.__name__ not in terminal.err
