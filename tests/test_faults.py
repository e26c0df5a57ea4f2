"""Whatever happens to a run, nothing that was committed is lost, and every search is right or says why not."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests import faults

pytestmark = pytest.mark.slow


def test_killed_at_commits_flushes_and_renames(tmp_path: Path) -> None:
    done = faults.run("kills", tmp_path, 4, films=7)
    assert done["kills"] >= 6
    assert done["lost"] == 0


def test_killed_at_random(tmp_path: Path) -> None:
    assert faults.run("chance", tmp_path, 5)["lost"] == 0


def test_writes_that_fail(tmp_path: Path) -> None:
    done = faults.run("writes", tmp_path, 5)
    assert done["faults"] >= 2
    assert (done["lost"], done["said nothing"]) == (0, 0)


def test_a_full_disk(tmp_path: Path) -> None:
    done = faults.run("disk", tmp_path, 3)
    if "not allowed" in done:
        pytest.skip("a small disk cannot be mounted here")
    assert done["full"] >= 1
    assert (done["lost"], done["said nothing"]) == (0, 0)


def test_two_indexers_and_ten_searchers_at_once(tmp_path: Path) -> None:
    done = faults.run("storm", tmp_path, 5)
    assert done["searches"] > 20
    assert done["kills"] > 0
    assert (done["wrong answers"], done["lost"], done["faults"]) == (0, 0, 0)
