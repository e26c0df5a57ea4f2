"""A page of the application, run without a browser, and what it shows."""

from __future__ import annotations

import functools
import json
from pathlib import Path
from typing import Any

import pytest
import streamlit
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).resolve().parents[1] / "app.py"
PAGES = ("search", "film", "study", "collections", "zeroshot", "evaluate", "judge", "map", "check", "archive")

# AppTest looks through everything that is installed for components, at every run, and takes half a second over it.
manifest_scanner.scan_component_manifests = functools.cache(manifest_scanner.scan_component_manifests)
# It collects garbage after every run: most of a second in a process that holds PyTorch and TensorFlow, too.
streamlit.config.set_option("runner.postScriptGC", False)


def opened(name: str) -> AppTest:
    """The page of this name, not run yet."""
    test = AppTest.from_file(str(APP), default_timeout=300)
    if name != "search":
        test._page_hash = calc_hash(name)
    return test


def page(
    archive: Path, name: str = "search", monkeypatch: pytest.MonkeyPatch | None = None, **parameters: str
) -> AppTest:
    """A page of the application, run once."""
    if monkeypatch is not None:
        monkeypatch.setattr("sys.argv", ["app.py", "--archive", str(archive)])
    import filmroom.search.ui.layout as frame

    frame.archive_folder.cache_clear()
    test = opened(name)
    for key, value in parameters.items():
        test.query_params[key] = value
    return test.run()


def components(test: AppTest, name: str) -> list[dict[str, Any]]:
    """What the page handed to its own components of this name."""
    found = []

    def look(node: Any) -> None:
        proto = getattr(node, "proto", None)
        if getattr(proto, "component_name", "") == f"filmroom.{name}":
            found.append(json.loads(proto.json))
        for child in getattr(node, "children", {}).values():
            look(child)

    look(test._tree)
    return found


def shown(test: AppTest) -> list[int]:
    return [int(item["id"]) for item in components(test, "grid")[0]["items"]]


def said(test: AppTest) -> str:
    kinds = ("markdown", "caption", "title", "subheader", "warning", "error", "info", "success", "text")
    return "\n".join(str(one.value) for kind in kinds for one in getattr(test, kind))
