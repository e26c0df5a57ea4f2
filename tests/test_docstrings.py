"""Hold the docstrings to their form: each begins with a verb that says what the module or function does."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("db", "indexer", "search")
DOORS = ("__init__.py", "app.py", "cli.py")

_LISTED = """
    accept act add adjust admit answer apply ask assign attach average avoid await begin bend blend blur bound bring
    build burn call cancel cast chain change check choose clamp clean clear clip close collapse combine compare
    complete compress compute confine confirm connect convert copy count cover crawl crop cut decide decode define
    delete deliver derive describe detect disable distribute divide do download drain draw drop duplicate embed emit
    enable encode end ensure enter erase escape estimate evaluate exchange exclude expand explain export extract
    fetch fill filter find fit flag flatten flush follow force forget format forward free fuse gather generate give go
    grade group grow guard guess hand handle hash have help hide hold import include index infer inform insert inspect
    interrupt invert issue join judge keep label lay learn leave let limit link list load locate log look make map
    mark mask match measure mend merge minimise mirror mock modify monitor move multiply name negate normalise
    normalize note notify offer open order overwrite pad paint pair parse pass patch pause permit pick place plan plot
    poll predict prepare present preserve print probe process project propose prove publish push put
    quantise queue quote raise
    rank reach read receive recognise record recover reduce refuse register reload remember remind remove rename render
    repair repeat report request resample reset resize resolve respond restart retrieve retry return reuse reverse
    revoke rewrite rotate round run sanitise save say scale scan schedule score search seed seek select send separate
    serve set settle shape share shift show shrink sign silence simulate skip sleep sort spell split spread stamp stand
    start state stop store stream strip submit subtract suggest sum summarise survey swap sync take teach tell test time
    toggle tokenize trace track train transform translate transmit try turn undo unlink unlock unpack update upload
    use validate verify visit wait warn watch weigh weight widen write yield
"""

VERBS = frozenset(_LISTED.split())
"""Verbs that a docstring may begin with. Another one is as good: add it here."""


AT_MOST = 9
"""Docstrings of before this rule that may be left, of some 1,700: none is to be added, and the number only falls."""


def docstrings() -> Iterator[tuple[str, str]]:
    """Every docstring of a module or a function with its place; a property is a thing, and is named as one."""
    for path in [*(ROOT / door for door in DOORS), *(path for room in ROOMS for path in (ROOT / room).rglob("*.py"))]:
        if "versions" in path.parts:
            continue
        tree = ast.parse(path.read_text("utf-8"))
        place = path.relative_to(ROOT).as_posix()
        if text := ast.get_docstring(tree):
            yield place, text
        for node in ast.walk(tree):
            if not isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) or is_property(node):
                continue
            if text := ast.get_docstring(node):
                yield f"{place}:{node.lineno} {node.name}", text


def is_property(function: ast.FunctionDef | ast.AsyncFunctionDef) -> bool:
    return any("property" in ast.unparse(decorator) for decorator in function.decorator_list)


def test_a_docstring_begins_with_a_verb() -> None:
    texts = list(docstrings())
    assert len(texts) > 1000
    other = [f"{place}: {text.splitlines()[0]}" for place, text in texts if first_word(text) not in VERBS]
    assert len(other) <= AT_MOST, "\n".join(other)


def first_word(text: str) -> str:
    return text.split()[0].strip(".,:;").lower()
