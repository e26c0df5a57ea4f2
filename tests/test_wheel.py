"""The wheel: it holds the package alone, and works away from the checkout among modules of the same names."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.db.test_migrations import older

ROOT = Path(__file__).resolve().parents[1]
SOURCES = ("pyproject.toml", "README.md", "LICENSE", "__init__.py", "app.py", "cli.py", "py.typed")
ROOMS = ("assets", "db", "indexer", "search")
BUILD = "import sys; from setuptools import build_meta; print(build_meta.build_wheel(sys.argv[1]))"
COMMAND = "import sys\nfrom filmroom.cli import main\nif __name__ == '__main__':\n    sys.exit(main())\n"
"""The script that an installer writes for `filmroom = filmroom.cli:main`."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the checkout, so that none of setuptools' folders is left in it; needs no network."""
    pytest.importorskip("setuptools")
    copy, out = tmp_path_factory.mktemp("checkout"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copy(ROOT / name, copy)
    for name in ROOMS:
        shutil.copytree(ROOT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
    done = subprocess.run([sys.executable, "-c", BUILD, str(out)], cwd=copy, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (built,) = out.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def filmroom(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Callable[..., str]:
    """filmroom(...): a command of the unpacked wheel, run among modules that bear the names of our rooms."""
    target, hostile = tmp_path_factory.mktemp("target"), tmp_path_factory.mktemp("hostile")
    with zipfile.ZipFile(wheel) as packed:
        packed.extractall(target)
    script = target / "bin" / "filmroom"
    script.parent.mkdir()
    script.write_text(COMMAND)
    for name in (*ROOMS, "cli", "app"):
        (hostile / f"{name}.py").write_text(f"open({str(hostile / 'was-run')!r}, 'a').write('{name} ')\n")
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(hostile), str(target)])}

    def run(*arguments: object) -> str:
        done = subprocess.run(
            [sys.executable, script, *map(str, arguments)], cwd=hostile, env=environment, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stderr
        assert not (hostile / "was-run").exists(), (hostile / "was-run").read_text()
        return done.stdout

    where = [sys.executable, "-c", "import filmroom; print(filmroom.__file__)"]
    place = subprocess.run(where, cwd=hostile, env=environment, capture_output=True, text=True)
    assert Path(place.stdout.strip()) == target / "filmroom" / "__init__.py"
    return run


def test_it_holds_the_package_alone(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as packed:
        names = set(packed.namelist())
    tops = {name.split("/")[0] for name in names}
    (information,) = tops - {"filmroom"}
    assert information.endswith(".dist-info")
    in_checkout = {
        f"filmroom/{path.relative_to(ROOT).as_posix()}"
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert in_checkout | {"filmroom/py.typed", "filmroom/cli.py", "filmroom/app.py"} <= names


def test_help_is_its_own(filmroom: Callable[..., str]) -> None:
    assert "Search X-ray archives by meaning" in filmroom("--help")


def test_it_opens_an_archive_of_an_earlier_version(filmroom: Callable[..., str], tmp_path: Path) -> None:
    archive = tmp_path / "archive"
    archive.mkdir()
    older(archive / "catalog.sqlite")
    filmroom("rejected", "--archive", archive)
    assert list(archive.glob("catalog.before-*.sqlite")), "it was brought up to date, after a copy"


def test_it_indexes_and_searches_anywhere(
    filmroom: Callable[..., str], films: Callable[..., Path], tiny: Path, tmp_path: Path
) -> None:
    archive = tmp_path / "archive"
    counts = json.loads(filmroom("index", films(3), "--archive", archive, "--model", tiny, "--workers", 1, "--json"))
    assert counts["indexed"] == 3
    answer = json.loads(filmroom("search", "chest", "--archive", archive, "--model", tiny, "--json"))
    assert len(answer["hits"]) == 3
