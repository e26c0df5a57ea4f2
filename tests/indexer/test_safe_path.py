"""No Python file of the folder that a command is run in is executed, whatever its name is."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest

from tests.conftest import write_film

ROOT = Path(__file__).resolve().parents[2]
OURS = ("app", "assets", "cli", "db", "filmroom", "indexer", "search", "tests", "dl", "gdcm", "sitecustomize")
_COMMAND = """
import sys
from filmroom.cli import main

if __name__ == "__main__":
    sys.exit(main())
"""
_CHILD = """
import concurrent.futures, sys
from filmroom.indexer.child_processes import context

if __name__ == "__main__":
    with concurrent.futures.ProcessPoolExecutor(1, mp_context=context(sys.argv[1])) as pool:
        print(pool.submit(abs, -7).result())
"""


@pytest.fixture
def hostile(tmp_path: Path) -> Path:
    """A folder with a Python file for every name that may be imported; each says so in a file when it is executed."""
    folder = tmp_path / "hostile"
    folder.mkdir()
    names = {*sys.stdlib_module_names, *packages_distributions(), *OURS}
    for name in filter(str.isidentifier, names):
        said = f"open({str(tmp_path / 'executed')!r}, 'a').write({name + chr(10)!r})\n"
        (folder / f"{name}.py").write_text(said + f"raise ImportError({name!r})\n")
    return folder


def executed(hostile: Path) -> list[str]:
    marker = hostile.with_name("executed")
    return sorted(set(marker.read_text().split())) if marker.exists() else []


def test_the_files_would_be_executed_by_an_ordinary_process(hostile: Path) -> None:
    subprocess.run([sys.executable, "-c", "import gdcm"], cwd=hostile, env=_plain(), stderr=subprocess.DEVNULL)
    assert "gdcm" in executed(hostile)


def test_index_executes_no_file_of_the_current_folder(hostile: Path, tiny: Path) -> None:
    write_film(hostile / "film.png", 1)
    script = hostile.with_name("scripts") / "filmroom"
    script.parent.mkdir()
    script.write_text(_COMMAND)  # as installers write it
    archive = hostile.with_name("archive")
    command = [sys.executable, script, "index", "film.png", "--archive", archive, "--model", tiny]
    done = subprocess.run(command, cwd=hostile, env=_plain(), capture_output=True, text=True)
    assert executed(hostile) == []
    assert done.returncode == 0, done.stderr
    assert "indexed" in done.stdout


@pytest.mark.parametrize("method", ["forkserver", "spawn"])
def test_a_pool_executes_no_file_of_the_current_folder(hostile: Path, method: str) -> None:
    script = hostile.with_name("scripts") / "ask.py"
    script.parent.mkdir()
    script.write_text(_CHILD)
    done = subprocess.run([sys.executable, script, method], cwd=hostile, env=_plain(), capture_output=True, text=True)
    assert executed(hostile) == []
    assert done.stdout == "7\n", done.stderr


def test_what_starts_processes_leaves_the_environment_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    from filmroom.indexer.child_processes import safe_path

    for before in (None, "", "1"):
        monkeypatch.delenv("PYTHONSAFEPATH", raising=False)
        if before is not None:
            monkeypatch.setenv("PYTHONSAFEPATH", before)
        with safe_path():
            assert os.environ["PYTHONSAFEPATH"] == "1"
        assert os.environ.get("PYTHONSAFEPATH") == before


def test_every_python_process_is_started_with_a_safe_path() -> None:
    """By `child_processes.context`, or by a command line that begins with the interpreter and -P."""
    for path in (
        *ROOT.glob("*.py"),
        *(one for room in ("db", "indexer", "search") for one in (ROOT / room).rglob("*.py")),
    ):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if path.name != "child_processes.py" and isinstance(node, ast.Call):
                named = getattr(node.func, "attr", getattr(node.func, "id", ""))
                assert named not in ("get_context", "set_start_method"), path
                if named == "ProcessPoolExecutor":
                    assert "mp_context" in {one.arg for one in node.keywords}, path
            if isinstance(node, ast.List) and node.elts and ast.unparse(node.elts[0]) == "sys.executable":
                assert ast.unparse(node.elts[1]) == "'-P'", path


def _plain() -> dict[str, str]:
    """The environment of a user who has set nothing for Python."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}
