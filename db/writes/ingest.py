"""Write what a run found: one transaction a batch, so that a film, its thumbnail and its vector are there together
or not at all."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import asdict, replace
from itertools import groupby
from operator import itemgetter
from typing import Any

import numpy as np
from filmroom.db.batching import chunked
from filmroom.db.catalog import Catalog
from filmroom.db.errors import BadInput, Rejected
from filmroom.db.reads.integrity import checksum
from filmroom.db.records import (
    DECODING,
    IMPORTED,
    UNCERTAIN_ORIENTATION,
    DuplicateReason,
    FileResult,
    NewFilm,
    Outcome,
    Scope,
    Settled,
    SourceFile,
    Space,
    State,
    Tags,
)
from filmroom.db.schema import described, embedding, file, film, finding, root, space, thumbnail
from filmroom.db.thumbnails.shelf import Shelf
from filmroom.db.writes.facts import given_facts
from filmroom.db.writes.file_diff import drop_unused, is_there, repoint
from filmroom.db.writes.meta import touch_generation
from sqlalchemy import Connection, Row, bindparam, delete, exists, insert, select, update
from sqlalchemy.dialects.sqlite import insert as upsert

_OF_PIXELS = frozenset({"rows", "columns", "burned_in"})
# Building a statement costs more than running it: these are built once.
_ADD_FILM = insert(film).returning(film.c.id)
_ADD_VECTOR = insert(embedding)
_ADD_FILES = insert(file).returning(file.c.id, sort_by_parameter_order=True)
_ADD_FILMS = insert(film).returning(film.c.id, sort_by_parameter_order=True)
_DROP_VECTOR = delete(embedding).where(
    embedding.c.film_id == bindparam("of_film"), embedding.c.space_id == bindparam("of_space")
)
_file = upsert(file)
_PUT_FILE = _file.on_conflict_do_update(
    index_elements=["root_id", "path"],
    set_={
        name: _file.excluded[name]
        for name in (
            "size", "mtime_ns", "sha256", "outcome", "listed", "duplicate_of", "stage", "reason", "remedy", "tried_at",
            "decoding",
        )
    },
).returning(file.c.id)  # fmt: skip
_FILMS_OF_FILE = select(film.c.id).where(film.c.file_id == bindparam("of_file"))
_FILE_BY_PATH = select(file).where(file.c.root_id == bindparam("of_root"), file.c.path == bindparam("at_path"))
_FILM_BY_IDENTITY = (
    select(
        film,
        file.c.path,
        file.c.size,
        file.c.mtime_ns,
        file.c.listed,
        file.c.sha256,
        file.c.decoding,
        root.c.path.label("root"),
    )
    .join(file, file.c.id == film.c.file_id)
    .join(root, root.c.id == file.c.root_id)
    .where(film.c.identity == bindparam("wanted"))
)


def identity(tags: Tags, sha256: str, frame: int) -> str:
    """Return SOP Instance UID and frame for DICOM, content hash and frame otherwise."""
    return f"{'uid:' + tags.instance_uid if tags.instance_uid else 'sha256:' + sha256}#{frame}"


def ensure_space(catalog: Catalog, model_space: Space) -> int:
    with catalog.read() as connection:
        row = connection.execute(_space_row(model_space)).first()
    if row is None:
        with catalog.write() as connection:
            connection.execute(upsert(space).values(**asdict(model_space), generation=0).on_conflict_do_nothing())
            row = connection.execute(_space_row(model_space)).one()
    if (row.dim, row.vectors) != (model_space.dim, model_space.vectors):
        raise BadInput(
            f"gives ({model_space.vectors}, {model_space.dim}) vectors "
            f"where the archive holds ({row.vectors}, {row.dim})",
            where=f"model {model_space.model}",
            fix="Its fingerprint should differ: add it again with `filmroom models add`.",
        )
    return int(row.id)


def _space_row(model_space: Space) -> Any:
    return select(space).where(space.c.model == model_space.model, space.c.fingerprint == model_space.fingerprint)


def any_films(catalog: Catalog) -> bool:
    with catalog.read() as connection:
        return connection.scalar(select(film.c.id).limit(1)) is not None


def keep_known(
    catalog: Catalog, scope: Scope, space_id: int, hashed: Sequence[tuple[SourceFile, str]]
) -> list[Settled | None]:
    """Settle files (with their SHA-256) whose content may be indexed already: a file that was touched or moved stays
    indexed under its new facts, a copy is a duplicate, and None means that it must be decoded and embedded."""
    with catalog.write() as connection:
        return [_keep_known(connection, scope, space_id, source, sha256) for source, sha256 in hashed]


def _keep_known(connection: Connection, scope: Scope, space_id: int, source: SourceFile, sha256: str) -> Settled | None:
    embedded = exists().where(
        embedding.c.film_id == film.c.id, embedding.c.space_id == space_id, thumbnail.c.film_id == film.c.id
    )
    statement = (
        select(file, film.c.id.label("film_id"), root.c.path.label("root"))
        .join(film, film.c.file_id == file.c.id)
        .join(root, root.c.id == file.c.root_id)
        .where(file.c.sha256 == sha256, file.c.outcome == Outcome.INDEXED.value)
        .where(film.c.state != State.REPLACED.value, embedded)
        .order_by(file.c.listed.desc(), film.c.frame)
    )
    known = connection.execute(statement).first()
    if known is None:
        return None
    in_place = _there(known)
    file_id = _put_file(connection, scope, source, sha256=sha256, outcome=Outcome.INDEXED, decoding=known.decoding)
    if file_id == known.id:
        return Settled(Outcome.INDEXED, known.decoding)
    _replace_others(connection, file_id, keep=set())
    if not in_place:
        repoint(connection, old_file=known.id, new_file=file_id)
        return Settled(Outcome.INDEXED, known.decoding)
    _mark_duplicate(connection, file_id, known.film_id, DuplicateReason.SAME_CONTENT)
    return Settled(Outcome.DUPLICATE, known.decoding)


def keep_as_they_are(catalog: Catalog, scope: Scope, looked_at: Sequence[tuple[SourceFile, Sequence[Tags]]]) -> None:
    """Settle unchanged files that an earlier version decoded to the same pixels: their films get the tags, one a frame,
    that the present version reads. None are given for a file that has no header. What the pixels say stays."""
    with catalog.write() as connection:
        for source, tags in looked_at:
            known = connection.execute(_FILE_BY_PATH, {"of_root": scope.root_id, "at_path": source.key}).one()
            connection.execute(update(file).where(file.c.id == known.id).values(decoding=DECODING))
            for frame, film_tags in enumerate(tags):
                read = {name: value for name, value in vars(film_tags).items() if name not in _OF_PIXELS}
                of_frame = (film.c.file_id == known.id, film.c.frame == frame, film.c.state != State.REPLACED.value)
                for film_id in connection.scalars(select(film.c.id).where(*of_frame)).all():
                    facts = {
                        name: value
                        for name, value in given_facts(connection, film_id, film_tags).items()
                        if name not in _OF_PIXELS
                    }
                    connection.execute(update(film).where(film.c.id == film_id).values(**read | facts))


def commit(
    catalog: Catalog, scope: Scope, space_id: int, results: Sequence[FileResult], *, keep_apart: bool = False
) -> list[Outcome]:
    """Keep a batch in one transaction; gives the outcome of each result in order. With `keep_apart` a picture under
    the UID of another is a film of its own, known by its content."""
    shelf = Shelf(catalog)
    with catalog.write() as connection:
        outcomes: list[Outcome] = []
        for is_new, run in groupby(_with_newness(connection, scope, results), key=itemgetter(0)):
            if is_new:
                outcomes += _keep_new(connection, shelf, scope, space_id, [result for _, result in run])
            else:
                outcomes += [
                    _keep(connection, shelf, scope, space_id, result, keep_apart=keep_apart) for _, result in run
                ]
        shelf.write()
    return outcomes


def _with_newness(connection: Connection, scope: Scope, results: Sequence[FileResult]) -> list[tuple[bool, FileResult]]:
    """Tell of each result whether neither the archive nor a result before it has its path or a name of its films."""
    paths: set[str] = set()
    identities: set[str] = set()
    for chunk in chunked({result.source.key for result in results}):
        in_archive = select(file.c.path).where(file.c.root_id == scope.root_id, file.c.path.in_(chunk))
        paths.update(connection.scalars(in_archive))
    for chunk in chunked({name for result in results for name in _names(result)}):
        identities.update(connection.scalars(select(film.c.identity).where(film.c.identity.in_(chunk))))
    newness = []
    for result in results:
        names = _names(result)
        once = len({new.identity for new in result.films}) == len(result.films)
        newness.append((once and result.source.key not in paths and identities.isdisjoint(names), result))
        paths.add(result.source.key)
        identities |= names
    return newness


def _names(result: FileResult) -> set[str]:
    """Return the identities that the films of a file have, or have where they are kept apart from others."""
    by_content = {f"sha256:{result.sha256}#{new.frame}" for new in result.films if result.sha256}
    return by_content | {new.identity for new in result.films}


def _keep_new(
    connection: Connection, shelf: Shelf, scope: Scope, space_id: int, results: Sequence[FileResult]
) -> list[Outcome]:
    """Keep files that the archive knows nothing of: a statement a table, as each is a way to a server and back."""
    outcomes = [Outcome.INDEXED if result.source.rejected is None else Outcome.REJECTED for result in results]
    files = [
        _file_values(scope, result.source, sha256=result.sha256, outcome=outcome, rejected=result.source.rejected)
        for result, outcome in zip(results, outcomes, strict=True)
    ]
    file_ids = connection.scalars(_ADD_FILES, files).all()
    films = [
        (new, file_id)
        for result, file_id in zip(results, file_ids, strict=True)
        if result.source.rejected is None
        for new in result.films
    ]
    if films:
        film_ids = connection.scalars(_ADD_FILMS, [_new_film_values(new, file_id) for new, file_id in films]).all()
        shelf.put_all(connection, {film_id: new.thumbnail for film_id, (new, _) in zip(film_ids, films, strict=True)})
        vectors = [_vector_values(film_id, space_id, new) for film_id, (new, _) in zip(film_ids, films, strict=True)]
        connection.execute(_ADD_VECTOR, vectors)
    return outcomes


def _keep(
    connection: Connection, shelf: Shelf, scope: Scope, space_id: int, result: FileResult, *, keep_apart: bool
) -> Outcome:
    before = connection.execute(_FILE_BY_PATH, {"of_root": scope.root_id, "at_path": result.source.key}).first()
    if result.source.rejected is not None:
        if before is not None and before.outcome == Outcome.INDEXED.value and _same(before, result.source):
            # Nothing about the file has changed: what is known of it stays, whatever stood in the way this time.
            return Outcome.REJECTED
        file_id = _put_file(
            connection,
            scope,
            result.source,
            sha256=result.sha256,
            outcome=Outcome.REJECTED,
            rejected=result.source.rejected,
        )
        _replace_others(connection, file_id, keep=set())
        return Outcome.REJECTED
    file_id = _put_file(connection, scope, result.source, sha256=result.sha256, outcome=Outcome.INDEXED)
    film_ids: set[int] = set()
    twin: Row[Any] | None = None
    alike = False
    for new in result.films:
        old = connection.execute(_FILM_BY_IDENTITY, {"wanted": new.identity}).first()
        if new.tags.instance_uid and result.sha256 and (old is None or old.file_id != file_id):
            new, old = _apart(connection, shelf, new, old, result.sha256, keep_apart=keep_apart)
        if old is None:
            film_id = int(connection.execute(_ADD_FILM, _new_film_values(new, file_id)).scalar_one())
        elif old.file_id == file_id or old.state != State.PRESENT.value or not _there(old):
            film_id = old.id
            values = _film_values(new) | given_facts(connection, film_id, new.tags) | {"file_id": file_id}
            connection.execute(update(film).where(film.c.id == film_id).values(values))
            content = before.sha256 if before is not None and old.file_id == file_id else old.sha256
            decoding = before.decoding if before is not None and old.file_id == file_id else old.decoding
            # What a film was of whose file has held something else since, only its thumbnail tells.
            replaced = old.state == State.REPLACED.value and not shelf.holds(connection, film_id, new.thumbnail)
            other = content != result.sha256 or replaced
            if other:
                touch_generation(connection, _drop_vectors(connection, film_id))
            elif decoding < new.since:
                # Vectors that came from outside are of the same film, however it is decoded here.
                touch_generation(connection, _drop_vectors(connection, film_id, imported=False))
            if other or _lay_otherwise(old.orientation, new.tags.orientation):
                _drop_findings(connection, film_id)
            if old.file_id != file_id:
                drop_unused(connection, old.file_id)
        else:
            twin, alike = old, shelf.holds(connection, old.id, new.thumbnail)
            continue
        _keep_pictures(connection, shelf, film_id, space_id, new)
        film_ids.add(film_id)
    _replace_others(connection, file_id, keep=film_ids)
    if twin is not None and not film_ids:
        reason = DuplicateReason.SAME_PICTURE if alike else DuplicateReason.SAME_UID
        if twin.sha256 == result.sha256:
            reason = DuplicateReason.SAME_CONTENT
        _mark_duplicate(connection, file_id, twin.id, reason)
        return Outcome.DUPLICATE
    return Outcome.INDEXED


def _apart(
    connection: Connection, shelf: Shelf, new: NewFilm, old: Row[Any] | None, sha256: str, *, keep_apart: bool
) -> tuple[NewFilm, Row[Any] | None]:
    """Return the film as it is known by its content, where it was kept apart from another of its UID or is to be
    now."""
    apart = replace(new, identity=f"sha256:{sha256}#{new.frame}")
    before = connection.execute(_FILM_BY_IDENTITY, {"wanted": apart.identity}).first()
    if before is not None:
        return apart, before
    other = old is not None and old.state == State.PRESENT.value and _there(old) and old.sha256 != sha256
    if old is not None and keep_apart and other and not shelf.holds(connection, old.id, new.thumbnail):
        return apart, None
    return new, old


def _film_values(new: NewFilm) -> dict[str, Any]:
    return vars(new.tags) | {"frame": new.frame, "state": State.PRESENT.value}


def _new_film_values(new: NewFilm, file_id: int) -> dict[str, Any]:
    return _film_values(new) | {"file_id": file_id, "identity": new.identity, "added_at": int(time.time())}


def _keep_pictures(connection: Connection, shelf: Shelf, film_id: int, space_id: int, new: NewFilm) -> None:
    shelf.put(connection, film_id, new.thumbnail)
    if connection.execute(_DROP_VECTOR, {"of_film": film_id, "of_space": space_id}).rowcount:
        touch_generation(connection, {space_id})
    connection.execute(_ADD_VECTOR, _vector_values(film_id, space_id, new))


def _vector_values(film_id: int, space_id: int, new: NewFilm) -> dict[str, Any]:
    blob = new.vectors.astype(np.float16).tobytes()
    return {"film_id": film_id, "space_id": space_id, "vectors": blob, "checksum": checksum(blob)}


def _drop_vectors(connection: Connection, film_id: int, *, imported: bool = True) -> set[int]:
    """Delete what every model made of a film, and with `imported` what was brought in. Returns the spaces."""
    dropped = select(embedding.c.space_id).join(space, space.c.id == embedding.c.space_id)
    dropped = dropped.where(embedding.c.film_id == film_id)
    if not imported:
        dropped = dropped.where(~space.c.fingerprint.startswith(IMPORTED))
    spaces = set(connection.scalars(dropped))
    connection.execute(delete(embedding).where(embedding.c.film_id == film_id, embedding.c.space_id.in_(spaces)))
    return spaces


def _lay_otherwise(before: str | None, now: str | None) -> bool:
    done = [None if orientation == UNCERTAIN_ORIENTATION else orientation for orientation in (before, now)]
    return done[0] != done[1]


def _drop_findings(connection: Connection, film_id: int) -> None:
    """Delete what models wrote of a film that is another now, or that they saw mirrored or lying: sides and boxes are
    of another picture. It may be described again."""
    for written in (finding, described):
        connection.execute(delete(written).where(written.c.film_id == film_id))


def _put_file(connection: Connection, scope: Scope, source: SourceFile, **facts: Any) -> int:
    return int(connection.execute(_PUT_FILE, _file_values(scope, source, **facts)).scalar_one())


def _file_values(
    scope: Scope,
    source: SourceFile,
    *,
    sha256: str | None,
    outcome: Outcome,
    rejected: Rejected | None = None,
    decoding: int = DECODING,
) -> dict[str, Any]:
    return {
        "root_id": scope.root_id,
        "path": source.key,
        "size": source.size,
        "mtime_ns": source.mtime_ns,
        "sha256": sha256,
        "outcome": outcome.value,
        "listed": True,
        "duplicate_of": None,
        "stage": rejected.stage.value if rejected else None,
        "reason": rejected.code if rejected else None,
        "remedy": None,  # its words go with the code; an earlier version kept them here
        "tried_at": int(time.time()),
        "decoding": decoding,
    }


def _replace_others(connection: Connection, file_id: int, *, keep: set[int]) -> None:
    """Take films that this file held before and holds no more out of the search; their judgements are kept."""
    replaced = [row.id for row in connection.execute(_FILMS_OF_FILE, {"of_file": file_id}) if row.id not in keep]
    if replaced:
        connection.execute(update(film).where(film.c.id.in_(replaced)).values(state=State.REPLACED.value))


def _mark_duplicate(connection: Connection, file_id: int, film_id: int, reason: DuplicateReason) -> None:
    values = {"outcome": Outcome.DUPLICATE.value, "duplicate_of": film_id, "reason": reason.value}
    connection.execute(update(file).where(file.c.id == file_id).values(**values))


def _there(row: Row[Any]) -> bool:
    return bool(row.listed) and is_there(row.root, row.path, size=row.size, mtime_ns=row.mtime_ns)


def _same(row: Row[Any], source: SourceFile) -> bool:
    return (row.size, row.mtime_ns) == (source.size, source.mtime_ns)
