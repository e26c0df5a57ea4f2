"""Several people are answered at once; who changes the index waits for them, and they for him."""

from __future__ import annotations

import threading
from pathlib import Path

import numpy as np
import pytest
from filmroom.db.vector_index.sharing import Sharing

from tests.db.vector_bench import DIM, make_bench, unit

PATIENCE = 60


def test_two_scans_run_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = make_bench(tmp_path, 50)
    index = bench.open()
    both = threading.Barrier(2, timeout=PATIENCE)
    scan = index._rows.scan
    monkeypatch.setattr(index._rows, "scan", lambda *asked: (both.wait(), scan(*asked))[1])
    query = unit(np.random.default_rng(1), 1, DIM)
    answers: list[list[int]] = []
    threads = [threading.Thread(target=lambda: answers.append(index.search(query, 5).film_ids[0].tolist()))] * 1
    threads.append(threading.Thread(target=lambda: answers.append(index.search(query, 5).film_ids[0].tolist())))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    assert len(answers) == 2
    assert answers[0] == answers[1]


def test_a_change_waits_for_readers_and_goes_before_later_ones() -> None:
    sharing, order = Sharing(), list[str]()
    waiting = threading.Event()

    def change() -> None:
        waiting.set()
        with sharing.changing():
            order.append("change")

    def read() -> None:
        with sharing.reading():
            order.append("read")

    with sharing.reading():
        writer = threading.Thread(target=change)
        writer.start()
        assert waiting.wait(PATIENCE)
        while not sharing._writers:
            pass
        reader = threading.Thread(target=read)
        reader.start()
        order.append("first")
    for thread in (writer, reader):
        thread.join(PATIENCE)
    assert order == ["first", "change", "read"]


def test_a_fault_lets_go() -> None:
    sharing = Sharing()
    for hold in (sharing.reading, sharing.changing, sharing.reading):
        with pytest.raises(ZeroDivisionError), hold():
            _ = 1 / 0
    with sharing.changing():
        pass
