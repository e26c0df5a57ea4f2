"""Compare what a source lists with the catalog: which files are new, changed, unchanged, rejected or gone.

The comparison is made inside SQLite over a temporary table, so that millions of unchanged files cost no memory of
ours. A file is known by (root, path), and unchanged while its size and modification time are.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.erasure.path_pseudonyms import is_nameless
from filmroom.db.path_names import tail_of
from filmroom.db.postgresql.column_types import Integer, PathBytes, PathText, stored_path
from filmroom.db.records import DECODING, Outcome, Scope, SourceFile, State, is_remote
from filmroom.db.schema import embedding, file, film, root, thumbnail
from sqlalchemy import (
    Column,
    ColumnElement,
    Connection,
    MetaData,
    Table,
    and_,
    case,
    delete,
    exists,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import sqlite
from sqlalchemy.schema import CreateTable, DropTable


@dataclass(frozen=True)
class Comparison:
    """How a listing compares: counts of files that need nothing, and the files that need work, by path.

    `older` are unchanged, but an earlier version decoded them, which each says in `decoding`. `forgotten` are known to
    the catalog by other names than their paths, and need no work.
    """

    listed: int
    unchanged: int
    duplicate: int
    rejected: int
    work: Sequence[SourceFile]
    older: Sequence[SourceFile] = ()
    forgotten: Sequence[SourceFile] = ()


_seen = Table(
    "seen",
    MetaData(),
    Column("path", PathText, primary_key=True),
    Column("size", Integer, nullable=False),
    Column("mtime_ns", Integer, nullable=False),
    prefixes=["TEMPORARY"],
)

_PUT_SEEN = str(insert(_seen).prefix_with("OR REPLACE").compile(dialect=sqlite.dialect()))
_orphan = Table("orphan", MetaData(), Column("id", Integer, primary_key=True), prefixes=["TEMPORARY"])
_copy = file.alias("copy")


def is_there(root_path: str, path: str, *, size: int, mtime_ns: int) -> bool:
    """Tell whether a known file still lies at its place as it was: a path that holds something else is not it. Of a
    server's films its listing alone tells."""
    if is_remote(root_path):
        return True
    try:
        facts = os.stat(os.path.join(root_path, path))
    except (OSError, ValueError):
        return False
    return (facts.st_size, facts.st_mtime_ns) == (size, mtime_ns)


def open_scope(catalog: Catalog, folder: Path) -> Scope:
    """Return the scope of a folder or file. A folder below a known root belongs to that root; one above known roots
    takes them in, so that the same file is never known by two paths."""
    folder = Path(os.path.abspath(folder))
    with catalog.write() as connection:
        roots = connection.execute(select(root)).all()
        known = {Path(row.path): row.id for row in roots if not is_remote(row.path)}
        for above in (folder, *folder.parents):
            if above in known:
                prefix = folder.relative_to(above).as_posix()
                return Scope(known[above], str(above), "" if prefix == "." else prefix)
        top = folder if folder.is_dir() else folder.parent
        root_id = connection.execute(insert(root).values(path=str(top)).returning(root.c.id)).scalar_one()
        for below, below_id in known.items():
            if below.is_relative_to(top):
                prefix = below.relative_to(top).as_posix() + "/"
                inside = select(file.c.id, file.c.path).where(file.c.root_id == below_id)
                for row in connection.execute(inside).all():
                    # A digest is of the whole path: in any root it is the same, and the prefix can hold a name.
                    path = row.path if is_nameless(row.path) else prefix + row.path
                    moved = {"root_id": root_id, "path": path, "tail": tail_of(path)}
                    connection.execute(update(file).where(file.c.id == row.id).values(**moved))
                connection.execute(delete(root).where(root.c.id == below_id))
    return Scope(root_id, str(top), "" if folder == top else folder.name)


def open_remote_scope(catalog: Catalog, address: str, prefix: str = "") -> Scope:
    """Return the scope of a server by its address, or of the part of a bucket below `prefix`."""
    with catalog.write() as connection:
        root_id = connection.scalar(select(root.c.id).where(root.c.path == address))
        if root_id is None:
            root_id = connection.execute(insert(root).values(path=address).returning(root.c.id)).scalar_one()
    return Scope(root_id, address, prefix)


def compare(
    catalog: Catalog,
    scope: Scope,
    listing: Iterable[SourceFile],
    *,
    space_id: int,
    retry: bool = False,
    passing: Sequence[str] = (),
    final: Sequence[str] = (),
    reopened: Sequence[str] = (),
    complete: bool = True,
    unseen: Sequence[str] = (),
) -> Comparison:
    """Compare a listing of the scope with the catalog and note which files are listed; where it is not `complete`,
    files that it lacks stay listed, and so they do below the paths in `unseen`.

    Films are marked gone by `finish` only, so that a run that breaks off takes nothing out of the search. Files known
    below a folder that could not be listed stay listed. With `retry`, files that were rejected before
    are tried again; those whose code is one of `passing` always are, and those that an earlier version of decoding
    rejected, but for the codes in `final`; and duplicates whose code is one of `reopened`.
    """
    with catalog.read() as connection:
        for table in (_seen, _orphan):
            connection.execute(CreateTable(table))
        # Of an ordinary file the table holds everything; of these few it does not.
        marked: dict[str, SourceFile] = {}
        for chunk in chunked(listing):
            marked |= {source.key: source for source in chunk if source.rejected or source.stored_as}
            # Straight to the driver: of an unchanged folder this is most of the work.
            connection.exec_driver_sql(
                _PUT_SEEN,
                [(stored_path(source.key, connection.dialect), source.size, source.mtime_ns) for source in chunk],
            )
        for ids in chunked(_orphaned_duplicates(connection, scope)):
            connection.execute(insert(_orphan), [{"id": file_id} for file_id in ids])
        kind = _kind(space_id, retry=retry, passing=passing, final=final, reopened=reopened)
        joined = _seen.outerjoin(file, and_(file.c.root_id == scope.root_id, file.c.path == _seen.c.path))
        counts = {
            str(row[0]): int(row[1])
            for row in connection.execute(select(kind, func.count()).select_from(joined).group_by(kind))
        }
        rows = connection.execute(select(_seen).select_from(joined).where(kind == "work").order_by(_seen.c.path))
        work = [marked.get(row.path) or SourceFile(scope.root, row.path, row.size, row.mtime_ns) for row in rows]
        statement = select(_seen, file.c.decoding).select_from(joined).where(kind == "older").order_by(_seen.c.path)
        older = [
            SourceFile(scope.root, row.path, row.size, row.mtime_ns, decoding=row.decoding)
            for row in connection.execute(statement)
        ]
        now_listed = exists().where(_seen.c.path == file.c.path)
        in_scope = and_(file.c.root_id == scope.root_id, _below(scope.prefix))
        changed: list[tuple[bool, ColumnElement[bool]]] = [(True, and_(~file.c.listed, now_listed))]
        # A disk that is not mounted looks like an empty folder: an empty listing takes nothing away.
        if complete and any(counts.values()):
            hidden = (*unseen, *(source.path for source in marked.values() if source.is_folder))
            changed.append((False, and_(file.c.listed, ~now_listed, *(~_below(path) for path in hidden))))
        differing = [
            (listed, list(connection.scalars(select(file.c.id).where(in_scope, condition))))
            for listed, condition in changed
        ]
        for table in (_seen, _orphan):
            connection.execute(DropTable(table))
    _note(catalog, differing)
    again = {source.key for source in work if source.stored_as}
    return Comparison(
        listed=sum(counts.values()),
        unchanged=counts.get("unchanged", 0),
        duplicate=counts.get(Outcome.DUPLICATE, 0),
        rejected=counts.get(Outcome.REJECTED, 0),
        work=work,
        older=older,
        forgotten=[source for source in marked.values() if source.stored_as and source.key not in again],
    )


def unlist(catalog: Catalog, scope: Scope, paths: Sequence[str]) -> None:
    """Note that nothing is at these paths of the scope, or below them, any more; `finish` says what that means."""
    for path in paths:
        with catalog.read() as connection:
            below = select(file.c.id).where(file.c.root_id == scope.root_id, file.c.listed, _below(path))
            ids = list(connection.scalars(below))
        _note(catalog, [(False, ids)])


def finish(catalog: Catalog, scope: Scope) -> int:
    """Mark films as gone whose file is no longer listed, unless a listed duplicate can stand in for it.

    To be called when a run over the scope has seen all its files. Returns the number of files newly gone.
    """
    lost = (
        select(file.c.id)
        .join(film, film.c.file_id == file.c.id)
        .where(file.c.root_id == scope.root_id, ~file.c.listed, film.c.state == State.PRESENT.value)
        .distinct()
    )
    with catalog.read() as connection:
        lost_files = list(connection.scalars(lost))
    if not lost_files:
        return 0
    gone = 0
    with catalog.write() as connection:
        for file_id in lost_files:
            stand_in = _stand_in(connection, file_id)
            if stand_in is None:
                present = and_(film.c.file_id == file_id, film.c.state == State.PRESENT.value)
                connection.execute(update(film).where(present).values(state=State.GONE.value))
                gone += 1
            else:
                repoint(connection, old_file=file_id, new_file=stand_in)
    return gone


def repoint(connection: Connection, *, old_file: int, new_file: int) -> None:
    """Give the films of a file that moved to its new place; the old row goes."""
    connection.execute(
        update(film)
        .where(film.c.file_id == old_file, film.c.state != State.REPLACED.value)
        .values(file_id=new_file, state=State.PRESENT.value)
    )
    decoded = select(file.c.decoding).where(file.c.id == old_file).scalar_subquery()
    values = {"outcome": Outcome.INDEXED.value, "duplicate_of": None, "reason": None, "decoding": decoded}
    connection.execute(update(file).where(file.c.id == new_file).values(**values))
    drop_unused(connection, old_file)


def drop_unused(connection: Connection, file_id: int) -> None:
    """Delete the row of a file that no film belongs to any more, because it moved."""
    still_used = exists().where(film.c.file_id == file.c.id)
    connection.execute(delete(file).where(file.c.id == file_id, ~still_used))


def _orphaned_duplicates(connection: Connection, scope: Scope) -> list[int]:
    """Return the copies in the scope whose original is no longer at its place: one of them is the film now."""
    statement = (
        select(_copy.c.id, root.c.path.label("root"), file.c.path, file.c.size, file.c.mtime_ns, film.c.state)
        .select_from(_copy)
        .join(film, film.c.id == _copy.c.duplicate_of)
        .join(file, file.c.id == film.c.file_id)
        .join(root, root.c.id == file.c.root_id)
        .where(_copy.c.root_id == scope.root_id, _copy.c.outcome == Outcome.DUPLICATE.value)
    )
    return [
        row.id
        for row in connection.execute(statement)
        if row.state != State.PRESENT.value or not is_there(row.root, row.path, size=row.size, mtime_ns=row.mtime_ns)
    ]


def _kind(
    space_id: int, *, retry: bool, passing: Sequence[str], final: Sequence[str], reopened: Sequence[str]
) -> ColumnElement[str]:
    lacking = exists().where(
        film.c.file_id == file.c.id,
        film.c.state != State.REPLACED.value,
        ~exists().where(embedding.c.film_id == film.c.id, embedding.c.space_id == space_id),
    )
    faceless = exists().where(
        film.c.file_id == file.c.id,
        film.c.state == State.PRESENT.value,
        ~exists().where(thumbnail.c.film_id == film.c.id),
    )
    filmless = ~exists().where(film.c.file_id == file.c.id, film.c.state != State.REPLACED.value)
    rejected = file.c.outcome == Outcome.REJECTED.value
    by_older = file.c.decoding < DECODING
    again = true() if retry else or_(file.c.reason.in_(passing), and_(by_older, file.c.reason.not_in(final)))
    return case(
        (file.c.id.is_(None), "work"),
        (or_(file.c.size != _seen.c.size, file.c.mtime_ns != _seen.c.mtime_ns), "work"),
        (and_(rejected, again), "work"),
        (rejected, Outcome.REJECTED.value),
        (exists().where(_orphan.c.id == file.c.id), "work"),
        (and_(file.c.outcome == Outcome.DUPLICATE.value, file.c.reason.in_(reopened)), "work"),
        (file.c.outcome == Outcome.DUPLICATE.value, Outcome.DUPLICATE.value),
        (or_(filmless, lacking, faceless), "work"),
        (by_older, "older"),
        else_="unchanged",
    )


def _below(prefix: str) -> ColumnElement[bool]:
    if not prefix:
        return true()
    # Names that are no UTF-8 are stored as bytes, which SQLite puts behind every text.
    blob = [literal(os.fsencode(prefix + end), PathBytes) for end in "/0"]
    return or_(
        file.c.path == prefix,
        and_(file.c.path > prefix + "/", file.c.path < prefix + "0"),
        and_(file.c.path > blob[0], file.c.path < blob[1]),
    )


def _note(catalog: Catalog, differing: Sequence[tuple[bool, Sequence[int]]]) -> None:
    if not any(ids for _, ids in differing):
        return
    with catalog.write() as connection:
        for listed, ids in differing:
            for chunk in chunked(ids):
                connection.execute(update(file).where(file.c.id.in_(chunk)).values(listed=listed))
                if listed:
                    back = and_(film.c.file_id.in_(chunk), film.c.state == State.GONE.value)
                    connection.execute(update(film).where(back).values(state=State.PRESENT.value))


def _stand_in(connection: Connection, file_id: int) -> int | None:
    """Return a listed copy of the same content; one of other content under the same UID is decoded in a run of its
    own."""
    of_this_file = select(film.c.id).where(film.c.file_id == file_id)
    content = select(file.c.sha256).where(file.c.id == file_id).scalar_subquery()
    statement = (
        select(_copy, root.c.path.label("root"))
        .join(root, root.c.id == _copy.c.root_id)
        .where(_copy.c.duplicate_of.in_(of_this_file), _copy.c.listed, _copy.c.sha256 == content)
        .order_by(_copy.c.id)
    )
    for row in connection.execute(statement):
        if is_there(row.root, row.path, size=row.size, mtime_ns=row.mtime_ns):
            return int(row.id)
    return None
