"""What is said before a cluster is asked anything, and what its workers refuse."""

from __future__ import annotations

import pickle
import socket
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from filmroom.db.errors import BadInput, FilmroomError, MissingExtra
from filmroom.db.records import SourceFile, Space
from filmroom.indexer import pipeline
from filmroom.indexer.cluster import connection, stages
from filmroom.indexer.decoding.workers import process

from tests.terminal import Terminal

SPACE = Space("none of ours", "0" * 64, 4)


def task(**more: Any) -> stages.Task:
    return stages.Task(SPACE, partial(process, key=b"secret of the archive"), **more)


def test_without_ray_the_extra_is_named(terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "find_spec", lambda name: None)
    terminal("index", tmp_path, "--ray")
    assert terminal.code == 1
    assert terminal.err.splitlines() == [
        "filmroom: indexing over a cluster needs an optional package. Install it with: pip install 'filmroom[ray]'"
    ]
    assert not (tmp_path / "archive").exists()
    with pytest.raises(MissingExtra):
        connection.check_address(connection.HERE)


@pytest.mark.parametrize(
    ("typed", "address"),
    [
        (["FILMS", "--ray"], "here"),
        (["--ray", "FILMS"], "here"),
        (["--ray", "--retry", "FILMS"], "here"),
        (["FILMS", "--ray", "head.example:6379"], "head.example:6379"),
        (["--ray", "10.0.0.1:6379", "FILMS"], "10.0.0.1:6379"),
        (["--ray=here", "FILMS"], "here"),
        (["FILMS"], None),
    ],
)
def test_ray_may_stand_alone(
    typed: list[str], address: str | None, terminal: Terminal, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    def check(sources: object, options: pipeline.Options) -> None:
        asked.append((sources, options.ray))
        raise BadInput("asked")

    monkeypatch.setattr(pipeline, "check", check)
    terminal("index", *[str(tmp_path) if one == "FILMS" else one for one in typed])
    assert asked == [([tmp_path], address)], terminal.err


def test_the_client_of_ray_is_refused(terminal: Terminal, tmp_path: Path) -> None:
    pytest.importorskip("ray")
    terminal("index", tmp_path, "--ray", "ray://head.example:10001")
    assert terminal.code == 1
    assert "Run the command on a machine of the cluster" in terminal.err


def test_a_machine_that_does_not_see_the_folder_says_so(tmp_path: Path) -> None:
    """Its films would be rejected as unreadable, one by one."""
    pa = pytest.importorskip("pyarrow")
    there = tmp_path / "there"
    there.mkdir()
    listed = [SourceFile(str(there), "film.png", 1, 1)]

    def answers() -> list[Any]:
        block = pa.table({stages.COLUMN: stages.pack(list(enumerate(listed)))})
        return stages.unpack(stages.hash_files(block))

    (fault,) = answers()
    assert isinstance(fault, stages.Fault)
    assert str(fault.error()).startswith(f"{there}: is not there, or empty, on {socket.gethostname()}.")
    assert "Mount it" in str(fault.error())
    (there / "another.png").touch()  # the one file was deleted meanwhile, and the folder is there
    assert answers() == [(0, None)]


def test_another_release_is_refused() -> None:
    task().check_release()
    with pytest.raises(FilmroomError, match=r"and the run is of 0\.0\.1"):
        task(release=("0.0.1", 1)).check_release()


def test_what_goes_wrong_in_a_worker_is_an_answer_without_its_words() -> None:
    """A message of a library may quote a file, and Ray would log it and try for ever."""
    pa = pytest.importorskip("pyarrow")
    block = pa.table({stages.COLUMN: stages.pack([(0, "a name")])})
    (fault,) = stages.unpack(stages.EmbedFilms(task(), gpu=False)(block))
    assert isinstance(fault, stages.Fault)
    assert "not known here" in fault.problem
    (broken,) = stages.unpack(stages.DecodeFiles(task())(block))
    assert broken.problem == "a worker failed (AttributeError)"
    assert "a name" not in str(broken.error())
    (passed_on,) = stages.unpack(stages.EmbedFilms(task(), gpu=False)(pa.table({stages.COLUMN: stages.pack([fault])})))
    assert passed_on == fault


def test_the_key_of_the_patients_is_not_shown() -> None:
    assert "secret" not in repr(task())
    assert pickle.loads(pickle.dumps(task())).space == SPACE
