"""Name the folder of what ships: the bundled model, the registry, prompts, query sets and style."""

from pathlib import Path

ASSETS = Path(__file__).resolve().parent
