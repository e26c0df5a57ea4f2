"""Index runs and their counts, kept in the catalog so that any page or terminal can follow them."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from pathlib import Path

from sqlalchemy import func, insert, select, update

from db.catalog import Catalog
from db.listing import Outcome
from db.schema import file, root, run


class RunState(StrEnum):
    """`running` with a process that is no longer there reads as `broken`: killed, and safe to run again."""

    RUNNING = "running"
    DONE = "done"
    STOPPED = "stopped"
    FAILED = "failed"
    BROKEN = "broken"


@dataclass(frozen=True)
class Counts:
    """Every listed file is in exactly one of indexed, unchanged, duplicate and rejected."""

    listed: int = 0
    indexed: int = 0
    unchanged: int = 0
    duplicate: int = 0
    rejected: int = 0
    gone: int = 0

    @property
    def done(self) -> int:
        return self.indexed + self.unchanged + self.duplicate + self.rejected


@dataclass(frozen=True)
class Run:
    id: int
    paths: tuple[str, ...]
    model: str
    pid: int
    state: RunState
    started_at: int
    ended_at: int | None
    counts: Counts
    message: str | None


def start(catalog: Catalog, paths: Sequence[Path], model: str) -> int:
    values = {
        "paths": json.dumps([str(path) for path in paths]),
        "model": model,
        "pid": os.getpid(),
        "state": RunState.RUNNING.value,
        "started_at": int(time.time()),
    }
    with catalog.write() as connection:
        return int(connection.execute(insert(run).values(**values).returning(run.c.id)).scalar_one())


def progress(catalog: Catalog, run_id: int, counts: Counts) -> None:
    with catalog.write() as connection:
        connection.execute(update(run).where(run.c.id == run_id).values(**vars(counts)))


def end(catalog: Catalog, run_id: int, state: RunState, counts: Counts, message: str | None = None) -> None:
    values = vars(counts) | {"state": state.value, "ended_at": int(time.time()), "message": message}
    with catalog.write() as connection:
        connection.execute(update(run).where(run.c.id == run_id).values(**values))


def runs(catalog: Catalog, limit: int = 20) -> list[Run]:
    """Newest first."""
    with catalog.read() as connection:
        rows = connection.execute(select(run).order_by(run.c.id.desc()).limit(limit)).all()
    return [_run(row._mapping) for row in rows]


def _run(row: object) -> Run:
    found = dict(row)  # type: ignore[call-overload]
    counts = Counts(**{name: found[name] for name in Counts.__dataclass_fields__})
    one = Run(
        id=found["id"],
        paths=tuple(json.loads(found["paths"])),
        model=found["model"],
        pid=found["pid"],
        state=RunState(found["state"]),
        started_at=found["started_at"],
        ended_at=found["ended_at"],
        counts=counts,
        message=found["message"],
    )
    broken = one.state is RunState.RUNNING and not _alive(one.pid)
    return replace(one, state=RunState.BROKEN) if broken else one


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:
        return True
    return True


@dataclass(frozen=True)
class RejectedFile:
    """A file that was turned away, where on its way, why, and what to do."""

    root: str
    path: str
    stage: str
    reason: str
    remedy: str
    tried_at: int


def rejected(catalog: Catalog, limit: int | None = None) -> list[RejectedFile]:
    statement = (
        select(file, root.c.path.label("root"))
        .join(root, root.c.id == file.c.root_id)
        .where(file.c.outcome == Outcome.REJECTED.value, file.c.listed)
        .order_by(file.c.reason, root.c.path, file.c.path)
    )
    with catalog.read() as connection:
        rows = connection.execute(statement.limit(limit)).all()
    return [RejectedFile(r.root, r.path, r.stage, r.reason, r.remedy, r.tried_at) for r in rows]


@dataclass(frozen=True)
class FileCounts:
    """Files of the archive by outcome, listed ones only; `gone` are no longer listed."""

    indexed: int
    duplicate: int
    rejected: int
    gone: int


def file_counts(catalog: Catalog) -> FileCounts:
    with catalog.read() as connection:
        rows = connection.execute(
            select(file.c.outcome, file.c.listed, func.count()).group_by(file.c.outcome, file.c.listed)
        ).all()
    here = {row[0]: row[2] for row in rows if row[1]}
    return FileCounts(
        indexed=here.get(Outcome.INDEXED.value, 0),
        duplicate=here.get(Outcome.DUPLICATE.value, 0),
        rejected=here.get(Outcome.REJECTED.value, 0),
        gone=sum(row[2] for row in rows if not row[1]),
    )


def roots(catalog: Catalog) -> list[str]:
    with catalog.read() as connection:
        return list(connection.scalars(select(root.c.path).order_by(root.c.path)))
