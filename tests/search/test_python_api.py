"""The package as Python sees it: light to import, the terminal's functions under their names, in plain scripts too."""

from __future__ import annotations

import inspect
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import filmroom
import numpy as np
import pytest
from filmroom import cli
from filmroom.db.errors import BadInput, NotFound
from filmroom.indexer.phantom.demo_archive import write_demo
from filmroom.search.cli import evaluation, exporting, importing, probes
from filmroom.search.python_api import OpenArchive

from tests.terminal import Terminal

ROOT = Path(__file__).resolve().parents[2]

ONLY_IN_THE_TERMINAL = {
    # Python takes limits as one object, and sources of films that `read_sources` made.
    "index": {
        "body", "credentials", "limit", "max_megabytes", "max_megapixels", "max_memory", "max_seconds", "modality",
        "requests_per_second", "since", "sources", "study",
    },
    "probe": {"report"},
    "send": {"yes"},
    "zeroshot": {"among", "finding_set", "negative", "positive", "scores"},  # Python has zeroshot_among and objects
}  # fmt: skip
"""Arguments of commands that the methods of the same name do not take. None is to be added without need."""


@pytest.fixture
def archive(films: Callable[..., Path], tiny: Path, tmp_path: Path) -> OpenArchive:
    made = filmroom.open(str(tmp_path / "archive"), model=str(tiny))
    assert made.index(films(6), workers=1).counts.indexed == 6
    return made


def test_the_package_is_light_to_import() -> None:
    """The terminal imports it before it knows the command."""
    seen = "import sys, filmroom; print(*sys.modules)"
    out = subprocess.run([sys.executable, "-c", seen], capture_output=True, text=True, check=True).stdout.split()
    ours = {name for name in out if name.split(".")[0] == "filmroom"}
    assert ours == {"filmroom", "filmroom.db", "filmroom.db.errors"}
    assert {"numpy", "sqlalchemy", "typer", "pathlib"} & set(out) <= {"pathlib"}


@pytest.mark.parametrize("name", ["index", "search", "export", "send", "evaluate", "zeroshot", "probe", "facts"])
def test_a_method_takes_what_its_command_takes_by_the_same_names(name: str) -> None:
    commands = {
        "index": cli.index, "search": cli.search, "export": exporting.export, "send": exporting.send,
        "evaluate": evaluation.evaluate, "zeroshot": evaluation.zeroshot, "probe": probes.probe,
        "facts": importing.facts,
    }  # fmt: skip
    by_the_archive = {"archive", "model", "weights", "as_json", "context"}
    in_the_terminal = set(inspect.signature(commands[name]).parameters) - by_the_archive
    in_python = set(inspect.signature(getattr(OpenArchive, name)).parameters) - {"self", "on_progress"}
    only = ONLY_IN_THE_TERMINAL.get(name, set())
    assert in_python - in_the_terminal == ({"limits", "paths"} if name == "index" else set())
    assert in_the_terminal - in_python == only


def test_search_is_that_of_the_terminal(archive: OpenArchive, terminal: Terminal, tiny: Path) -> None:
    results = archive.search("left effusion", k=4)
    said = terminal.json("search", "left effusion", "-k", 4, "--model", tiny)
    assert isinstance(said, dict)
    assert [hit.id for hit in results.hits] == [hit["id"] for hit in said["hits"]]
    assert results.total == 6
    with pytest.raises(BadInput, match="nothing to search for"):
        archive.search("  ")


def test_results_make_a_table(archive: OpenArchive) -> None:
    results = archive.search("effusion", k=3)
    table = results.to_pandas()
    assert table.index.tolist() == [hit.id for hit in results.hits]
    assert table["score"].tolist() == [hit.score for hit in results.hits]
    empty = archive.search("effusion view:LATERAL").to_pandas()
    assert empty.empty
    assert list(empty.columns) == list(table.columns)


def test_an_example_film_may_be_a_path_in_words(archive: OpenArchive, tmp_path: Path) -> None:
    film = tmp_path / "films" / "film-002.png"
    (first, *_) = archive.search(like=[str(film)], k=1).hits
    assert first.film.path == film.name
    for alone in ([film], film, str(film)):
        assert archive.search(like=alone, k=1).hits == (first,)
    for missing in ("missing.png", tmp_path, ""):
        with pytest.raises(BadInput, match="no such file"):
            archive.search(like=missing)


def test_what_cannot_be_meant_is_not_answered(archive: OpenArchive, tmp_path: Path) -> None:
    for part in ({"k": 0}, {"k": -1}, {"offset": -1}):
        with pytest.raises(BadInput, match="no part of an answer"):
            archive.search("effusion", **part)
    with pytest.raises(BadInput, match="1: this film is an example for and against"):
        archive.search("effusion", like=[1, 2], unlike=[1])
    for best in (0, -1):
        with pytest.raises(BadInput, match="not a number of films"):
            archive.export("table", "effusion", to=tmp_path / "t.csv", best=best)
    with pytest.raises(NotFound, match="no film has such an id"):
        archive.vectors([10**30])


def test_vectors_come_in_the_order_of_the_ids(archive: OpenArchive) -> None:
    ids = [hit.id for hit in archive.search("effusion").hits]
    there, back = archive.vectors(ids), archive.vectors(np.array(ids[::-1]))
    assert there.shape[:2] == (6, 1)
    assert np.array_equal(there, back[::-1])
    assert archive.vectors([]).shape[0] == 0
    with pytest.raises(NotFound, match="no vector"):
        archive.vectors([*ids, 4711])


def test_a_film_has_its_pixels(archive: OpenArchive) -> None:
    (hit,) = archive.search("effusion", k=1).hits
    film = archive.film(hit.id)
    assert film.record == hit.film
    assert film.path.is_file()
    pixels = film.pixels()
    assert (pixels.dtype, pixels.shape) == (np.uint16, (96, 96))
    with pytest.raises(NotFound):
        archive.film(4711)


def test_what_is_indexed_later_is_found(archive: OpenArchive, films: Callable[..., Path]) -> None:
    assert archive.search("effusion").total == 6
    assert archive.index([films(8)], workers=1).counts.indexed == 2
    assert archive.search("effusion").total == 8


def test_an_interrupt_is_raised_again(films: Callable[..., Path], tiny: Path, tmp_path: Path) -> None:
    def stop(counts: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        filmroom.open(tmp_path / "archive", model=str(tiny)).index(films(2), workers=1, on_progress=stop)


def test_where_there_is_no_archive_an_error_says_so(tmp_path: Path) -> None:
    nowhere = filmroom.open(tmp_path / "nowhere")
    for ask in (lambda: nowhere.search("effusion"), lambda: nowhere.film(1), lambda: nowhere.vectors([1])):
        with pytest.raises(filmroom.FilmroomError, match="no archive"):
            ask()
    assert not (tmp_path / "nowhere").exists()
    with pytest.raises(BadInput, match="nothing to learn"):
        nowhere.probe()


def test_a_plain_script_indexes(films: Callable[..., Path], tiny: Path, tmp_path: Path) -> None:
    """Workers must not run the script again: it has no `if __name__ == "__main__"`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import filmroom\n"
        "print('begins')\n"
        f"archive = filmroom.open({str(tmp_path / 'archive')!r}, model={str(tiny)!r})\n"
        f"print(archive.index({str(films(3))!r}, workers=2).counts.indexed)\n"
        "print(archive.film(1).pixels().shape)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=120)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["begins", "3", "(96, 96)"]


def test_a_plain_script_draws_phantoms_and_asks_any_pool_of_ours(tmp_path: Path) -> None:
    """ELIXR, UMAP and the demo have pools of the standard library, by `child_processes.context`."""
    script = tmp_path / "script.py"
    script.write_text(
        "import concurrent.futures\n"
        "from pathlib import Path\n"
        "from filmroom.indexer.child_processes import context\n"
        "from filmroom.indexer.phantom.demo_archive import write_demo\n"
        "print('begins')\n"
        "for method in ('spawn', 'forkserver'):\n"
        "    with concurrent.futures.ProcessPoolExecutor(2, mp_context=context(method)) as pool:\n"
        "        print(list(pool.map(abs, [-1, -2])))\n"
        f"print(write_demo(Path({str(tmp_path / 'demo')!r}), films=4, seed=3).films)\n"
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=280)
    assert done.stderr == ""
    assert done.stdout.splitlines() == ["begins", "[1, 2]", "[1, 2]", "4"]


@pytest.mark.slow
def test_the_examples_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, terminal: Terminal) -> None:
    demo = tmp_path / "demo"
    write_demo(demo, films=16)
    terminal("index", demo / "films")
    terminal("label", demo / "labels.csv")
    assert terminal.code == 0, terminal.err
    for name in ("films", "queries.tsv", "qrels.txt"):
        (tmp_path / name).symlink_to(demo / name)
    (tmp_path / "facts.csv").write_text("film,patient,split\nfilm-0001.dcm,p1,test\n")
    monkeypatch.chdir(tmp_path)
    page = (ROOT / "docs" / "python.md").read_text("utf-8")
    examples = re.findall(r"^```python\n(.*?)^```", page, re.MULTILINE | re.DOTALL)
    assert len(examples) >= 9
    names: dict[str, object] = {}
    for example in examples:
        exec(compile(example, "docs/python.md", "exec"), names)
    assert len(names["table"]) > 5  # type: ignore[arg-type]
