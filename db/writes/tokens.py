"""Make, list, revoke and recognise bearer tokens of people and programs. Of a token only its hash is kept."""

from __future__ import annotations

import hashlib
import re
import secrets
import time
from dataclasses import dataclass
from enum import StrEnum

from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput, NotFound
from filmroom.db.schema import token
from sqlalchemy import insert, select, update

PREFIX = "filmroom_"
_NAME = re.compile(r"[\w][\w .@-]{0,63}")
_BYTES = 32


class Scope(StrEnum):
    """What a token allows: to ask, or to change the archive, too."""

    READ = "read"
    WRITE = "write"


@dataclass(frozen=True)
class Token:
    """A token without its secret. `revoked_at` is None while it holds."""

    name: str
    scope: Scope
    created_at: int
    revoked_at: int | None


def add(catalog: Catalog, name: str, scope: Scope) -> str:
    """Make a token and return it: this once, as only its hash is kept. Raises BadInput for a name that is taken."""
    if not _NAME.fullmatch(name):
        raise BadInput(
            "a token's name is up to 64 letters, digits, blanks and . @ _ -", where=name, fix="For example: anna-script"
        )
    secret = PREFIX + secrets.token_urlsafe(_BYTES)
    with catalog.write() as connection:
        if connection.execute(select(token.c.id).where(token.c.name == name)).first() is not None:
            raise BadInput("there is a token of this name, or was one", where=name, fix="Give it another name.")
        values = {"name": name, "digest": _digest(secret), "scope": scope.value, "created_at": int(time.time())}
        connection.execute(insert(token).values(**values))
    return secret


def listed(catalog: Catalog) -> list[Token]:
    """Return every token that was ever made, by name."""
    with catalog.read() as connection:
        rows = connection.execute(select(token).order_by(token.c.name)).all()
    return [Token(row.name, Scope(row.scope), row.created_at, row.revoked_at) for row in rows]


def revoke(catalog: Catalog, name: str) -> None:
    """End a token at once. Raises NotFound for one that is not there or is revoked already."""
    holds = (token.c.name == name, token.c.revoked_at.is_(None))
    with catalog.write() as connection:
        if not connection.execute(update(token).where(*holds).values(revoked_at=int(time.time()))).rowcount:
            raise NotFound("there is no token of this name that holds", where=name, fix="See: filmroom token list")


def recognise(catalog: Catalog, secret: str) -> Token | None:
    """Find the token that holds; None for any other text. It is looked up by its hash, whose comparison tells a guesser
    nothing of the token."""
    statement = select(token).where(token.c.digest == _digest(secret), token.c.revoked_at.is_(None))
    with catalog.read() as connection:
        row = connection.execute(statement).first()
    return None if row is None else Token(row.name, Scope(row.scope), row.created_at, None)


def _digest(secret: str) -> str:
    # No slow hash: 256 random bits cannot be guessed, and every request is checked.
    return hashlib.sha256(secret.encode("utf-8", "backslashreplace")).hexdigest()
