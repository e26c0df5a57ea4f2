"""A page of the application, run without a browser."""

from __future__ import annotations

import functools
from pathlib import Path

import streamlit
from streamlit.components.v2 import manifest_scanner
from streamlit.testing.v1 import AppTest
from streamlit.util import calc_hash

APP = Path(__file__).resolve().parents[1] / "app.py"

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
