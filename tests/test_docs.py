"""The documentation is what the program is: its commands, its options, its files."""

from __future__ import annotations

import importlib.util
import re
import shutil
import subprocess
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
CARD = "assets/filmroom-mini/MODEL_CARD.md"
PAGES = sorted(
    path.relative_to(ROOT).as_posix()
    for path in (*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), *ROOT.glob("assets/*/*.md"))
    if path.name != "CHANGELOG.md"  # it says what was true of an earlier version
)


def _module(path: Path):  # type: ignore[no-untyped-def]
    spec = importlib.util.spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_page_of_commands_is_up_to_date(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    made = _module(ROOT / "docs" / "make_commands.py").commands_page()
    assert (ROOT / "docs" / "commands.md").read_text(encoding="utf-8") == made, "run: make docs"


def test_every_field_of_the_query_language_is_documented() -> None:
    from filmroom.search.query.fields import FIELDS

    page = (ROOT / "docs" / "searching.md").read_text(encoding="utf-8")
    assert [name for name in FIELDS if f"`{name}:" not in page and f"{name}:" not in page] == []


def test_every_reason_for_rejection_is_documented() -> None:
    from filmroom.indexer.decoding.rejections import Refusal

    page = (ROOT / "docs" / "indexing.md").read_text(encoding="utf-8")
    assert [one.value[0] for one in Refusal if one.value[0] not in page] == []


def test_every_kept_tag_is_documented() -> None:
    from filmroom.db.records import Tags

    page = (ROOT / "docs" / "privacy.md").read_text(encoding="utf-8")
    assert [name for name in Tags.__dataclass_fields__ if f"`{name}`" not in page] == []


def test_the_version_to_cite_is_that_of_the_package() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text(encoding="utf-8")


@pytest.mark.parametrize("page", ["README.md", "CONTRIBUTING.md", "SECURITY.md"])
def test_what_a_page_at_the_top_names_is_there(page: str) -> None:
    readme = (ROOT / page).read_text(encoding="utf-8")
    named = set(re.findall(r"\]\(((?!https?:)[^)#]+)\)|src=\"([^\"]+)\"", readme))
    paths = {path for pair in named for path in pair if path}
    assert paths
    assert [path for path in paths if not (ROOT / path).exists()] == []
    targets = set(re.findall(r"`?make ([a-z]+)`?", readme))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert [target for target in targets if not re.search(rf"^{target}:", makefile, re.MULTILINE)] == []


@pytest.mark.skipif(shutil.which("make") is None, reason="no make")
def test_the_demo_says_each_of_its_steps_before_it_does_them() -> None:
    made = subprocess.run(["make", "-n", "-B", "demo"], cwd=ROOT, capture_output=True, text=True, check=True)
    lines = [line for line in made.stdout.splitlines() if "== " in line or "filmroom " in line or " install " in line]
    steps = [line for line in lines if line.startswith('echo "== ')]
    assert [line.split()[2:5] for line in steps if " of 5:" in line] == [[f"{n}", "of", "5:"] for n in range(1, 6)]
    for command in ("pip install", *(f"filmroom {name}" for name in ("demo", "index", "label", "search", "evaluate"))):
        at = next(at for at, line in enumerate(lines) if command in line and line not in steps)
        assert lines[at - 1] in steps, command


@pytest.mark.parametrize("page", PAGES)
def test_the_files_of_the_source_that_a_page_names_are_there(page: str) -> None:
    rooms = "assets|benchmarks|db|deploy|docs|indexer|search|tests"
    named = re.findall(rf"(?<![\w/.-])((?:{rooms})/[\w./-]*[\w/])", (ROOT / page).read_text(encoding="utf-8"))
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_every_benchmark_stands_in_the_table_with_the_page_that_names_it() -> None:
    table = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+\.py)` \|.*\|([^|]*)\|$", table.replace("the model's card", f"`{CARD}`"), re.MULTILINE)
    assert sorted(name for name, _ in rows) == sorted(path.name for path in (ROOT / "benchmarks").glob("*.py"))
    for name, where in rows:
        page, script = re.fullmatch(r" (?:`(\S+\.md)`(?:, by `(\w+\.py)`)?|not taken yet|)\s*", where).groups()  # type: ignore[union-attr]
        assert page is None or (script or name) in (ROOT / page).read_text(encoding="utf-8"), f"{page}: {name}"
    started = re.search(r"^BENCH = (.*)$", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert started is not None
    assert {f"{name}.py" for name in started[1].split()} <= {name for name, _ in rows}


def test_the_modules_to_begin_with_are_there() -> None:
    named = re.findall(
        r"^\| [^|]+ \| `([a-z/_]+\.py)` \|$", (ROOT / "CONTRIBUTING.md").read_text("utf-8"), re.MULTILINE
    )
    assert len(named) == 10
    assert [path for path in named if not (ROOT / path).exists()] == []


def test_no_tracked_file_names_one_machine() -> None:
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, check=False).stdout.split(b"\0")
    if not any(listed):
        pytest.skip("not a git checkout")
    places = re.compile(rb"(?<![\w./-])/(?:root|home/\w+)/")
    found = []
    for name in listed:
        path = ROOT / name.decode()
        if (
            name
            and path.is_file()
            and path.suffix in {".py", ".md", ".toml", ".yml"}
            and places.search(path.read_bytes())
        ):
            found.append(name.decode())
    assert found == []
