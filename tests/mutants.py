"""Small faults put into a module on purpose (mutants), one at a time: does a test notice?

    python -m tests.mutants PART [TESTS...]        # PART: db, db/erasure/forget.py, indexer/decoding, ...

Works on a copy in build/mutate with mutmut, whose settings are in pyproject.toml. Prints the mutants that survived and
the share that was noticed; exits with 1 where nothing was tried. `mutmut show NAME` there prints a mutant.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
COPY = ROOT / "build" / "mutate"
ROOMS = ("__init__.py", "app.py", "cli.py", "py.typed", "assets", "db", "indexer", "search")


def copied(part: str, tests: Sequence[str]) -> None:
    """Lay out the package by its import name, as mutmut wants it, with settings for this part."""
    shutil.rmtree(COPY, ignore_errors=True)
    for name in ROOMS:
        _copy(ROOT / name, COPY / "filmroom" / name)
    _copy(ROOT / "tests", COPY / "tests")
    said = (ROOT / "pyproject.toml").read_text("utf-8")
    pattern = f"filmroom/{part.rstrip('/')}" + ("" if part.endswith(".py") else "/*")
    said = _set(said, "only_mutate", [pattern])
    if tests:
        said = _set(said, "pytest_add_cli_args_test_selection", tests)
    (COPY / "pyproject.toml").write_text(said, "utf-8")
    # There before Python starts, which remembers what is not a folder on its path.
    (COPY / "mutants" / "filmroom").mkdir(parents=True)


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def _set(said: str, name: str, values: Sequence[str]) -> str:
    changed, count = re.subn(rf"(?m)^{name} = \[[^\]]*\]", f"{name} = {json.dumps(list(values))}", said)
    if count != 1:
        raise SystemExit(f"{name} is not in pyproject.toml")
    return changed


def mutmut(*command: str) -> int:
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(COPY / "mutants"), os.environ.get("PYTHONPATH", "")])
    }
    return subprocess.run([sys.executable, "-m", "mutmut", *command], cwd=COPY, env=environment).returncode


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part")
    parser.add_argument("tests", nargs="*")
    parser.add_argument("--side-by-side", type=int, default=len(os.sched_getaffinity(0)))
    asked = parser.parse_args()
    if not (ROOT / asked.part).exists():
        parser.error(f"there is no {asked.part} here")
    copied(asked.part, asked.tests)
    if code := mutmut("run", "--max-children", str(asked.side_by_side)):
        return code
    mutmut("results")
    mutmut("export-cicd-stats")
    try:
        tally = json.loads((COPY / "mutants" / "mutmut-cicd-stats.json").read_text("utf-8"))
    except FileNotFoundError:
        return 1
    noticed = tally["killed"] + tally["timeout"] + tally["segfault"]
    print(f"\n{asked.part}: {noticed} of {tally['total']} mutants noticed ({100 * noticed / tally['total']:.0f} %)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
