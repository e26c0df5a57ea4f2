"""The places of forgotten films. A path can hold a name: such a file is known by a keyed digest of its path."""

from __future__ import annotations

import hashlib
import hmac
import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import delete, select

from db.catalog import Catalog
from db.chunks import chunked
from db.listing import Scope
from db.schema import file

_MARK = "(forgotten) "


@dataclass(frozen=True)
class Places:
    """The forgotten files of one root: by their digest, what stands in the catalog in place of their path."""

    key: bytes
    root: Path
    stored: dict[str, str]

    def digest(self, path: str) -> str:
        """What stands for a file of this root."""
        whole = os.fsencode(self.root / path)
        return _MARK + hmac.new(self.key, b"place " + whole, hashlib.sha256).hexdigest()[:32]

    def known(self, path: str) -> str | None:
        """What the catalog holds in place of this path, where it does."""
        return self.stored.get(self.digest(path)) if self.stored else None


def is_nameless(path: str) -> bool:
    return path.rpartition("/")[2].startswith(_MARK)


def places(catalog: Catalog, key: bytes, scope: Scope) -> Places:
    of_root = (file.c.root_id == scope.root_id, file.c.path.contains(_MARK, autoescape=True))
    with catalog.read() as connection:
        found = [path for path in connection.scalars(select(file.c.path).where(*of_root)) if is_nameless(path)]
    # A root that was taken into another one left its folder before the digest.
    return Places(key, scope.root, {path.rpartition("/")[2]: path for path in found})


def drop(catalog: Catalog, scope: Scope, stored: Iterable[str]) -> None:
    """Files that are looked at again have no place until it is known what became of them."""
    for some in chunked(stored):
        with catalog.write() as connection:
            connection.execute(delete(file).where(file.c.root_id == scope.root_id, file.c.path.in_(some)))
