"""Keep index runs and their counts in the catalog, so that any page or terminal can follow them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from filmroom.db.catalog import Catalog
from filmroom.db.erasure.path_pseudonyms import is_nameless
from filmroom.db.errors import NotFound
from filmroom.db.reads.summary import run_of
from filmroom.db.records import Counts, DuplicateReason, Outcome, Run, RunState
from filmroom.db.schema import file, film, root, run
from sqlalchemy import case, delete, insert, select, true, update

_KEPT = 1000
"""Runs that are kept: a folder that is watched makes one with every film."""

_GRAVEST_FIRST = {reason.value: at for at, reason in enumerate(reversed(DuplicateReason))}


def start(catalog: Catalog, sources: Sequence[object], model: str) -> int:
    """Note a run that begins, in `Catalog.working`."""
    values = {
        # A path that is relative means another folder, or none, to whoever reads it later.
        "paths": json.dumps(
            [os.path.abspath(source) if isinstance(source, Path) else str(source) for source in sources]
        ),
        "model": model,
        "pid": os.getpid(),
        "state": RunState.RUNNING.value,
        "started_at": int(time.time()),
    }
    with catalog.write() as connection:
        run_id = int(connection.execute(insert(run).values(**values).returning(run.c.id)).scalar_one())
        connection.execute(delete(run).where(run.c.id <= run_id - _KEPT))
    catalog.begin_run(run_id)
    return run_id


def progress(catalog: Catalog, run_id: int, counts: Counts) -> None:
    with catalog.write() as connection:
        connection.execute(update(run).where(run.c.id == run_id).values(**vars(counts)))


def end(catalog: Catalog, run_id: int, state: RunState, counts: Counts, message: str | None = None) -> None:
    values = vars(counts) | {"state": state.value, "ended_at": int(time.time()), "message": message}
    with catalog.write() as connection:
        connection.execute(update(run).where(run.c.id == run_id).values(**values))


def runs(catalog: Catalog, limit: int = 20) -> list[Run]:
    """Return them newest first."""
    with catalog.read() as connection:
        rows = connection.execute(select(run).order_by(run.c.id.desc()).limit(limit)).all()
    alive = catalog.living()
    return [run_of(dict(row._mapping), alive) for row in rows]


def get(catalog: Catalog, run_id: int) -> Run:
    """Return one run. Raises NotFound."""
    row = None
    if run_id.bit_length() < 64:
        with catalog.read() as connection:
            row = connection.execute(select(run).where(run.c.id == run_id)).first()
    if row is None:
        raise NotFound("there is no run of this number", where=run_id, fix="`filmroom status` shows the last ones.")
    return run_of(dict(row._mapping), catalog.living())


@dataclass(frozen=True)
class RejectedFile:
    """A file that was turned away, and where on its way. `code` is what the catalog holds of the reason; `remedy` is
    there only for a reason in words that an earlier version has left."""

    root: str
    path: str
    stage: str
    code: str
    remedy: str | None
    tried_at: int

    @property
    def forgotten(self) -> bool:
        """Turned away on request; its path is not kept."""
        return is_nameless(self.path)


# A sum is looked up in no index: it keeps SQLite from beginning with a root, all of whose files it would go through, as
# most files of an archive have one outcome, and it takes every outcome for as frequent.
def rejected(catalog: Catalog, limit: int | None = None) -> list[RejectedFile]:
    statement = (
        select(file, root.c.path.label("root"))
        .join(root, root.c.id == file.c.root_id + 0)
        .where(file.c.outcome == Outcome.REJECTED.value, file.c.listed)
        .order_by(file.c.reason, root.c.path, file.c.path)
    )
    with catalog.read() as connection:
        rows = connection.execute(statement.limit(limit)).all()
    return [RejectedFile(r.root, r.path, r.stage, r.reason, r.remedy, r.tried_at) for r in rows]


@dataclass(frozen=True)
class DuplicateFile:
    """A listed file that is not indexed because film `film` is: `path` and `of_path` are relative to their roots."""

    film: int
    root: str
    path: str
    of_root: str
    of_path: str
    code: str


def duplicates(catalog: Catalog, *, why: str | None = None) -> list[DuplicateFile]:
    """List duplicates, those that differ first: the same instance UID with another picture is a fault of the archive
    that was indexed. Only those of one reason where `why` names it."""
    of_file, of_root = file.alias("of_file"), root.alias("of_root")
    statement = (
        select(film.c.id, root.c.path.label("root"), file.c.path, file.c.reason)
        .add_columns(of_root.c.path.label("of_root"), of_file.c.path.label("of_path"))
        .join(root, root.c.id == file.c.root_id + 0)
        .join(film, film.c.id == file.c.duplicate_of + 0)
        .join(of_file, of_file.c.id == film.c.file_id)
        .join(of_root, of_root.c.id == of_file.c.root_id + 0)
        .where(file.c.outcome == Outcome.DUPLICATE.value, file.c.listed, file.c.reason == why if why else true())
        .order_by(
            case(_GRAVEST_FIRST, value=file.c.reason, else_=len(DuplicateReason)), film.c.id, root.c.path, file.c.path
        )
    )
    with catalog.read() as connection:
        rows = connection.execute(statement).all()
    return [DuplicateFile(r.id, r.root, r.path, r.of_root, r.of_path, r.reason) for r in rows]


def roots(catalog: Catalog) -> list[str]:
    with catalog.read() as connection:
        return list(connection.scalars(select(root.c.path).order_by(root.c.path)))
