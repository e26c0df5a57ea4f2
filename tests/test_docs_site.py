"""The site of the documentation builds, its notebook runs, and the constraints fit what the package needs."""

from __future__ import annotations

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parents[1]


def test_the_site_builds_with_a_reference_of_the_public_package(tmp_path: Path) -> None:
    command = [sys.executable, "-P", "-m", "mkdocs", "build", "--quiet", "--site-dir", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    for page in (ROOT / "docs").glob("*.md"):
        assert (tmp_path / f"{page.stem}.html").is_file()
    reference = (tmp_path / "reference.html").read_text("utf-8")
    for name in ("index", "search", "vectors", "film", "evaluate", "zeroshot", "probe"):
        assert f'id="filmroom.search.python_api.OpenArchive.{name}"' in reference
    loaded = re.findall(r'(?:src|<link[^>]*href)="(https?:[^"]+)"', reference)
    assert loaded == [], "a page loads nothing from elsewhere"


def test_every_page_stands_in_the_menu_of_the_site() -> None:
    menu = set(re.findall(r"[\w-]+\.md$", (ROOT / "mkdocs.yml").read_text("utf-8"), re.MULTILINE))
    assert menu == {page.name for page in (ROOT / "docs").glob("*.md")}


@pytest.mark.slow
def test_the_notebook_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    notebook = nbformat.read(ROOT / "docs" / "first-search.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "outputs name the machine that made them"
    NotebookClient(notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": tmp_path}}).execute()
    said = "".join(str(cell.get("outputs", "")) for cell in notebook.cells)
    indexed = re.search(r"indexed=(\d+)", said)
    assert indexed is not None
    assert int(indexed[1]) >= 24
    assert f"unchanged={indexed[1]}" in said


def test_the_constraints_are_versions_alone_of_all_that_is_needed() -> None:
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()[1:]
    versions = dict(re.fullmatch(r"([a-z0-9-]+)==([\w.+!]+)(?: *;.*)?", line).groups() for line in lines)  # type: ignore[union-attr,misc]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    needed = [*project["dependencies"], *(one for extra in project["optional-dependencies"].values() for one in extra)]
    for text in needed:
        requirement = Requirement(text)
        name = re.sub(r"[-_.]+", "-", requirement.name).lower()
        if name != "filmroom" and (requirement.marker is None or requirement.marker.evaluate()):
            assert requirement.specifier.contains(versions[name]), text
