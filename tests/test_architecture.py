"""The rules of folders, lengths and names: no drawer too full or too deep to search, and each thing by its name."""

from __future__ import annotations

import ast
import tomllib
from collections import Counter
from pathlib import Path

import pytest

from tests.rooms import ROOMS, ROOT, modules, name_of

LEAST_FILES, MOST_FILES, MOST_LINES = 3, 14, 400

OTHER_SIZES = {
    "assets": "holds data; its one module says where",
    "db/migrations": "Alembic's entry, outside the package's own modules",
    "db/migrations/versions": "one file a revision, for ever",
    "search/ui/components": "holds a folder a component",
    "search/ui/components/chips": "a component is one module beside its script and style",
    "search/ui/components/download": "a component is one module beside its script and style",
    "search/ui/components/facets": "a component is one module beside its script and style",
    "search/ui/components/grid": "a component is one module beside its script and style",
    "search/ui/components/recent_searches": "a component is one module beside its script and style",
    "search/ui/components/report_text": "a component is one module beside its script and style",
    "search/ui/components/scatter": "a component is one module beside its scripts and style",
    "search/ui/components/viewer": "a component is one module beside its scripts and style",
}
"""Folders that hold fewer or more modules, and why."""

_VAGUE = """
    asked aside both each found given have held here kept made more named one others own said shown some taken there
    thing things told wanted what whole why
"""

VAGUE = frozenset(_VAGUE.split())
"""Names of variables that say nothing of the thing: a film, a row, an answer, a folder, a label has a name."""

VAGUE_AT_MOST = {
    "db": 5,
    "db/erasure": 1,
    "db/vector_index": 3,
    "db/writes": 3,
    "indexer/models": 1,
    "indexer/training": 3,
    "search": 3,
    "search/api": 2,
    "search/checks": 1,
    "search/classification": 1,
    "search/cli": 3,
    "search/evaluation": 1,
    "search/exchange": 2,
    "search/export": 3,
    "search/query": 1,
    "search/ui": 1,
    "search/ui/components/grid": 1,
}
"""Variables and arguments of each folder that still bear such a name, `.` the doors. A number only falls; a folder that
is not listed has none. The command line's arguments and the fields of stored or printed records keep theirs."""

MOST_STATEMENT_LINES = 40

LONG_FUNCTIONS = {
    "filmroom.cli.index": "hands on what the options say",
    "filmroom.db.writes.file_diff.compare": 51,
    "filmroom.db.writes.ingest._keep": 61,
    "filmroom.indexer.phantom.demo_archive._cases": "a list, a line a finding",
    "filmroom.indexer.phantom.demo_archive.plan_demo": 41,
    "filmroom.indexer.phantom.dicom._header": "a list, a line an attribute",
    "filmroom.indexer.phantom.sampling._finding": "a table, two lines a finding",
    "filmroom.search.cli.exporting.export": "hands on what the options say",
}
"""Functions longer than `MOST_STATEMENT_LINES` without their signature and docstring: why, or how long until somebody
divides them."""

TESTS_OF_SEVERAL_MODULES = {
    "ui/test_shared_archive.py": "all pages on an archive of a server",
    "search/test_wordings.py": "queries and reports of the same words",
    "db/test_damage.py": "a damaged index or a held catalog",
    "db/test_migrations.py": "catalogs of every version",
    "db/test_vectors.py": "the vector index as a whole",
    "deploy/test_examples.py": "the files of deploy/, which is no room",
    "deploy/test_nginx.py": "deploy/nginx.conf before a server",
    "indexer/sources/test_odd_servers.py": "servers that answer otherwise",
    "indexer/test_bundled_model.py": "the model that ships",
    "indexer/test_changed_files.py": "a second run over changed files",
    "indexer/test_clip_checkpoints.py": "damaged checkpoints",
    "indexer/test_clip_towers.py": "open_clip models from file to vector",
    "indexer/test_fuzz_cases.py": "what fuzzing found",
    "indexer/test_golden_pixels.py": "decoders against two others",
    "indexer/test_hostile.py": "hostile files",
    "indexer/test_odd_headers.py": "headers written otherwise",
    "indexer/test_older_decoding.py": "an archive of version 0.1",
    "indexer/test_phantom_dicom.py": "phantoms through the decoder",
    "indexer/test_running_average.py": "the average against torch's",
    "indexer/test_safe_path.py": "every process that is started",
    "indexer/test_tensorflow_towers.py": "ELIXR and REMEDIS",
    "search/api/test_access.py": "who may ask what",
    "search/api/test_predict.py": "the address of Vertex AI",
    "search/api/test_routes.py": "every route",
    "search/api/test_same_answer.py": "terminal, Python and REST side by side",
    "search/api/test_schema.py": "what OpenAPI says",
    "search/export/test_changed_files.py": "files replaced after indexing",
    "search/export/test_docs.py": "docs/export.md",
    "search/export/test_servers_away.py": "servers that go away",
    "search/send/test_refusals.py": "servers that refuse",
    "search/test_any_text.py": "whatever is typed or imported",
    "search/test_kept_libraries.py": "figures against scikit-learn and scipy",
    "test_architecture.py": "the rules of folders, lengths and names",
    "test_canaries.py": "every way out of the archive",
    "test_classify.py": "the commands that classify",
    "test_docs.py": "the pages of docs/",
    "test_docs_commands.py": "the commands that pages name",
    "test_docs_site.py": "the pages of docs/ as a site",
    "test_docstrings.py": "the form of docstrings",
    "test_faults.py": "a full disk and a kill at any instant",
    "test_hints.py": "what the terminal advises",
    "test_imports.py": "the rules of imports",
    "test_measure.py": "the commands that measure",
    "test_promises.py": "the README",
    "test_wheel.py": "the wheel",
    "ui/test_access.py": "contrast, screen readers and keys",
    "ui/test_browser.py": "the application in a browser",
    "ui/test_crowd.py": "many visitors",
    "ui/test_findings.py": "what a model wrote, in a browser",
    "ui/test_one_request.py": "one request through pages and exports",
    "ui/test_reading.py": "a reader's day in a browser",
    "ui/test_serve.py": "the server as it is started",
    "ui/test_words.py": "addresses and escaped words",
}
"""Tests that are named for what they try, and not for a module of their room, as what they try needs several modules.
None is to be added: a test belongs to the module that it is of."""


@pytest.mark.parametrize("room", ROOMS)
def test_a_folder_holds_what_can_be_looked_over(room: str) -> None:
    counts = {
        folder.relative_to(ROOT).as_posix(): len(list(folder.glob("*.py")))
        for folder in (ROOT / room, *(ROOT / room).rglob("*"))
        if folder.is_dir() and any(folder.glob("*.py"))
    }
    assert {
        name: count
        for name, count in counts.items()
        if name not in OTHER_SIZES and not LEAST_FILES <= count <= MOST_FILES
    } == {}


def test_no_module_is_too_long_to_read() -> None:
    lengths = {name: len(path.read_text("utf-8").splitlines()) for name, path in modules().items()}
    assert {name: length for name, length in lengths.items() if length > MOST_LINES} == {}


def test_the_wheel_lists_every_folder_of_the_package() -> None:
    listed = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["setuptools"]["packages"]
    inside = {name_of(path) for name in ROOMS for path in (ROOT / name).rglob("__init__.py")}
    # Alembic reads its folder as files: it has no __init__, and is listed so that the files are in the wheel.
    assert sorted(listed) == sorted({"filmroom", "filmroom.db.migrations"} | inside)


def folder_of(path: Path) -> str:
    return path.parent.relative_to(ROOT).as_posix()


def vague_names(source: str) -> int:
    """Count the variables, arguments and imports of a module that a word of VAGUE names."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)]
    names += [node.arg for node in nodes if isinstance(node, ast.arg)]
    names += [node.asname or "" for node in nodes if isinstance(node, ast.alias)]
    return sum(name in VAGUE for name in names)


def test_a_variable_has_the_name_of_the_thing() -> None:
    assert vague_names("def f(one, film):\n    found = [said for said in one]\n    return found") == 3
    counts: Counter[str] = Counter()
    for path in modules().values():
        counts[folder_of(path)] += vague_names(path.read_text("utf-8"))
    more = {folder: count for folder, count in counts.items() if count > VAGUE_AT_MOST.get(folder, 0)}
    assert more == {}, "name the thing: a film, a row, an answer, a folder, a label"
    assert {folder for folder in VAGUE_AT_MOST if not counts[folder]} == set(), "take what has none off the list"


def long_functions() -> dict[str, int]:
    """Return the lines of each function that has too many, without its signature and docstring."""
    lengths = {}
    for module, path in modules().items():
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.end_lineno is not None:
                begin = node.body[0]
                first = begin.lineno if ast.get_docstring(node) is None else (begin.end_lineno or begin.lineno) + 1
                lengths[f"{module}.{node.name}"] = node.end_lineno - first + 1
    return {name: length for name, length in lengths.items() if length > MOST_STATEMENT_LINES}


def test_a_function_is_short_enough_to_read() -> None:
    lengths = long_functions()
    assert lengths.keys() - LONG_FUNCTIONS.keys() == set()
    assert LONG_FUNCTIONS.keys() - lengths.keys() == set(), "take what is short by now off the list"
    allowed = {name: most for name, most in LONG_FUNCTIONS.items() if isinstance(most, int)}
    assert {name: lengths[name] for name, most in allowed.items() if lengths[name] > most} == {}


def test_a_test_is_named_as_a_module_of_its_room() -> None:
    tests = ROOT / "tests"
    other = set()
    for path in tests.rglob("test_*.py"):
        folder = path.parent.relative_to(tests).as_posix()
        room = name_of(ROOT / ("search/ui" if folder == "ui" else folder) / "__init__.py")
        names = {name.rsplit(".", 1)[-1] for name in modules() if f"{name}.".startswith(f"{room}.")}
        if path.stem.removeprefix("test_") not in names:
            other.add(path.relative_to(tests).as_posix())
    assert other - TESTS_OF_SEVERAL_MODULES.keys() == set()
    assert TESTS_OF_SEVERAL_MODULES.keys() - other == set(), "take what is named as a module by now off the list"
