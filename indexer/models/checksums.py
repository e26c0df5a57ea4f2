"""Compute SHA-256 of files that take long to read, and remember it while size and modification time stay the same."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable
from pathlib import Path

import platformdirs
from filmroom.indexer.models.model_folder import sha256


def digest_of(folder: Path, files: Iterable[Path]) -> str:
    """Return one SHA-256 over the names, relative to `folder`, and the contents of files."""
    stored = _kept()
    known = dict(stored)
    digest = hashlib.sha256()
    for path in sorted(files):
        stat = path.stat()
        key = f"{path.absolute()} {stat.st_size} {stat.st_mtime_ns}"
        known[key] = known.get(key) or sha256(path)
        digest.update(f"{path.relative_to(folder).as_posix()} {known[key]}\n".encode())
    if known != stored:
        _keep(known)
    return digest.hexdigest()


def _path() -> Path:
    return Path(platformdirs.user_cache_dir("filmroom", appauthor=False)) / "digests.json"


def _kept() -> dict[str, str]:
    with contextlib.suppress(OSError, ValueError):
        content = json.loads(_path().read_text(encoding="utf-8"))
        if isinstance(content, dict):
            return {str(key): str(value) for key, value in content.items()}
    return {}


def _keep(known: dict[str, str]) -> None:
    """Keep the cache where it can be written; else it costs time, nothing more."""
    with contextlib.suppress(OSError):
        _path().parent.mkdir(parents=True, exist_ok=True)
        part = _path().with_suffix(f".{os.getpid()}")
        part.write_text(json.dumps(known), encoding="utf-8")
        os.replace(part, _path())
