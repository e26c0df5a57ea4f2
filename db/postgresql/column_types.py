"""Define the types of columns: what one database keeps otherwise than the other, its tables need not say."""

from __future__ import annotations

import os
from typing import Any

from sqlalchemy import BigInteger, LargeBinary, types
from sqlalchemy.engine import Dialect
from sqlalchemy.types import TypeDecorator, TypeEngine

# SQLite's integers have 64 bits and its texts are compared byte by byte: so it is on a server.
SERVER = "postgresql"
Integer = types.Integer().with_variant(BigInteger(), SERVER)
String = types.String().with_variant(types.String(collation="C"), SERVER)
Text = types.Text().with_variant(types.Text(collation="C"), SERVER)


def stored_path(path: str, dialect: Dialect) -> str | bytes:
    """Return a file name as the database keeps it: in SQLite as bytes where it is not valid UTF-8. What a server keeps
    of such names is the matter of its connections (`filmroom.db.postgresql.text`)."""
    if dialect.name == SERVER:
        return path
    try:
        path.encode("utf-8")
    except UnicodeEncodeError:
        return os.fsencode(path)
    return path


class PathText(TypeDecorator[str]):
    """A file name. Names that are not valid UTF-8 are stored as the bytes they are and come back the same."""

    impl = types.Text
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text

    def process_bind_param(self, value: str | None, dialect: Dialect) -> Any:
        return None if value is None else stored_path(value, dialect)

    def process_result_value(self, value: Any, dialect: Dialect) -> str | None:
        return os.fsdecode(value) if isinstance(value, bytes) else value


class PathBytes(TypeDecorator[bytes]):
    """A file name to compare with those that SQLite keeps as bytes; a server keeps none so."""

    impl = LargeBinary
    cache_ok = True

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return Text if dialect.name == SERVER else LargeBinary()

    def process_bind_param(self, value: bytes | None, dialect: Dialect) -> Any:
        return os.fsdecode(value) if value is not None and dialect.name == SERVER else value
