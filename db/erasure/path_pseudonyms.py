"""Hide the places of forgotten films. A path can hold a name: the file is known by a keyed digest of its path."""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.records import Scope
from filmroom.db.schema import file, film
from sqlalchemy import delete, exists, select, update

_LOG_SECONDS = 1.0
_MARK = "(forgotten) "
_NAMELESS = re.compile(re.escape(_MARK) + "[0-9a-f]{32}")


@dataclass(frozen=True)
class ForgottenPaths:
    """The forgotten files of one root, by what stands in the catalog in place of their paths."""

    key: bytes
    root: str
    stored: frozenset[str]

    def digest(self, path: str) -> str:
        """Return what stands for a file of this root."""
        address = os.fsencode(f"{self.root.rstrip('/')}/{path}")
        return _MARK + hmac.new(self.key, b"place " + address, hashlib.sha256).hexdigest()[:32]

    def known(self, path: str) -> str | None:
        """Return what the catalog holds in place of this path, where it does."""
        if not self.stored:
            return None
        digest = self.digest(path)
        return digest if digest in self.stored else None


def is_nameless(path: str) -> bool:
    return _NAMELESS.fullmatch(path) is not None


def places(catalog: Catalog, key: bytes, scope: Scope) -> ForgottenPaths:
    of_root = (file.c.root_id == scope.root_id, file.c.path.startswith(_MARK, autoescape=True))
    with catalog.read() as connection:
        paths = connection.scalars(select(file.c.path).where(*of_root))
        return ForgottenPaths(key, scope.root, frozenset(filter(is_nameless, paths)))


def named(catalog: Catalog, scope: Scope, *, code: str) -> list[str]:
    """Return paths that stand there with this code all the same: an archive of an earlier version has them."""
    with catalog.read() as connection:
        paths = connection.scalars(select(file.c.path).where(file.c.root_id == scope.root_id, file.c.reason == code))
        return [path for path in paths if not is_nameless(path)]


def vacate(catalog: Catalog, scope: Scope, paths: Iterable[str]) -> None:
    """Mark these paths as no longer there. Rows that no film belongs to go, and are overwritten, in the log
    of the catalog, too, unless somebody reads it for long: then with the next that are, or when it is closed."""
    dropped = 0
    for chunk in chunked(paths):
        at_place = (file.c.root_id == scope.root_id, file.c.path.in_(chunk))
        with catalog.write() as connection:
            unused = delete(file).where(*at_place, ~exists().where(film.c.file_id == file.c.id))
            dropped += connection.execute(unused).rowcount
            connection.execute(update(file).where(*at_place).values(listed=False))
    if dropped:
        catalog.empty_log(seconds=_LOG_SECONDS)
