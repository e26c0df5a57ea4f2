"""What the worker processes of an export import."""

from __future__ import annotations

import subprocess
import sys

IMPORTED = """
import sys
from filmroom.indexer.decoding import process_pool
for name in process_pool._PRELOAD:
    __import__(name)
before = set(sys.modules)
import filmroom.search.export.look
print(*sorted(set(sys.modules) - before))
"""


def test_a_worker_imports_nothing_but_it() -> None:
    """Each worker would import the catalog and all that an export needs, for half a second."""
    done = subprocess.run([sys.executable, "-P", "-c", IMPORTED], capture_output=True, text=True, check=True)
    assert done.stdout.split() == ["filmroom.search", "filmroom.search.export", "filmroom.search.export.look"]
