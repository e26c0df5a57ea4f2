"""What the rules of the house look at: the rooms, the doors and every module of the package."""

from __future__ import annotations

from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("assets", "db", "indexer", "search")
DOORS = ("__init__.py", "app.py", "cli.py")


@cache
def modules() -> dict[str, Path]:
    """Every module of the package by its name."""
    files = [ROOT / door for door in DOORS]
    for room in ROOMS:
        files += (ROOT / room).rglob("*.py")
    return {name_of(path): path for path in files if "versions" not in path.parts and path.name != "env.py"}


def name_of(path: Path) -> str:
    parts = ["filmroom", *path.relative_to(ROOT).with_suffix("").parts]
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
